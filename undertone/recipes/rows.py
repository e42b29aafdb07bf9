"""Which rows a recipe takes, and what they must say."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from undertone.attributes import ATTRIBUTES
from undertone.records import Utterance, pairs


def require(rows: Sequence[Utterance], where: Path, *fields: str) -> None:
    """ValueError names the first of the `fields` that is empty in every one of the `rows`."""
    for field in fields:
        if rows and not any(getattr(row, field) for row in rows):
            column = f"one of {', '.join(ATTRIBUTES)}" if field == "attributes" else field
            raise ValueError(f"{where}: no clip says its {field}; add a column {column}, or name one with --columns")


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
