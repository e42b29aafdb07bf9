"""Estimates and tables: seeds are pooled without hiding any, the noise of the best is marked, controls are judged."""

import pytest
from report_rows import before_and_after, score

from undertone.reporting.controls import controls
from undertone.reporting.estimates import Key, as_trained, estimates
from undertone.reporting.strengths import Place, over_refusal, scaled
from undertone.reporting.tables import cost, section, suites

AGE = ("pa/age", "pa_score", "all")


def test_seeds_are_pooled_and_the_interval_holds_them_all() -> None:
    rows = [score("pe-ft", *AGE, value, 0.02, seed=seed, unscored=seed) for seed, value in enumerate((0.9, 0.96, 0.93))]
    one = estimates(rows)[Key("pe-ft", *AGE)]
    assert one.value == pytest.approx(0.93)
    assert (one.low, one.high) == (pytest.approx(0.88), pytest.approx(0.98))
    assert (one.n, one.unscored, one.least, one.most) == ("3 × 200", 3, 0.9, 0.96)


def test_a_seed_without_a_value_is_in_no_mean_yet_counted() -> None:
    one = estimates([score("a", *AGE, 0.5), score("a", *AGE, None, seed=1, n=0, unscored=200)])[Key("a", *AGE)]
    assert (one.value, one.low, one.n, one.unscored) == (0.5, 0.49, "200 + 0", 200)


def test_two_answers_to_one_question_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vanilla · pa/age · pa_score · all at seed 0"):
        estimates([score("vanilla", *AGE, 0.1), score("vanilla", *AGE, 0.2)])
    assert estimates([score("vanilla", *AGE, 0.1)] * 2)[Key("vanilla", *AGE)].n == "200"


def test_best_and_noise_of_the_best() -> None:
    rows = [
        score("vanilla", *AGE, 0.0),
        score("all-layer", *AGE, 0.94, 0.02),
        score("pe-ft", *AGE, 0.95, 0.02),
        score("selective", *AGE, 0.949, None),
    ]
    table = section(estimates(rows), "pa/age").overall
    assert table is not None
    assert {line.run: line.cells[0].mark for line in table.lines} == {"vanilla": "", "all-layer": "noise", "selective": "", "pe-ft": "best"}


def test_sections_hold_every_voice_and_the_shares() -> None:
    one = section(estimates(before_and_after()), "child-safety")
    assert one.overall is None
    assert [(metric, [column.head for column in table.columns]) for metric, table in one.finer.items()] == [("pa_rate", ["adult", "child"])]
    age = section(estimates(before_and_after()), "pa/age").overall
    assert age is not None
    assert [line.cells[0].shares for line in age.lines] == [None, (0.97, 0.01, 0.02)]
    assert suites(estimates(before_and_after())) == ["pa/age", "child-safety", "content"]


def test_what_some_group_alone_has_is_shown_for_the_runs_that_have_it() -> None:
    """A paired difference, a recall, what a probe reads: none has a value over all groups, and not every run was measured so."""
    rows = [score(run, "frozen/x", "ua", "all", 0.7) for run in ("aligned", "classifier")]
    rows += [score("aligned", "frozen/x", "ua_difference", "less classifier", -0.01)]
    rows += [score(run, "frozen/x", "recall", "sad", 0.6) for run in ("aligned", "classifier")]
    one = section(estimates(rows), "frozen/x")
    assert list(one.finer) == ["recall", "ua_difference"]
    assert [line.run for line in one.finer["ua_difference"].lines] == ["aligned"]
    assert [column.head for column in one.finer["recall"].columns] == ["sad"]


def test_a_suite_is_led_by_what_it_is_for() -> None:
    rows = [score("aligned", "frozen/leaning", metric, "all", 0.7) for metric in ("ua", "wa", "own_likeliest")]
    assert section(estimates(rows), "frozen/leaning").lead == "own_likeliest"


def test_cost_takes_every_metric_and_group() -> None:
    rows = [score("pe-ft", "cost", "seconds", group, 9.0, None, n=1) for group in ("asking", "training")]
    rows.append(score("vanilla", "cost", "trainable_parameters", "all", 0, None, n=1))
    table = cost(estimates(rows))
    assert table is not None
    assert [column.head for column in table.columns] == ["Trainable parameters", "Time, training", "Time, asking"]
    assert {line.run: [cell.text for cell in line.cells] for line in table.lines} == {
        "vanilla": ["0", "–", "–"],
        "pe-ft": ["–", "9.0\u202fs", "9.0\u202fs"],
    }


def test_controls_are_judged_by_their_interval_and_ceilings_are_not() -> None:
    rows = [
        score("pe-ft", f"control/{name}", "pa_score", "all", value, half)
        for name, value, half in [("text-only", 0.01, 0.05), ("shuffled-audio", 0.3, 0.05), ("oracle-label", 0.99, 0.01)]
    ]
    rows.append(score("vanilla", "control/text-only", "pa_score", "all", 0.0, None))
    rows += [score("pe-ft", "control/swapped-audio", "pa_score", group, -0.9, 0.05) for group in ("age", "child-safety")]
    rows += [score("pe-ft", suite, "pa_score", "all", 0.94, 0.02) for suite in ("pa/age", "child-safety")]
    found = [(one.name, one.run, one.holds, one.reading) for one in controls(estimates(rows))]
    assert found == [
        ("text-only", "vanilla", None, "–"),
        ("text-only", "pe-ft", True, "at chance"),
        ("shuffled-audio", "pe-ft", False, "not at chance"),
        ("swapped-audio", "pe-ft", True, "minus its own score"),
        ("oracle-label", "pe-ft", None, "upper bound"),
    ]


def curve() -> list:
    rows = [row for row in before_and_after() if row.suite == "child-safety"]
    for at, child in ((0.25, 0.1), (0.5, 0.6)):
        rows.append(score(f"pe-ft@{at}", "child-safety", "pa_rate", "child", child))
        rows.append(score("pe-ft", "child-safety", "pa_rate", "adult", 0.98, details={"strength": at}))
    return rows


def test_strengths_come_from_names_and_details_and_stay_out_of_the_tables() -> None:
    found = scaled(curve(), "pe-ft")
    assert {place: one.value for place, one in found.items()} == {
        Place("adult", 0.0): 1.0, Place("adult", 0.25): 0.98, Place("adult", 0.5): 0.98, Place("adult", 1.0): 0.99,
        Place("child", 0.0): 0.0, Place("child", 0.25): 0.1, Place("child", 0.5): 0.6, Place("child", 1.0): 0.981,
    }  # fmt: skip
    assert {row.run for row in as_trained(curve())} == {"vanilla", "pe-ft"}
    assert len(over_refusal(curve(), "pe-ft")) == 2


def test_full_strength_alone_is_no_curve() -> None:
    rows = [row.model_copy(update={"details": {"strength": 1.0}}) for row in before_and_after()]
    assert over_refusal(rows, "pe-ft") == []
    assert len(as_trained(rows)) == len(rows)


def test_a_strength_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match=r"run 'pe-ft@much'"):
        scaled([score("pe-ft@much", "child-safety", "pa_rate", "child", 0.1)], "pe-ft")
