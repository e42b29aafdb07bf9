"""The mean of the empathy judge's ratings (METHOD B.4), clustered by text."""

from collections.abc import Iterator, Sequence

from undertone.evaluation.judges.empathy import EMOTION, EmpathyJudge
from undertone.evaluation.metrics import Asked, MakeScore
from undertone.intervals import scored_mean
from undertone.records import Score

SCALE = (1.0, 10.0)
"""Between which values a rating lies."""


def empathy_scores(rows: Sequence[Asked], score: MakeScore, resamples: int, seed: int) -> Iterator[Score]:
    """Mean rating of all replies that went to the empathy judge, and of each emotion's; what is unscored is in no mean, and counted."""
    asked = [row for row in rows if row.judgement and row.judgement.judge.startswith(f"{EmpathyJudge.kind}:")]
    emotions = [row.utterance.attributes.get(EMOTION) for row in asked]
    for group in dict.fromkeys(["all" for _ in asked] + [emotion for emotion in emotions if emotion]):
        members = [row for row, emotion in zip(asked, emotions, strict=True) if group in ("all", emotion)]
        ratings = [row.judgement.value if row.judgement else None for row in members]
        mean = scored_mean(ratings, [row.utterance.cluster for row in members], resamples, seed, SCALE)
        yield score("empathy", "empathy", group, mean.value, mean.n, low=mean.low, high=mean.high, unscored=len(members) - mean.n)
