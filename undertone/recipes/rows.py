"""Which rows a recipe takes, and what they must say."""

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


def sample(rows: Sequence[Utterance], limit: int, seed: int) -> list[Utterance]:
    """Whole pairs and singles in random order, as many as fit into `limit` clips (0: all)."""
    members = pairs(rows)
    chosen: list[Utterance] = []
    for i in np.random.default_rng(seed).permutation(len(members)):
        if not limit or len(chosen) + len(members[i]) <= limit:
            chosen += members[i]
    return chosen
