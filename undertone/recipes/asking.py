"""What an evaluation asks, and how it is put to the model: as it is, under a control, or with what the cascade makes of it."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.attributes import note
from undertone.evaluation.cascade import fit_speakers, spoken_note
from undertone.evaluation.controls import CONTROLS, Control
from undertone.evaluation.metrics import suite_of
from undertone.evaluation.replies import Ask
from undertone.models.base import Prompt
from undertone.recipes.opening import Corridor
from undertone.recipes.rows import exchangeable, require, selected
from undertone.recipes.served import Line
from undertone.records import CONTENT, Reply, Utterance, pairs


class Asking(NamedTuple):
    """How utterances are put to the model, and what was fitted for it first: weights, and the seconds that took."""

    prompt: Ask
    weights: int = 0
    seconds: float = 0.0


def questions(chosen: settings.Evaluate, corridor: Corridor | Line) -> list[Utterance]:
    """What is asked: utterances of the split and the suites that can be heard, at most `limit` of each suite and category."""
    control = CONTROLS.get(chosen.control)
    rows = selected(chosen, corridor.data.utterances)
    if all(row.category == CONTENT for row in rows):
        require(rows, chosen.data, "reply")  # without a category only the right reply to the letter can be scored
    if chosen.words or (control and control.typed):
        require(rows, chosen.data, "text")
    fitted_on = [row for row in corridor.data.utterances if chosen.cascade and row.split == "train"]
    heard = {row.id for row in corridor.listen([*rows, *fitted_on], chosen.batch)}
    if not heard.intersection(row.id for row in rows):
        raise ValueError(f"{chosen.data}: no clip of split {chosen.split!r} can be heard; {corridor.rejected.path} says why")
    rows = [row for row in rows if row.id in heard]
    # Once more: a clip that cannot be heard leaves its partner alone.
    return exchangeable(rows, chosen.data) if control and control.every else rows


def prompting(chosen: settings.Evaluate, corridor: Corridor | Line, rows: Sequence[Utterance]) -> Asking:
    """Each utterance is asked by its audio; under a control as its row of the table says."""
    system = chosen.system
    if chosen.control:
        return Asking(_controlled(CONTROLS[chosen.control], chosen, corridor, rows))
    if chosen.words:
        tagged = chosen.words == "tagged"
        return Asking(lambda row: Prompt(text=row.text, system=system, note=note(row.attributes) if tagged else ""))
    if chosen.cascade and isinstance(corridor, Corridor):
        heard = corridor.heard
        train = [row for row in corridor.data.utterances if row.split == "train" and row.id in heard]
        if not train:
            raise ValueError(f"{chosen.data}: the cascade fits its classifiers on split train, of which no clip is there")
        began = time.monotonic()
        fitted = fit_speakers(train, heard.__getitem__)
        took, weights = time.monotonic() - began, sum(one.weights.numel() for one in fitted.values())
        return Asking(lambda row: Prompt(audio=heard[row.id], system=system, note=spoken_note(fitted, heard[row.id])), weights, took)
    return Asking(lambda row: Prompt(audio=corridor.heard[row.id], system=system))


def _controlled(control: Control, chosen: settings.Evaluate, corridor: Corridor | Line, rows: Sequence[Utterance]) -> Ask:
    if control.typed:
        return lambda row: Prompt(text=row.text, system=chosen.system)
    other = swapped(rows, chosen.seed, control.every) if control.every else {row.id: row.id for row in rows}
    return lambda row: Prompt(audio=corridor.heard[other[row.id]], system=chosen.system, note=note(row.attributes) if control.told else "")


def swapped(rows: Sequence[Utterance], seed: int, every: int) -> dict[str, str]:
    """Utterance id → id of the rendering that is played instead: in one of `every` so many pairs of each suite and category, drawn by
    `seed`, the two voices change places."""
    rng = random.Random(seed)
    played: dict[str, str] = {}
    for suite in dict.fromkeys(map(suite_of, rows)):
        members = pairs(row for row in rows if suite_of(row) == suite)
        for i, pair in enumerate(rng.sample(members, len(members))):
            turned = (i + 1) % every == 0
            played |= {one.id: other.id for one, other in zip(pair, pair[:: -1 if turned else 1], strict=True)}
    return played


def comparable(before: Sequence[Reply], rows: Sequence[Utterance], folder: Path) -> list[Reply]:
    """The replies of an earlier run, in `folder`, to what is asked now; ValueError where there is none."""
    asked = {row.id for row in rows}
    shared = [reply for reply in before if reply.utterance_id in asked]
    if not shared:
        raise ValueError(f"{folder}: none of its replies is to what is asked now; name an evaluation of the same data and split")
    return shared
