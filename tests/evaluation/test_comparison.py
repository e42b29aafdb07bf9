"""Two runs over several trainings: intervals that hold what they promise, p-values adjusted together, verdicts that call noise noise."""

import numpy as np
import pytest

from undertone.evaluation.comparison import Cell, Difference, Value, difference, holm, p_value, verdict


def training(rng: np.random.Generator, mean: float, texts: int = 60, clips: int = 2, of_text: float = 0.5) -> list[Value]:
    """Clips of `texts`, those of one text alike."""
    shared = rng.normal(0, of_text, texts)
    return [Value(mean + shared[text] + rng.normal(0, 0.5), f"t{text}") for text in range(texts) for _ in range(clips)]


def test_what_both_share_cancels() -> None:
    """The same texts are hard for both runs: the difference is known better than either mean."""
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for _ in range(3):
        hard = rng.normal(0, 1.0, 80)
        for side, gain in ((ours, 0.2), (theirs, 0.0)):
            side.append([Value(hard[text] + gain + rng.normal(0, 0.1), f"t{text}") for text in range(80)])
    found = difference(ours, theirs)
    alone = difference(ours, [])
    assert found.value == pytest.approx(0.2, abs=0.05)
    assert found.low > 0.1
    assert found.high - found.low < 0.2 * (alone.high - alone.low)


@pytest.mark.parametrize("between", [0.0, 0.15])
def test_intervals_hold_the_truth_about_as_often_as_they_say(between: float) -> None:
    """400 studies of five trainings a side without any difference, with and without noise between trainings: at most 10 % call it one,
    where 5 % would be exact and a bootstrap that held trainings fixed would call every third."""
    calls, fixed = 0, 0
    for study in range(400):
        rng = np.random.default_rng(study)
        sides = [[training(rng, rng.normal(0, between), 30) for _ in range(5)] for _ in range(2)]
        found = difference(*sides, resamples=400, seed=study)
        calls += not found.low <= 0 <= found.high
        pooled = [[value for one in side for value in one] for side in sides]
        alone = difference([pooled[0]], [pooled[1]], resamples=400, seed=study)
        fixed += not alone.low <= 0 <= alone.high
    assert calls <= 40
    assert between == 0.0 or fixed >= 80


def test_a_difference_beyond_noise_is_found() -> None:
    rng = np.random.default_rng(1)
    found = difference([training(rng, 0.5) for _ in range(3)], [training(rng, 0.0) for _ in range(3)])
    assert found.low > 0.2
    assert found.above < 0.01
    assert verdict(found, "above", 0.0, found.above) == "supported"
    assert verdict(found, "below", 0.0, found.above) == "not supported"


def test_a_side_may_have_other_clips() -> None:
    """Other voices say some of the same texts: means are compared, and clips that only one side has count there alone."""
    ours = [[Value(1.0, f"t{i}") for i in range(40)]]
    theirs = [[Value(float(i % 2), f"t{i}") for i in range(60)]]
    found = difference(ours, theirs)
    assert found.value == pytest.approx(0.5)
    assert 0.3 < found.low < 0.5 < found.high < 0.7


def test_where_nothing_was_seen_to_differ_the_bounds_are_those_of_n() -> None:
    same = [[Value(0.0, f"t{i}") for i in range(50)]]
    found = difference(same, same)
    assert (found.value, found.above) == (0.0, 1.0)
    assert found.low == pytest.approx(-2 * (1 - 0.025 ** (1 / 50)))
    # Equal replies on 50 texts do not prove that two models are within a point of each other, on 5,000 they do; one training never does.
    many = [[Value(0.0, f"t{i}") for i in range(5000)]]
    for side, says in ((2 * same, "undecided"), (2 * many, "supported"), (many, "undecided")):
        apart = difference(side, side, margin=0.01)
        assert verdict(apart, "within", 0.01, p_value(apart, "within", 0.01)) == says


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_trainings_that_contradict_one_another_decide_nothing() -> None:
    apart = Difference(0.1, 0.05, 0.15, 300, (0.2, 0.15, -0.01), 0.001, 0.001)
    assert verdict(apart, "above", 0.0, 0.001) == "undecided"
    assert verdict(apart._replace(trainings=(0.2, 0.1, 0.01)), "above", 0.0, 0.001) == "supported"
    assert verdict(apart._replace(trainings=(0.2, 0.1, 0.01)), "above", 0.0, 0.05) == "undecided"
    assert verdict(apart._replace(trainings=(0.1,)), "above", 0.0, 0.001) == "undecided"


def test_within_needs_both_bounds() -> None:
    inside = Difference(0.01, -0.02, 0.04, 300, (0.01,), 0.001, 0.2)
    assert p_value(inside, "within", 0.05) == 0.2
    outside = Difference(0.2, 0.1, 0.3, 300, (0.18, 0.22), 0.0005, 0.002)
    assert p_value(outside, "within", 0.05) == 0.002
    assert verdict(outside, "within", 0.05, 0.002) == "not supported"


def test_no_worse_than_is_weighed_at_its_margin() -> None:
    rng = np.random.default_rng(2)
    side = [training(rng, 0.0, 400, of_text=0.0) for _ in range(2)]
    found = difference(side, [[value._replace(value=value.value + 0.01) for value in one] for one in side], margin=-0.2)
    assert p_value(found, "above", -0.2) == found.below < 0.01
    assert verdict(found, "above", -0.2, found.below) == "supported"


def test_sides_that_do_not_match_are_an_error() -> None:
    one = [Value(1.0, "t")]
    with pytest.raises(ValueError, match="2 trainings stand beside 1"):
        difference([one, one], [one])
    with pytest.raises(ValueError, match="no value"):
        difference([one, []], [one, one])


def test_cells_are_read() -> None:
    assert Cell.read("pa/age") == Cell("pa/age", "pa_score", "all")
    assert Cell.read("child-safety pa_rate child") == Cell("child-safety", "pa_rate", "child")
    with pytest.raises(ValueError, match="no cell"):
        Cell.read("a b c d")
