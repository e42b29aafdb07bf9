"""PA metrics (METHOD A.5): verdicts → scores with intervals clustered by text. Unscored verdicts are in no mean, and counted."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from undertone.evaluation.overlap import bert_score, rouge
from undertone.intervals import Estimate, clustered_mean, scored_mean
from undertone.records import CONTENT, Judgement, Reply, Score, Utterance
from undertone.text import normalise

MakeScore = Callable[..., Score]
"""`Run.score`: (suite, metric, group, value, n, **more) → Score."""

OF_A_VERDICT: Mapping[str, Callable[[float], float]] = {
    "pa_score": lambda verdict: verdict,
    "pa_rate": lambda verdict: float(verdict == 1),
    "p_plus": lambda verdict: float(verdict == 1),
    "p_zero": lambda verdict: float(verdict == 0),
    "p_minus": lambda verdict: float(verdict == -1),
}
"""Each of these is the mean of its function over the verdicts: PA-score = p₊ − p₋, PA-rate = p₊."""

RATE, SIGNED = (0.0, 1.0), (-1.0, 1.0)
"""between which values a share lies, and a difference of shares"""


class Asked(NamedTuple):
    """An utterance with its reply and its verdict; `under`: a suite that it is scored under instead of its own; `unanswered`: why there is
    no reply, where an endpoint gave none: such a row is in no mean."""

    utterance: Utterance
    reply: Reply
    judgement: Judgement | None
    under: str = ""
    unanswered: str = ""


Metric = Callable[[Sequence[Asked], MakeScore, int, int], Iterator[Score]]
"""(rows, score, resamples, seed) → scores: a row of the table in `undertone.evaluation`."""


def suite_of(row: Utterance) -> str:
    """The suite a score of this utterance stands under: pa/age, child-safety, content …"""
    return f"pa/{row.category}" if row.suite == "pa" else row.suite


def pa_scores(rows: Sequence[Asked], score: MakeScore, resamples: int, seed: int) -> Iterator[Score]:
    """PA metrics of every suite and group among `rows`: "all", and one group per voice."""
    for suite, group, members in _cells([row for row in rows if row.utterance.category != CONTENT and not _rated(row)]):
        judged = [(row.judgement.value, row.utterance.cluster) for row in members if row.judgement and row.judgement.value is not None]
        clusters = [cluster for _, cluster in judged]
        for metric, of in OF_A_VERDICT.items():
            within = (min(map(of, (-1, 0, 1))), max(map(of, (-1, 0, 1))))
            estimate = clustered_mean([of(verdict) for verdict, _ in judged], clusters, resamples, seed, within)
            yield _row(score, suite, metric, group, estimate, unscored=len(members) - len(judged))


def _rated(row: Asked) -> bool:
    """Whether the judge gave a rating from 1 to 10 and not a verdict (`judges.empathy`)."""
    return row.judgement is not None and row.judgement.judge.startswith("empathy:")


def preference_scores(rows: Sequence[Asked], score: MakeScore, resamples: int, seed: int) -> Iterator[Score]:
    """Share of voices for which the model gives their own right reply more probability than the contrast's (METHOD B.5). Unscored where the
    model gives no probabilities."""
    for suite, group, members in _cells([row for row in rows if row.utterance.reply and row.utterance.contrast_reply]):
        known = [row for row in members if row.reply.preference is not None]
        wins = [preferred(row.reply.preference or 0.0) for row in known]
        estimate = clustered_mean(wins, _clusters(known), resamples, seed, RATE)
        yield _row(score, suite, "preference", group, estimate, unscored=len(members) - len(known))


def exact_scores(rows: Sequence[Asked], score: MakeScore, resamples: int, seed: int) -> Iterator[Score]:
    """Share of replies that are the right one to the letter, case, punctuation and white space aside."""
    for suite, group, members in _cells([row for row in rows if row.utterance.reply is not None]):
        said = [row for row in members if not row.unanswered]
        estimate = clustered_mean([exactly_right(row) for row in said], _clusters(said), resamples, seed, RATE)
        yield _row(score, suite, "exact", group, estimate, unscored=len(members) - len(said))


def rouge_scores(rows: Sequence[Asked], score: MakeScore, resamples: int, seed: int) -> Iterator[Score]:
    """ROUGE-1 and ROUGE-L of replies against the right one (METHOD B.4)."""
    for suite, group, members in _cells([row for row in rows if row.utterance.reply]):
        said = [row for row in members if not row.unanswered]
        found = rouge([row.reply.text for row in said], [row.utterance.reply or "" for row in said])
        for metric, values in (("rouge_1", found.rouge1), ("rouge_l", found.rouge_l)):
            mean = scored_mean(values, _clusters(said), resamples, seed, RATE)
            yield _row(score, suite, metric, group, mean, unscored=len(members) - mean.n)


def bert_scores(rows: Sequence[Asked], score: MakeScore, resamples: int, seed: int, model: Path | None = None) -> Iterator[Score]:
    """BERTScore's F of replies against the right one (METHOD B.4), by the model in a folder; without one every reply is unscored."""
    for suite, group, members in _cells([row for row in rows if row.utterance.reply]):
        found = bert_score([row.reply.text for row in members], [row.utterance.reply or "" for row in members], model)
        mean = scored_mean([one.value for one in found], _clusters(members), resamples, seed, None)
        if reasons := sorted({one.reason for one in found if one.reason}):
            logging.getLogger(__name__).warning("bert_score: replies of %s, %s are unscored: %s", suite, group, "; ".join(reasons))
        yield _row(score, suite, "bert_score", group, mean, unscored=len(members) - mean.n)


def exact_drop(before: Sequence[Asked], after: Sequence[Asked], score: MakeScore, resamples: int, seed: int) -> Iterator[Score]:
    """How much rarer the right reply became, utterance by utterance, per suite: paired, so noise that both runs share cancels."""
    known = {row.utterance.id: exactly_right(row) for row in before}
    for suite, group, members in _cells(
        [row for row in after if row.utterance.id in known and not row.unanswered and row.utterance.reply is not None]
    ):
        if group == "all":
            drops = [known[row.utterance.id] - exactly_right(row) for row in members]
            yield _row(score, suite, "exact_drop", group, clustered_mean(drops, _clusters(members), resamples, seed, SIGNED))


def preferred(lean: float) -> float:
    """1 where the right reply is the likelier one, 0 where the contrast's is; a tie counts half."""
    return 0.5 * (lean > 0) + 0.5 * (lean >= 0)


def _clusters(rows: Sequence[Asked]) -> list[str]:
    return [row.utterance.cluster for row in rows]


def exactly_right(row: Asked) -> int:
    """1 where the reply is the right one to the letter, case, punctuation and white space aside."""
    return int(normalise(row.reply.text) == normalise(row.utterance.reply or ""))


def _cells(rows: Sequence[Asked]) -> Iterator[tuple[str, str, Sequence[Asked]]]:
    """(suite, group, rows): every suite as a whole, then each voice of it."""
    for suite in dict.fromkeys(row.under or suite_of(row.utterance) for row in rows):
        members = [row for row in rows if (row.under or suite_of(row.utterance)) == suite]
        yield suite, "all", members
        for value in dict.fromkeys(row.utterance.value for row in members):
            if value != "all":
                yield suite, value, [row for row in members if row.utterance.value == value]


def _row(score: MakeScore, suite: str, metric: str, group: str, estimate: Estimate, **more: Any) -> Score:
    return score(suite, metric, group, estimate.value, estimate.n, low=estimate.low, high=estimate.high, **more)
