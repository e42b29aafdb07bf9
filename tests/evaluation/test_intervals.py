"""Intervals of what is no mean: functions of sums by the bootstrap, and others by the jackknife."""

import numpy as np
import pytest

from undertone.intervals import Array, agreed, clustered_mean, clustered_ratio, clustered_statistic, jackknife


def share(sums: Array) -> Array:
    return sums[..., 0] / sums[..., 1]


def test_a_ratio_weighs_by_the_denominator() -> None:
    assert clustered_ratio([1, 0], [2, 8], ["a", "b"]).value == 0.1, "not (1/2 + 0/8) / 2"


def test_a_ratio_to_ones_is_a_mean_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    values, clusters = rng.random(60), rng.integers(0, 9, 60).tolist()
    assert clustered_ratio(values, np.ones(60), clusters, 300, 3) == pytest.approx(clustered_mean(values, clusters, 300, 3))


def test_the_interval_of_a_ratio_covers_the_truth() -> None:
    rng, hits = np.random.default_rng(1), 0
    for seed in range(150):
        skill = rng.uniform(0.1, 0.3, 30)
        words = rng.integers(2, 30, (30, 4))
        errors = rng.binomial(words, skill[:, None])
        found = clustered_ratio(errors.ravel(), words.ravel(), np.repeat(np.arange(30), 4).tolist(), 300, seed)
        hits += found.low <= 0.2 <= found.high
    assert 0.88 <= hits / 150 <= 0.99


@pytest.mark.parametrize(("over", "under", "value", "n"), [([], [], None, 0), ([0, 0], [0, 0], None, 0), ([1, 0], [0, 0], None, 0)])
def test_nothing_to_divide_by_is_no_value(over: list[float], under: list[float], value: float | None, n: int) -> None:
    assert clustered_ratio(over, under, ["a", "b"][: len(over)]) == (value, None, None, n)


def test_resamples_without_a_value_are_left_out() -> None:
    found = clustered_ratio([1, 3, 0], [4, 4, 0], "abc", 500)
    assert found.value == 0.5
    assert (found.low, found.high) == (0.25, 0.75), "c alone has nothing to divide by"


def test_where_no_resample_differs_the_thinnest_part_bounds_the_doubt() -> None:
    parts = np.ones((10, 2))
    assert clustered_statistic(parts, share, range(10), within=(0, 1))[1:3] == pytest.approx(agreed(1, 10, (0, 1)))
    assert clustered_statistic(parts, share, range(10), within=(0, 1), rests_on=3)[1:3] == pytest.approx(agreed(1, 3, (0, 1)))
    assert clustered_statistic(parts, share, range(10), within=(0, 1), rests_on=1)[:3] == (1, None, None)
    assert clustered_statistic(parts, share, ["a"] * 10)[:3] == (1, None, None)
    assert clustered_statistic(parts, share, range(10), resamples=0)[:3] == (1, None, None)


def test_the_jackknife_of_a_mean_is_its_t_interval() -> None:
    values = np.random.default_rng(2).normal(0, 1, 12)
    found = jackknife(lambda kept: float(values[kept].mean()), range(12), (-10, 10))
    reach = 2.200985 * values.std(ddof=1) / np.sqrt(12)  # Student's t, 11 degrees of freedom
    assert found[:3] == pytest.approx((values.mean(), values.mean() - reach, values.mean() + reach))
    assert jackknife(lambda kept: float(values[kept].mean()), range(12), (-0.1, 0.1))[1:3] == (-0.1, 0.1)


def test_the_jackknife_leaves_out_whole_clusters() -> None:
    values = np.repeat([1.0, 2, 3, 4], 5)
    together = jackknife(lambda kept: float(values[kept].mean()), np.repeat(np.arange(4), 5).tolist(), (-10, 10))
    assert together == pytest.approx(jackknife(lambda kept: float(np.arange(1, 5)[kept].mean()), range(4), (-10, 10))._replace(n=20))


def test_the_jackknife_without_value_or_clusters() -> None:
    def of(kept: np.ndarray) -> float:
        return float("nan") if kept.sum() < 3 else 1.0

    assert jackknife(of, [], (0, 1)) == (None, None, None, 0)
    assert jackknife(of, "ab", (0, 1)) == (None, None, None, 0)
    assert jackknife(of, "abc", (0, 1)) == (1, None, None, 3), "without c there is none"
    assert jackknife(of, "aaaa", (0, 1)) == (1, None, None, 4)
    assert jackknife(of, "abcd", (0, 1))[1:3] == pytest.approx(agreed(1, 4, (0, 1)))
