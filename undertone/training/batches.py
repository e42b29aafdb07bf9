"""Which clips make up step number so-and-so. A batch is a function of (seed, step), so resuming needs no sampler state."""

import heapq
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from undertone.records import CONTENT, Utterance

if TYPE_CHECKING:
    from undertone.training.loop import Encode

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


def cut(encode: "Encode", rows: Sequence[T], count: int) -> list[Sequence[T]]:
    """`rows` in `count` parts at most, as they are encoded: packed or padded. One part is the rows as they are."""
    if count <= 1:
        return [rows]
    return (dealt if encode.packed else by_length)(rows, encode.lengths(rows), count)


def dealt(rows: Sequence[T], lengths: Sequence[int], count: int) -> list[Sequence[T]]:
    """`rows` in `count` parts that hold about as many tokens: the longest first, each to the part that has least (Graham 1969). An empty
    one is left out."""
    parts: list[list[T]] = [[] for _ in range(count)]
    held = [(0, 0, i) for i in range(count)]
    for length, row in sorted(zip(lengths, rows, strict=True), key=lambda one: -one[0]):
        tokens, clips, i = heapq.heappop(held)
        parts[i].append(row)
        heapq.heappush(held, (tokens + length, clips + 1, i))
    return [part for part in parts if part]


def by_length(rows: Sequence[T], lengths: Sequence[int], count: int) -> list[Sequence[T]]:
    """`rows` in `count` parts of as many clips, those of like length together, so that their padding is little."""
    ordered = [rows[i] for i in sorted(range(len(rows)), key=lengths.__getitem__)]
    size = math.ceil(len(rows) / count)
    return [ordered[i : i + size] for i in range(0, len(rows), size)]


def fewest(encode: "Encode", shares: Sequence[Sequence[Any]], most: int) -> int:
    """The fewest parts of which none takes more than `most` tokens, padding included, whichever of the `shares` of a batch is cut; a clip
    that is longer stands alone. Every process cuts its share into as many, for they wait for one another part by part."""

    def fits(part: Sequence[Any]) -> bool:
        lengths = encode.lengths(part)
        return len(part) == 1 or (sum(lengths) if encode.packed else len(part) * max(lengths)) <= most

    least = max(math.ceil(sum(encode.lengths(rows)) / most) for rows in shares)
    clips = max(map(len, shares))
    return next((n for n in range(max(1, least), clips) if all(fits(part) for rows in shares for part in encode.parts(rows, n))), clips)
