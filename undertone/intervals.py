"""Means with 95 % intervals by the clustered bootstrap: clips that share a text or a speaker are not independent."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Estimate(NamedTuple):
    """A mean, its 95 % percentile interval, and the number of values in it. Without values there is no mean."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def clustered_mean(values: ArrayLike, clusters: Sequence[Hashable], resamples: int = 1000, seed: int = 0) -> Estimate:
    """The mean of `values`; whole clusters are drawn again with replacement (Field & Welsh 2007)."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return Estimate(None, None, None, 0)
    if not resamples:
        return Estimate(float(array.mean()), None, None, len(array))
    low, high = np.percentile(bootstrap_means(array[None], clusters, resamples, seed)[0], [2.5, 97.5])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


def bootstrap_means(values: NDArray[np.float64], clusters: Sequence[Hashable], resamples: int, seed: int) -> NDArray[np.float64]:
    """(row, resample) means of each row of `values` (row, item) under the same resamples, so that rows can be compared in pairs."""
    _, number = np.unique(np.array([repr(cluster) for cluster in clusters]), return_inverse=True)
    groups = int(number.max()) + 1
    sums = np.stack([np.bincount(number, row, groups) for row in values])
    sizes = np.bincount(number, minlength=groups)
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return sums @ drawn.T / (drawn @ sizes)
