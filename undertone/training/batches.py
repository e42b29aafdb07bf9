"""Which clips make up step number so-and-so. A batch is a function of (seed, step), so resuming needs no sampler state."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from undertone.records import CONTENT, Utterance


class Mixture:
    """Draws batches by category: `replay` is the share of attribute-free clips, `weights` scale the other categories' shares.

    Each category is walked in a fresh random order, again and again; within a batch the shares are exact up to rounding, and what
    rounding leaves over moves from step to step.
    """

    def __init__(self, rows: Sequence[Utterance], replay: float, weights: Mapping[str, float], seed: int) -> None:
        self._groups: dict[str, list[Utterance]] = {}
        for row in rows:
            self._groups.setdefault(row.category, []).append(row)
        if unknown := set(weights) - set(self._groups):
            raise ValueError(f"mixture: no training clip of category {sorted(unknown)[0]!r}; the data has {', '.join(self._groups)}")
        paired = {name: weights.get(name, 1.0) for name in self._groups if name != CONTENT}
        if CONTENT in self._groups and not paired:
            replay = 1.0
        share = {name: weight / sum(paired.values()) * (1 - replay * (CONTENT in self._groups)) for name, weight in paired.items()}
        self._share = share | ({CONTENT: replay} if CONTENT in self._groups else {})
        self._seed = seed
        self._order = lru_cache(maxsize=64)(self._shuffled)

    def batch(self, step: int, size: int) -> list[Utterance]:
        """The clips of a step; between steps a and b a category gives exactly round(b · share) − round(a · share) · size clips."""
        rows, names = [], list(self._share)
        edges = np.cumsum([self._share[name] for name in names]) * size
        for name, high, low in zip(names, edges, [0.0, *edges[:-1]], strict=True):
            first, last = self._count(step, high - low), self._count(step + 1, high - low)
            rows += [self._at(name, i) for i in range(first, last)]
        return rows

    @staticmethod
    def _count(step: int, per_step: float) -> int:
        return round(step * per_step)

    def _at(self, name: str, position: int) -> Utterance:
        group = self._groups[name]
        order: np.ndarray = self._order(name, position // len(group))
        return group[int(order[position % len(group)])]

    def _shuffled(self, name: str, lap: int) -> np.ndarray:
        return np.random.default_rng((self._seed, lap, list(self._groups).index(name))).permutation(len(self._groups[name]))
