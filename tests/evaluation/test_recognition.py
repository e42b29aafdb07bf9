"""Answers read strictly, and UA, WA, recall and F1 on tables that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from undertone.attributes import ATTRIBUTES, Attribute, Value
from undertone.evaluation.recognition import Named, parse_value, phrases, recognition_scores, ua_difference
from undertone.records import Score
from undertone.run import Run

SCORE = Run(Path(), "r", 0, "c").score
FOUR = [Named("sad", "sad", "a"), Named("sad", None, "b"), Named("sad", "happy", "a"), Named("happy", "happy", "b")]
"""Recall 1/3 and 1; precision 1 and 1/2."""
VALUES = ATTRIBUTES["emotion"].names
ROWS = st.lists(
    st.builds(Named, st.sampled_from(VALUES[:4]), st.none() | st.sampled_from(VALUES), st.sampled_from("abcde")), min_size=1, max_size=30
)


def cells(rows: list[Named], resamples: int = 200) -> dict[tuple[str, str], Score]:
    return {(row.metric, row.group): row for row in recognition_scores(rows, SCORE, resamples, 0, "emotion")}


def interval(score: Score) -> tuple[float | None, ...]:
    return score.value, score.low, score.high


@pytest.mark.parametrize(
    ("reply", "attribute", "value"),
    [
        ("sad", "emotion", "sad"),
        ("The speaker sounds SAD.", "emotion", "sad"),
        ("sad, very sad", "emotion", "sad"),
        ("The speaker is a woman", "gender", "female"),
        ("It is a woman's voice.", "gender", "female"),
        ("man", "gender", "male"),
        ("a male", "gender", "male"),
        ("An adult woman", "age", "adult"),
        ("An adult woman", "gender", "female"),
        ("a child’s voice", "age", "child"),
        ("No, a child.", "age", "child"),
        ("an unusual voice", "age", None),
        ("a child or an adult", "age", None),
        ("a man or a woman", "gender", None),
        ("happy and sad", "emotion", None),
        ("unhappy", "emotion", None),
        ("the speaker sounds", "emotion", None),
        ("This is not a child", "age", None),
        ("It isn't an adult", "age", None),
        ("It isn’t an adult", "age", None),
        ("", "age", None),
    ],
)
def test_an_answer_is_read_strictly(reply: str, attribute: str, value: str | None) -> None:
    assert parse_value(reply, attribute) == value


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_is_read_by_its_name_and_by_its_note(attribute: str) -> None:
    for value in ATTRIBUTES[attribute].values:
        assert parse_value(value.name, attribute) == value.name
        assert parse_value(f"The speaker {value.note}.", attribute) == value.name


def test_an_attribute_of_ones_own_is_read_by_what_sets_its_notes_apart() -> None:
    accents = [Value("indian", "speaks with an Indian accent", "", {}), Value("scots", "speaks with a Scottish accent", "", {})]
    assert phrases(Attribute("accent", tuple(accents), "")) == {"indian": {"indian"}, "scots": {"scots", "scottish"}}


def test_an_unknown_attribute_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'accent'; known: age, gender"):
        parse_value("sad", "accent")


def test_worked_out_by_hand() -> None:
    found = cells(FOUR)
    values = {key: score.value for key, score in found.items()}
    assert values == {
        ("ua", "all"): pytest.approx(2 / 3),
        ("f1", "all"): pytest.approx((1 / 2 + 2 / 3) / 2),
        ("wa", "all"): 0.5,
        ("unparsed", "all"): 0.25,
        ("recall", "happy"): 1.0,
        ("recall", "sad"): pytest.approx(1 / 3),
    }
    assert [found["ua", "all"].n, found["recall", "sad"].n, found["ua", "all"].unscored] == [4, 3, 0]
    assert found["ua", "all"].suite == "recognition/emotion"
    assert interval(found["recall", "happy"])[1:] == (None, None), "one speaker of a class says nothing about others"
    assert interval(found["ua", "all"])[1:] == (None, None), "nor does the mean that rests on it"


def test_without_rows_there_is_no_mean() -> None:
    assert [(row.value, row.n) for row in cells([]).values()] == [(None, 0)] * 4


def test_always_the_same_answer_is_chance_however_rare_the_other_class() -> None:
    rows = [Named("adult", "adult", f"s{i}") for i in range(9)] + [Named("child", "adult", f"s{i}") for i in range(3)]
    ua = cells(rows)["ua", "all"]
    unseen = 1 - 0.025 ** (1 / 3)
    assert interval(ua) == pytest.approx((0.5, 0.5 - unseen / 2, 0.5 + unseen / 2)), "no resample differs: three speakers bound it"
    assert cells(rows)["wa", "all"].value == 0.75


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@given(ROWS)
def test_ua_and_f1_are_those_of_scikit_learn(rows: list[Named]) -> None:
    truth, said = [row.truth for row in rows], [row.said or "none" for row in rows]
    found = cells(rows, resamples=0)
    recalls = [score.value for (metric, _), score in found.items() if metric == "recall"]
    assert found["ua", "all"].value == pytest.approx(np.mean(recalls))
    assert found["ua", "all"].value == pytest.approx(balanced_accuracy_score(truth, said))
    assert found["f1", "all"].value == pytest.approx(f1_score(truth, said, labels=sorted(set(truth)), average="macro", zero_division=0))


@given(ROWS, st.permutations(VALUES))
def test_names_of_classes_do_not_matter(rows: list[Named], names: list[str]) -> None:
    other = dict(zip(VALUES, names, strict=True))
    renamed = [row._replace(truth=other[row.truth], said=other[row.said] if row.said else None) for row in rows]
    for metric in ("ua", "f1", "wa", "unparsed"):
        assert interval(cells(rows)[metric, "all"]) == pytest.approx(interval(cells(renamed)[metric, "all"]))


@given(ROWS)
def test_every_row_twice_changes_nothing_but_n(rows: list[Named]) -> None:
    once, twice = cells(rows), cells([row for row in rows for _ in range(2)])
    for key, score in once.items():
        assert interval(score) == pytest.approx(interval(twice[key]))
        assert twice[key].n == 2 * score.n


def test_the_interval_of_ua_knows_about_speakers_and_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    hits, width, naive = 0, 0.0, 0.0
    for _ in range(60):
        skill = {f"s{i}": rng.choice([0.4, 0.8]) for i in range(24)}
        rows = [
            Named(value, value if rng.random() < chance else "neutral", name)
            for name, chance in skill.items()
            for value in ("sad", "happy", "angry")
            for _ in range(10)
        ]
        ua = cells(rows)["ua", "all"]
        alone = cells([row._replace(cluster=str(i)) for i, row in enumerate(rows)])["ua", "all"]
        hits += ua.low <= 0.6 <= ua.high
        width, naive = width + ua.high - ua.low, naive + alone.high - alone.low
    assert hits >= 51
    assert width > 1.7 * naive, "as if every clip had its own speaker"


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(1)
    rows = [
        Named(v, v if rng.random() < skill else None, f"s{i}") for i, skill in enumerate(rng.random(20)) for v in VALUES for _ in range(5)
    ]
    better = [row._replace(said=row.truth) if i % 10 == 0 else row for i, row in enumerate(rows)]
    (score,) = ua_difference(better, rows, SCORE, 400, 0, "emotion")
    alone = cells(better)["ua", "all"]
    assert score.value == pytest.approx(alone.value - cells(rows)["ua", "all"].value)
    assert 0 < score.low < score.value < score.high
    assert score.high - score.low < 0.5 * (alone.high - alone.low), "what speakers have in common cancels"
    (same,) = ua_difference(rows, rows, SCORE, 100, 0, "emotion")
    assert (same.metric, same.value, same.n) == ("ua_difference", 0, 600)
    assert same.low < 0 < same.high
    (thin,) = ua_difference(FOUR, FOUR, SCORE, 100, 0, "emotion")
    assert interval(thin) == (0, None, None), "only one speaker is happy"


def test_a_difference_of_other_clips_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"row 1: 'sad' of 'b' stands beside 'happy' of 'b'"):
        list(ua_difference(FOUR, [FOUR[0], FOUR[3], FOUR[2], FOUR[1]], SCORE, 10, 0, "emotion"))
