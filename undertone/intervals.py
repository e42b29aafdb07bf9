"""Means with 95 % intervals by the clustered bootstrap: clips that share a text or a speaker are not independent."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean, its 95 % interval, and the number of values in it. Without values there is no mean, with one cluster no interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def clustered_mean(
    values: ArrayLike, clusters: Sequence[Hashable], resamples: int = 1000, seed: int = 0, within: tuple[float, float] | None = None
) -> Estimate:
    """The mean of `values`; whole clusters are drawn again with replacement (Field & Welsh 2007).

    `within` is the least and the greatest value that there can be: clusters that all agree have the interval of `agreed` then.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        return Estimate(None, None, None, 0)
    mean = float(array.mean())
    sums, sizes = _totals(array[None], clusters)
    if not resamples or len(sizes) < 2:
        return Estimate(mean, None, None, len(array))
    if within is not None and np.ptp(sums[0] / sizes) == 0:
        return Estimate(mean, *agreed(mean, len(sizes), within), len(array))
    low, high = np.percentile(bootstrap_means(array[None], clusters, resamples, seed)[0], [2.5, 97.5])
    return Estimate(mean, float(low), float(high), len(array))


def agreed(mean: float, clusters: int, within: tuple[float, float]) -> tuple[float, float]:
    """The interval of a mean that all `clusters` agree on, where the bootstrap, which draws only what was seen, has no width.

    At most a share of 1 − 0.025^(1/clusters) of all clusters is of another kind (Clopper & Pearson 1934, none seen: the exact form of
    the rule of three); the bounds are the mean's if those lay at the end of the range.
    """
    unseen = 1 - 0.025 ** (1 / clusters)
    return mean - unseen * (mean - within[0]), mean + unseen * (within[1] - mean)


def bootstrap_means(values: Array, clusters: Sequence[Hashable], resamples: int, seed: int) -> Array:
    """(row, resample) means of each row of `values` (row, item) under the same resamples, so that rows can be compared in pairs."""
    sums, sizes = _totals(values, clusters)
    groups = len(sizes)
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return sums @ drawn.T / (drawn @ sizes)


def _totals(values: Array, clusters: Sequence[Hashable]) -> tuple[Array, NDArray[np.int64]]:
    """(row, cluster) sums of `values` (row, item), and how many items each cluster has."""
    _, number = np.unique(np.array([repr(cluster) for cluster in clusters]), return_inverse=True)
    return np.stack([np.bincount(number, row) for row in values]), np.bincount(number)
