"""Cosine similarities of pooled states (METHOD A.2, analyses 3 and 4).

States are centred first: mean-pooled states of one layer share a large common part that would put every cosine near one.
"""

from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

Pairs = Sequence[tuple[int, int]]


class ContentPairs(NamedTuple):
    """Index pairs of clips of the same and of different intent, speakers always different."""

    same: Pairs
    different: Pairs


def content_pairs(intents: Sequence[str], speakers: Sequence[str], at_most: int, seed: int) -> ContentPairs:
    """Up to `at_most` pairs of each kind."""
    rng = Random(seed)
    by_intent: dict[str, list[int]] = {}
    for i, intent in enumerate(intents):
        by_intent.setdefault(intent, []).append(i)
    same = [(i, j) for group in by_intent.values() for i, j in combinations(group, 2) if speakers[i] != speakers[j]]
    drawn = ((rng.randrange(len(intents)), rng.randrange(len(intents))) for _ in range(4 * at_most))
    different = [(i, j) for i, j in drawn if intents[i] != intents[j] and speakers[i] != speakers[j]]
    return ContentPairs(rng.sample(same, min(at_most, len(same))), different[:at_most])


def cosines(states: Tensor, pairs: Pairs) -> Tensor:
    """(layer, pair) cosine of centred `states` (layer, clip, width)."""
    if not pairs:
        return states.new_zeros(len(states), 0)
    centred = states - states.mean(1, keepdim=True)
    left, right = (centred[:, torch.tensor(side)] for side in zip(*pairs, strict=True))
    return torch.nn.functional.cosine_similarity(left, right, dim=-1)
