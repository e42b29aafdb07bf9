"""What SD-Eval and StyleTalk share: replies compared with several right ones, and how feelings are called elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from undertone.evaluation.metrics import RATE
from undertone.evaluation.overlap import rouge
from undertone.evaluation.suites.base import Answered, Scoring, clusters, verdicts
from undertone.intervals import scored_mean
from undertone.records import Score

FEELINGS: Mapping[str, str] = MappingProxyType(
    {
        "happy": "happy",
        "cheerful": "happy",
        "sad": "sad",
        "angry": "angry",
        "fear": "fearful",
        "neutral": "neutral",
        "surprise": "surprised",
    }
)
"""Their words → our values of emotion; what is not here has none of ours."""

RATINGS = (1.0, 10.0)


def likeness(answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
    """rouge_1 and rouge_l of each reply with the right one that it is likest, per suite; unscored where rouge-score is not installed or the
    script is none that it splits."""
    for suite in dict.fromkeys(row.item.suite for row in answered):
        rows = [row for row in answered if row.item.suite == suite]
        flat = [(i, right) for i, row in enumerate(rows) for right in row.item.facts["right"]]
        found = rouge([rows[i].reply.text for i, _ in flat], [right for _, right in flat])
        for metric, values in (("rouge_1", found.rouge1), ("rouge_l", found.rouge_l)):
            best: list[float | None] = [None] * len(rows)
            for (i, _), value in zip(flat, values, strict=True):
                if value is not None:
                    best[i] = max(value, best[i] or 0.0)
            mean = scored_mean(best, clusters(rows), how.resamples, how.seed, RATE)
            yield how.row(suite, metric, "all", mean, unscored=len(rows) - mean.n)


def ratings(answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
    """The mean rating, 1 to 10, of each suite and of each style in it."""
    for suite in dict.fromkeys(row.item.suite for row in answered):
        rows = [row for row in answered if row.item.suite == suite]
        for group in ("all", *dict.fromkeys(row.item.facts["style"] for row in rows)):
            some = [row for row in rows if group in ("all", row.item.facts["style"])]
            mean = scored_mean(verdicts(some), clusters(some), how.resamples, how.seed, RATINGS)
            yield how.row(suite, "empathy", group, mean, unscored=len(some) - mean.n)
