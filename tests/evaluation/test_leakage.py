"""Leakage on labellings that can be worked out by hand, and normalised mutual information as scikit-learn has it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score

from undertone.evaluation.leakage import leakage, leakage_scores, nmi
from undertone.run import Run

SCORE = Run(Path(), "r", 0, "c").score
TEXTS, STYLES = ["dog", "dog", "kid", "kid"], ["sad", "happy", "sad", "happy"]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40))
def test_nmi_is_scikit_learns(rows: list[tuple[int, int]]) -> None:
    first, second = map(list, zip(*rows, strict=True))
    assert nmi(first, second) == pytest.approx(normalized_mutual_info_score(first, second), abs=1e-9)


def test_nmi_by_hand() -> None:
    # H = ln 2, H' = 3/4 ln 4/3 + 1/4 ln 4 = 0.5623, joint: shares 1/4, 1/4, 1/2 → 3/2 ln 2.
    entropy = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    shared = np.log(2) + entropy - 1.5 * np.log(2)
    assert nmi("aabb", "aaab") == pytest.approx(shared / ((np.log(2) + entropy) / 2))
    assert nmi("aabb", "xxyy") == pytest.approx(1)
    assert nmi("aabb", "abab") == 0


@pytest.mark.parametrize(
    ("predicted", "value"),
    [(STYLES, 0.0), (TEXTS, 1.0), (["sad"] * 4, None), (["sad", "sad", "sad", "happy"], 0.5), (["sad", "happy", "happy", "sad"], None)],
)
def test_it_follows_the_voice_or_the_words(predicted: list[str], value: float | None) -> None:
    assert leakage(predicted, TEXTS, STYLES) == (value if value is None else pytest.approx(value))


def test_rounding_is_no_leak() -> None:
    for sizes in ((3, 3, 3), (7, 5, 3), (6, 11, 7)):
        assert leakage(*(row.ravel().tolist() for row in np.indices(sizes))) is None


def test_a_constant_prediction_of_a_single_text_is_no_leak() -> None:
    assert leakage(["sad"] * 4, ["dog"] * 4, STYLES) is None, "two labellings without a choice agree, but say nothing"


def test_labellings_of_other_clips_are_an_error() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        nmi("ab", "abc")


def test_its_interval_covers_the_truth() -> None:
    """0.338 is what 4,000 speakers give; the percentile bootstrap over speakers covers it in 81 % of all draws."""
    rng = np.random.default_rng(0)
    speakers, texts, styles = (row.ravel() for row in np.indices((15, 10, 6)))
    hits = 0
    for _ in range(60):
        kind = rng.random(900)
        heard = 0.4 + rng.normal(0, 0.1, 15)[speakers]
        predicted = np.where(kind < heard, styles, np.where(kind < heard + 0.3, texts % 6, rng.integers(0, 6, 900)))
        (score,) = leakage_scores(list(predicted), list(texts), list(styles), list(speakers), SCORE, "leak")
        assert score.value == pytest.approx(leakage(list(predicted), list(texts), list(styles)))
        hits += score.low <= 0.338 <= score.high
    assert hits >= 51
    assert (score.metric, score.group, score.n) == ("leakage", "all", 900)


def test_what_depends_on_nothing_is_unscored_and_one_speaker_has_no_interval() -> None:
    (nothing,) = leakage_scores(["sad"] * 4, TEXTS, STYLES, "abab", SCORE, "leak")
    assert (nothing.value, nothing.n, nothing.unscored) == (None, 0, 4)
    (single,) = leakage_scores(TEXTS, TEXTS, STYLES, "aaaa", SCORE, "leak")
    assert (single.value, single.low, single.n) == (pytest.approx(1), None, 4)
