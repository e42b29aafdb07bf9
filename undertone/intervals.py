"""Means with 95 % intervals by the clustered bootstrap: clips that share a text or a speaker are not independent."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_ROUNDING = 1e-12
"""Values that are no further apart are one."""


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


def scored_mean(
    values: Sequence[float | None], clusters: Sequence[Hashable], resamples: int, seed: int, within: tuple[float, float] | None = None
) -> Estimate:
    """As `clustered_mean`, of the values that are there: None is unscored, and the estimate's n says how many are not."""
    known = [(value, cluster) for value, cluster in zip(values, clusters, strict=True) if value is not None]
    return clustered_mean([value for value, _ in known], [cluster for _, cluster in known], resamples, seed, within)


def agreed(mean: float, clusters: int, within: tuple[float, float]) -> tuple[float, float]:
    """The interval of a mean that all `clusters` agree on, where the bootstrap, which draws only what was seen, has no width.

    At most a share of 1 − 0.025^(1/clusters) of all clusters is of another kind (Clopper & Pearson 1934, none seen: the exact form of
    the rule of three); the bounds are the mean's if those lay at the end of the range.
    """
    unseen = 1 - 0.025 ** (1 / clusters)
    return mean - unseen * (mean - within[0]), mean + unseen * (within[1] - mean)


def clustered_statistic(
    parts: ArrayLike,
    of: Callable[[Array], Array],
    clusters: Sequence[Hashable],
    resamples: int = 1000,
    seed: int = 0,
    within: tuple[float, float] | None = None,
    rests_on: int | None = None,
) -> Estimate:
    """A statistic that is a function `of` sums over the items, such as a ratio, a recall or a difference of two; clusters as above.

    `parts` (item, part) are what is summed; `of` takes sums (…, part) of all resamples at once and gives (…) values, NaN where there is
    none. Resamples without a value are left out, so that all others estimate the same thing; there is no mean where the items themselves
    have none. `rests_on` is how many clusters the thinnest part of the statistic has (None: all); if that is one, there is no interval.
    `within` is as for `clustered_mean`: where no resample differs, the interval is that of `agreed`, of `rests_on` clusters.
    """
    array = np.asarray(parts, dtype=float)
    if not len(array):
        return Estimate(None, None, None, 0)
    sums, sizes = _totals(array.T, clusters)
    value = float(_quietly(of, sums.sum(1)))
    if np.isnan(value):
        return Estimate(None, None, None, 0)
    values = _quietly(of, drawn(len(sizes), resamples, seed) @ sums.T)
    values, thinnest = values[~np.isnan(values)], len(sizes) if rests_on is None else rests_on
    if thinnest < 2 or not len(values):
        return Estimate(value, None, None, len(array))
    if within is not None and np.ptp(values) < _ROUNDING:
        return Estimate(value, *agreed(value, thinnest, within), len(array))
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(array))


def clustered_ratio(
    over: ArrayLike,
    under: ArrayLike,
    clusters: Sequence[Hashable],
    resamples: int = 1000,
    seed: int = 0,
    within: tuple[float, float] | None = None,
) -> Estimate:
    """The sum of `over` by the sum of `under`, not the mean of ratios: word errors by words, where a long text weighs more than a short."""
    parts = np.stack([np.asarray(over, dtype=float), np.asarray(under, dtype=float)], axis=1)
    return clustered_statistic(parts, lambda sums: sums[..., 0] / sums[..., 1], clusters, resamples, seed, within)


def jackknife(of: Callable[[NDArray[np.bool_]], float], clusters: Sequence[Hashable], within: tuple[float, float]) -> Estimate:
    """A statistic of the kept items, `of` (item,) flags, with an interval from leaving out each cluster once (Tukey 1958; Student's t).

    For what copies of an item would bias, so that it cannot be drawn again: mutual information. NaN says that there is no value; where
    one is missing without a cluster, there is no interval. The interval is cut to `within`, and that of `agreed` where nothing differs.
    """
    from scipy.special import stdtrit

    number = np.unique(np.array([repr(cluster) for cluster in clusters]), return_inverse=True)[1]
    value = of(np.ones(len(number), dtype=bool)) if len(number) else float("nan")
    if np.isnan(value):
        return Estimate(None, None, None, 0)
    groups = int(number.max()) + 1
    without = np.array([of(number != group) for group in range(groups)] if groups > 1 else [np.nan])
    if np.isnan(without).any():
        return Estimate(value, None, None, len(number))
    if np.ptp(without) < _ROUNDING:
        return Estimate(value, *agreed(value, groups, within), len(number))
    reach = float(stdtrit(groups - 1, 0.975) * np.sqrt((groups - 1) * without.var()))
    return Estimate(value, max(within[0], value - reach), min(within[1], value + reach), len(number))


def bootstrap_means(values: Array, clusters: Sequence[Hashable], resamples: int, seed: int) -> Array:
    """(row, resample) means of each row of `values` (row, item) under the same resamples, so that rows can be compared in pairs."""
    sums, sizes = _totals(values, clusters)
    counts = drawn(len(sizes), resamples, seed)
    return sums @ counts.T / (counts @ sizes)


def drawn(groups: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """(resample, cluster) how often each cluster is drawn."""
    return np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)


def _quietly(of: Callable[[Array], Array], sums: Array) -> Array:
    # 0 / 0 is how a statistic says that it has no value; NaN is looked for above.
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(of(sums), dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _totals(values: Array, clusters: Sequence[Hashable]) -> tuple[Array, NDArray[np.int64]]:
    """(row, cluster) sums of `values` (row, item), and how many items each cluster has."""
    _, number = np.unique(np.array([repr(cluster) for cluster in clusters]), return_inverse=True)
    return np.stack([np.bincount(number, row) for row in values]), np.bincount(number)
