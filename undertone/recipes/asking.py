"""How an evaluation puts its utterances to the model: as they are, under a control, or with what the cascade makes of them."""

import random
import time
from collections.abc import Sequence
from typing import NamedTuple

from undertone import settings
from undertone.attributes import note
from undertone.evaluation.cascade import fit_speakers, spoken_note
from undertone.evaluation.metrics import suite_of
from undertone.evaluation.replies import Ask
from undertone.models.base import Prompt
from undertone.recipes.opening import Corridor
from undertone.records import Utterance, pairs


class Asking(NamedTuple):
    """How utterances are put to the model, and what was fitted for it first: weights, and the seconds that took."""

    prompt: Ask
    weights: int = 0
    seconds: float = 0.0


def prompting(chosen: settings.Evaluate, corridor: Corridor, rows: Sequence[Utterance]) -> Asking:
    """Each utterance is asked by its audio; under a control, by its text, a swapped rendering, or with the true note as well."""
    system, heard = chosen.system, corridor.heard
    if chosen.control == "text-only":
        return Asking(lambda row: Prompt(text=row.text, system=system))
    if chosen.control == "oracle-label":
        return Asking(lambda row: Prompt(audio=heard[row.id], system=system, note=note(row.attributes)))
    if chosen.control == "shuffled-audio":
        other = swapped(rows, chosen.seed)
        return Asking(lambda row: Prompt(audio=heard[other[row.id]], system=system))
    if chosen.cascade:
        train = [row for row in corridor.data.utterances if row.split == "train" and row.id in heard]
        if not train:
            raise ValueError(f"{chosen.data}: the cascade fits its classifiers on split train, of which no clip is there")
        began = time.monotonic()
        fitted = fit_speakers(train, heard.__getitem__)
        took, weights = time.monotonic() - began, sum(one.weights.numel() for one in fitted.values())
        return Asking(lambda row: Prompt(audio=heard[row.id], system=system, note=spoken_note(fitted, heard[row.id])), weights, took)
    return Asking(lambda row: Prompt(audio=heard[row.id], system=system))


def swapped(rows: Sequence[Utterance], seed: int) -> dict[str, str]:
    """Utterance id → id of the rendering that is played instead: in every second pair of each suite and category, drawn by `seed`, the
    two voices change places."""
    rng = random.Random(seed)
    played: dict[str, str] = {}
    for suite in dict.fromkeys(map(suite_of, rows)):
        members = pairs(row for row in rows if suite_of(row) == suite)
        for i, pair in enumerate(rng.sample(members, len(members))):
            played |= {one.id: other.id for one, other in zip(pair, pair[:: -1 if i % 2 else 1], strict=True)}
    return played
