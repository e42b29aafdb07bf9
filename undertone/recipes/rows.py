"""Which rows a recipe takes, and what they must say."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.evaluation.controls import CONTROLS
from undertone.evaluation.metrics import suite_of
from undertone.records import CONTENT, Utterance, pairs


def require(rows: Sequence[Utterance], where: Path, *fields: str) -> None:
    """ValueError names the first of the `fields` that is empty in every one of the `rows`."""
    for field in fields:
        if rows and not any(getattr(row, field) for row in rows):
            column = f"one of {', '.join(ATTRIBUTES)}" if field == "attributes" else field
            raise ValueError(f"{where}: no clip says its {field}; add a column {column}, or name one with --columns")


def selected(chosen: settings.Evaluate, known: Iterable[Utterance]) -> list[Utterance]:
    """The utterances among `known` that are to be asked; ValueError where there is none."""
    control = CONTROLS.get(chosen.control)
    members = [row for row in known if row.split == chosen.split and row.suite in chosen.suites]
    if control and control.every:
        members = exchangeable(members, chosen.data)
    cells: dict[str, list[Utterance]] = {}
    for row in members:
        cells.setdefault(suite_of(row), []).append(row)
    rows = [row for some in cells.values() for row in (sample(some, chosen.limit, chosen.seed) if chosen.limit else some)]
    if not rows:
        raise ValueError(f"{chosen.data}: no utterance of {', '.join(chosen.suites)} in split {chosen.split!r}")
    return rows


def exchangeable(rows: Sequence[Utterance], where: Path) -> list[Utterance]:
    """The `rows` whose pair has two voices, so that they can change places. ValueError where a suite has none; content has none by
    design and is left out."""
    kept: list[Utterance] = []
    for suite in dict.fromkeys(suite_of(row) for row in rows if row.category != CONTENT):
        members = pairs(row for row in rows if row.category != CONTENT and suite_of(row) == suite)
        two = [row for pair in members if len(pair) == 2 and pair[0].value != pair[1].value for row in pair]
        if not two:
            raise ValueError(
                f"{where}: no two voices of {suite} say the same, so none can change places; "
                "name their pair (--columns pair …), or leave that suite or this control out"
            )
        kept += two
    if not kept and rows:
        raise ValueError(f"{where}: content alone has no two voices that could change places; ask other suites, or leave this control out")
    return kept


def named(rows: Sequence[Utterance], attribute: str) -> list[Utterance]:
    """The `rows` whose voices have a value of `attribute`, which is what is right to answer: labels as replies, for corpora without any."""
    able = [row for row in rows if attribute in row.attributes]
    return [row.model_copy(update={"category": attribute, "reply": row.attributes[attribute], "contrast": None}) for row in able]


def with_dev(rows: Sequence[Utterance], seed: int) -> list[Utterance]:
    """The `rows`; where they have no split dev, a tenth of the training speakers, at least one, moves there."""
    speakers = sorted({row.speaker for row in rows if row.split == "train"})
    if any(row.split == "dev" for row in rows) or len(speakers) < 2:
        return list(rows)
    moved = set(random.Random(seed).sample(speakers, max(1, len(speakers) // 10)))
    return [row.model_copy(update={"split": "dev"}) if row.split == "train" and row.speaker in moved else row for row in rows]


def sample(rows: Sequence[Utterance], limit: int, seed: int) -> list[Utterance]:
    """Whole pairs and singles in random order, as many as fit into `limit` clips (0: all)."""
    members = pairs(rows)
    chosen: list[Utterance] = []
    for i in np.random.default_rng(seed).permutation(len(members)):
        if not limit or len(chosen) + len(members[i]) <= limit:
            chosen += members[i]
    return chosen
