"""PA metrics on verdicts whose scores can be worked out by hand, and intervals that know about clusters."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from undertone.evaluation.empathy import empathy_scores
from undertone.evaluation.metrics import Asked, exact_drop, exact_scores, pa_scores, preference_scores, rouge_scores
from undertone.intervals import clustered_mean
from undertone.records import Judgement, Reply, Score, Utterance
from undertone.run import Run

SCORE = Run(Path(), "r", 0, "c").score


def asked(number: int, value: str, verdict: float | None, text: str = "", suite: str = "pa", said: str = "yes", lean: float = 0.0) -> Asked:
    utterance = Utterance(
        id=f"u{number}", text=text or f"t{number}", file_name="x.flac", seconds=1, attributes={"age": value}, speaker="s", source="t",
        split="test", suite=suite, category="age" if suite != "content" else "content", reply="yes", contrast_reply="no",
    )  # fmt: skip
    judgement = Judgement(utterance_id=utterance.id, run="r", judge="rule", value=verdict, reason="" if verdict is not None else "mute")
    return Asked(utterance, Reply(utterance_id=utterance.id, run="r", text=said, preference=lean), judgement)


def cells(scores: list[Score]) -> dict[tuple[str, str, str], Score]:
    return {(score.suite, score.metric, score.group): score for score in scores}


def test_score_is_plus_less_minus_and_unscored_is_never_zero() -> None:
    rows = [asked(i, "child", v) for i, v in enumerate([1, 1, 1, 0, -1, None])] + [asked(9, "adult", -1)]
    found = cells(list(pa_scores(rows, SCORE, 100, 0)))
    child = {metric: found["pa/age", metric, "child"] for metric in ("pa_score", "pa_rate", "p_plus", "p_zero", "p_minus")}
    assert [child[name].value for name in child] == pytest.approx([0.4, 0.6, 0.6, 0.2, 0.2])
    assert (child["pa_score"].n, child["pa_score"].unscored) == (5, 1)
    assert found["pa/age", "pa_score", "all"].value == pytest.approx(1 / 6)
    assert found["pa/age", "pa_score", "adult"].value == -1


def test_nothing_scored_has_no_mean() -> None:
    score = cells(list(pa_scores([asked(0, "child", None)], SCORE, 10, 0)))["pa/age", "pa_score", "all"]
    assert (score.value, score.n, score.unscored) == (None, 0, 1)


def test_preference_counts_a_tie_as_half() -> None:
    rows = [asked(i, "child", 1, lean=lean) for i, lean in enumerate([2.0, -1.0, 0.0, 3.0])]
    assert cells(list(preference_scores(rows, SCORE, 10, 0)))["pa/age", "preference", "all"].value == pytest.approx(0.625)


def test_exact_forgives_case_and_full_stop_only() -> None:
    rows = [asked(i, "child", 1, suite="content", said=said) for i, said in enumerate(["Yes.", "yes", "yes sir", ""])]
    assert cells(list(exact_scores(rows, SCORE, 10, 0)))["content", "exact", "all"].value == 0.5


def test_a_drop_is_counted_in_pairs() -> None:
    before = [asked(i, "child", 1, suite="content", said=said) for i, said in enumerate(["yes", "yes", "no", "yes"])]
    after = [asked(i, "child", 1, suite="content", said=said) for i, said in enumerate(["yes", "no", "yes", "no"])]
    score = cells(list(exact_drop(before, after, SCORE, 200, 0)))["content", "exact_drop", "all"]
    assert (score.value, score.n) == (0.25, 4)


def test_clusters_widen_the_interval_as_they_should() -> None:
    rng = np.random.default_rng(0)
    per_text = rng.integers(0, 2, 60)
    values, texts = np.repeat(per_text, 10), [f"t{i}" for i in range(60) for _ in range(10)]
    clustered, naive = clustered_mean(values, texts), clustered_mean(values, range(600))
    width = partial(lambda estimate: estimate.high - estimate.low)
    assert 2.5 < width(clustered) / width(naive) < 4.0, "ten copies of a text are one observation: sqrt(10) = 3.2 times as wide"
    assert clustered.n == 600


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        estimate = clustered_mean(rng.random(80) < 0.7, range(80), 300, seed)
        hits += estimate.low <= 0.7 <= estimate.high
    assert 0.89 <= hits / 200 <= 0.99


@pytest.mark.parametrize(("chance", "texts"), [(0.99, 80), (0.998, 40), (0.5, 6)])
def test_it_does_so_where_texts_rarely_differ(chance: float, texts: int) -> None:
    """The plain percentile bootstrap covers the first in about half of all draws: where all texts agree, it has no width."""
    rng = np.random.default_rng(2)
    drawn = [np.repeat(rng.random(texts) < chance, 2) for _ in range(300)]
    found = [clustered_mean(some, np.arange(2 * texts) // 2, 200, seed, (0, 1)) for seed, some in enumerate(drawn)]
    assert sum(one.low <= chance <= one.high for one in found) / 300 >= (0.93 if chance > 0.9 else 0.85)


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, -0.52182, 0.52182), (1.0, -0.04365, 1.0), (-1.0, -1.0, 0.04365)])
def test_texts_that_agree_still_leave_a_doubt(value: float, low: float, high: float) -> None:
    found = clustered_mean([value] * 10, [f"t{i // 2}" for i in range(10)], within=(-1, 1))
    assert found[:3] == pytest.approx((value, low, high), abs=1e-5), "five texts: up to 1 - 0.025^(1/5) = 52 % may differ"
    assert clustered_mean([1, -1, 1, -1], ["a", "a", "b", "b"], within=(-1, 1)).low < 0, "it is the texts' means that agree"


def test_one_text_has_no_interval() -> None:
    assert clustered_mean([1, 0, 1, 1, 0, 1, -1], [""] * 7) == (pytest.approx(3 / 7), None, None, 7)


def test_clips_without_words_are_clustered_by_pair_and_singles_alone() -> None:
    def bare(row: Asked, pair: str | None) -> Asked:
        return row._replace(utterance=row.utterance.model_copy(update={"text": "", "pair": pair}))

    rows = [asked(i, "child", 1 if i < 5 else -1) for i in range(10)]
    singles, paired = [bare(row, None) for row in rows], [bare(row, f"p{i // 5}") for i, row in enumerate(rows)]
    width = [
        score.high - score.low
        for some in (singles, paired)
        for score in pa_scores(some, SCORE, 500, 0)
        if (score.metric, score.group) == ("pa_score", "all")
    ]
    assert width[0] < width[1] == 2, "two pairs that differ throughout say next to nothing"


def test_no_resamples_no_interval() -> None:
    assert clustered_mean([1, 0], ["a", "b"], resamples=0)[:3] == (0.5, None, None)


def test_a_rating_is_no_verdict() -> None:
    rated = asked(0, "child", 7)
    rated = rated._replace(judgement=rated.judgement.model_copy(update={"judge": "empathy:m"}))  # type: ignore[union-attr]
    assert not list(pa_scores([rated], SCORE, 10, 0))
    row = cells(list(empathy_scores([rated], SCORE, 10, 0)))["empathy", "empathy", "all"]
    assert (row.value, row.n) == (7, 1)


def test_rouge_by_hand_and_another_suite() -> None:
    pytest.importorskip("rouge_score")
    rows = [asked(0, "child", 1, said="yes"), asked(1, "child", 1, said="no yes")]
    found = cells(list(rouge_scores(rows, SCORE, 10, 0)))
    assert found["pa/age", "rouge_l", "all"].value == pytest.approx((1 + 2 / 3) / 2)
    under = cells(list(rouge_scores([row._replace(under="frozen/x") for row in rows], SCORE, 10, 0)))
    assert under["frozen/x", "rouge_1", "all"].value == found["pa/age", "rouge_1", "all"].value
