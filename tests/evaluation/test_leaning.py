"""Which style's reply a model finds likeliest, on rows that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from undertone.evaluation.leaning import leaning, leaning_scores
from undertone.run import Run

SCORE = Run(Path(), "r", 0, "c").score
TABLE = np.log([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])


def test_ties_share_and_probabilities_are_softmax() -> None:
    found = leaning(TABLE, [0, 1, 1, 2])
    assert found.likeliest.tolist() == pytest.approx([1, 0, 1 / 2, 1 / 3])
    assert found.probability.tolist() == pytest.approx([0.5, 0.3, 0.4, 1 / 3])


def test_a_constant_per_row_changes_nothing_and_long_replies_do_not_underflow() -> None:
    moved = leaning(TABLE + np.array([[-2000.0], [5], [-1e5], [0]]), [0, 1, 1, 2])
    assert moved.probability.tolist() == pytest.approx([0.5, 0.3, 0.4, 1 / 3])
    far = leaning([[-5000.0, 0.0], [0.0, -5000.0]], [0, 0])
    assert (far.likeliest.tolist(), far.probability.tolist()) == ([0, 1], [0, 1])


def test_all_columns_together_sum_to_one() -> None:
    table = np.random.default_rng(0).normal(0, 30, (50, 6))
    each = [leaning(table, [style] * 50) for style in range(6)]
    assert np.sum([one.probability for one in each], axis=0) == pytest.approx(np.ones(50))
    assert np.sum([one.likeliest for one in each], axis=0).tolist() == [1] * 50


def test_scores_of_all_and_of_each_style() -> None:
    styles = ["sad", "happy", "happy", "angry"]
    rows = {
        (row.metric, row.group): row
        for row in leaning_scores(leaning(TABLE, [0, 1, 1, 2]), styles, ["a", "a", "b", "b"], SCORE, 200, 0, "style")
    }
    assert list(dict.fromkeys(group for _, group in rows)) == ["all", "sad", "happy", "angry"]
    assert rows["own_likeliest", "all"].value == pytest.approx((1 + 0 + 1 / 2 + 1 / 3) / 4)
    assert rows["own_probability", "happy"].value == pytest.approx(0.35)
    assert rows["own_likeliest", "all"].low < rows["own_likeliest", "all"].value < rows["own_likeliest", "all"].high
    assert (rows["own_likeliest", "sad"].n, rows["own_likeliest", "sad"].low) == (1, None)


def test_without_rows_no_score() -> None:
    assert not list(leaning_scores(leaning(np.zeros((0, 3)), []), [], [], SCORE, 10, 0, "style"))


@pytest.mark.parametrize(
    ("table", "own", "message"),
    [
        ([[0.0, 1.0], [0.0, float("-inf")]], [0, 0], "row 1: a log-likelihood is not finite"),
        ([[0.0, float("nan")]], [0], "row 0"),
        ([[0.0, 1.0]], [2], "row 0: own style 2 has no column"),
        ([[0.0, 1.0]], [-1], "row 0: own style -1"),
        ([[0.0]], [0], "two styles at least"),
        ([[0.0, 1.0]], [0, 1], "one column a row"),
    ],
)
def test_what_is_no_table_is_an_error(table: list[list[float]], own: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        leaning(table, own)
