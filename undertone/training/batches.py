"""Which clips make up step number so-and-so. A batch is a function of (seed, step), so resuming needs no sampler state."""

import heapq
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from undertone.records import CONTENT, Utterance

T = TypeVar("T")


class Mixture:
    """Draws batches by category: `replay` is the share of attribute-free clips, `weights` scale the other categories' shares.

    Each category is walked in a fresh random order, again and again.
    """

    def __init__(self, rows: Sequence[Utterance], replay: float, weights: Mapping[str, float], seed: int) -> None:
        self._groups: dict[str, list[Utterance]] = {}
        for row in rows:
            self._groups.setdefault(row.category, []).append(row)
        if CONTENT in weights:
            raise ValueError(f"mixture: the share of attribute-free clips is set by replay, not by {CONTENT!r}")
        if unknown := set(weights) - set(self._groups):
            raise ValueError(f"mixture: no training clip of category {sorted(unknown)[0]!r}; the data has {', '.join(self._groups)}")
        paired = {name: weights.get(name, 1.0) for name in self._groups if name != CONTENT}
        if min(paired.values(), default=1) < 0 or not sum(paired.values(), start=not paired):
            raise ValueError(f"mixture: weights are 0 or more, and one is more than 0; these are {dict(weights)}")
        if CONTENT in self._groups and not paired:
            replay = 1.0
        share = {name: weight / sum(paired.values()) * (1 - replay * (CONTENT in self._groups)) for name, weight in paired.items()}
        self._share = share | ({CONTENT: replay} if CONTENT in self._groups else {})
        self._seed = seed
        self._drawn: dict[int, list[list[int]]] = {}
        self._order = lru_cache(maxsize=64)(self._shuffled)

    @property
    def clips(self) -> int:
        """Clips that may be drawn: those of a category without a share never are."""
        return sum(len(self._groups[name]) for name, share in self._share.items() if share > 0)

    def batch(self, step: int, size: int) -> list[Utterance]:
        """The `size` clips of a step, shares exact on average: systematic sampling, one random offset a step."""
        counts, before = self._counts(step, size), self._until(step, size)
        return [self._at(name, start + i) for name, start, count in zip(self._share, before, counts, strict=True) for i in range(count)]

    def _counts(self, step: int, size: int) -> list[int]:
        edges = np.minimum(np.cumsum(list(self._share.values())), 1.0)
        edges[-1] = 1.0
        offset = np.random.default_rng((self._seed, 1, step)).random()
        return [int(count) for count in np.diff(np.floor(edges * size + offset), prepend=np.floor(offset))]

    def _until(self, step: int, size: int) -> list[int]:
        """Clips drawn of each category before `step`."""
        known = self._drawn.setdefault(size, [[0] * len(self._share)])
        while len(known) <= step:
            known.append([a + b for a, b in zip(known[-1], self._counts(len(known) - 1, size), strict=True)])
        return known[step]

    def _at(self, name: str, position: int) -> Utterance:
        group = self._groups[name]
        order: np.ndarray = self._order(name, position // len(group))
        return group[int(order[position % len(group)])]

    def _shuffled(self, name: str, lap: int) -> np.ndarray:
        return np.random.default_rng((self._seed, lap, list(self._groups).index(name))).permutation(len(self._groups[name]))


def cut(rows: Sequence[T], lengths: Sequence[int], count: int, packed: bool) -> list[Sequence[T]]:
    """`rows`, of so many tokens each, in `count` parts at most. Packed parts hold about as many tokens: the longest row first, each to the
    part that has least (Graham 1969). Padded ones hold as many rows, those of like length together, so that the padding is little."""
    order = sorted(range(len(rows)), key=lambda i: -lengths[i])
    if not packed:
        size = math.ceil(len(rows) / count)
        return [[rows[i] for i in order[k : k + size]] for k in range(0, len(rows), size)]
    parts: list[list[T]] = [[] for _ in range(count)]
    held = [(0, i) for i in range(count)]
    for i in order:
        tokens, part = heapq.heappop(held)
        parts[part].append(rows[i])
        heapq.heappush(held, (tokens + lengths[i], part))
    return [part for part in parts if part]


def alike(lengths: Sequence[int]) -> list[list[int]]:
    """Places of `lengths` in groups, the longest of each at most a quarter above its shortest: padded so, they waste little."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups and lengths[i] <= 1.25 * lengths[groups[-1][0]]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def fewest(shares: Sequence[Sequence[int]], most: int, packed: bool) -> int:
    """The fewest parts of which none takes more than `most` tokens, padding included, whichever of the `shares` of a batch (the lengths of
    its rows) is cut; a row that is longer stands alone. Every process cuts its share into as many: they wait for one another part by
    part."""

    def fits(part: Sequence[int]) -> bool:
        return len(part) == 1 or (sum(part) if packed else len(part) * max(part)) <= most

    least, rows = max(math.ceil(sum(one) / most) for one in shares), max(map(len, shares))
    return next((n for n in range(max(1, least), rows) if all(fits(part) for one in shares for part in cut(one, one, n, packed))), rows)
