"""Can the judge be trusted? Replies whose verdicts are known, and a second judge on the same replies.

The right reply to each voice should be +1 (`oracle`), the other voice's −1 (`swapped`), and what somebody says who knows nothing of the
speaker about 0 over both voices (`vanilla`). Agreement of two judges is Cohen's κ: how much more often they agree than two judges would who
give the same shares of verdicts blindly.
"""

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import final

import numpy as np

from undertone.evaluation.judges.rule import RuleJudge
from undertone.evaluation.metrics import RATE, SIGNED
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite, clusters, verdicts
from undertone.evaluation.suites.pa import in_folder
from undertone.intervals import Array, clustered_mean, clustered_statistic, scored_mean
from undertone.records import CONTENT, Score
from undertone.speech.folder import read_folder

SUITE = "judge-check"
EXPECTED = MappingProxyType({"oracle": 1.0, "swapped": -1.0, "vanilla": 0.0})
"""Replies of which kind, and the PA-score that a judge should give them."""
_FIELDS = {"oracle": "reply", "swapped": "contrast_reply", "vanilla": "content_reply"}
VERDICTS = (-1, 0, 1)


@final
class JudgeCheck(Suite):
    """Judge check: verdicts on replies known to be right, wrong and neutral, and agreement with a second judge; no model is asked."""

    reads = "a data folder whose rows have reply, contrast_reply and content_reply"
    gives = "pa_score of oracle, swapped and vanilla replies, kappa, agreement"
    judges = ("chosen", "second")

    def load(self, source: Source) -> Loaded:
        """Each utterance of a pair with three replies, for each of two judges."""
        rows = [
            row for row in read_folder(source.data).utterances if row.split == source.split and row.category != CONTENT and row.contrast
        ]
        items = []
        for row in rows:
            for kind, field in _FIELDS.items():
                if said := getattr(row, field):
                    for judge in self.judges:
                        facts = {"said": said, "kind": kind, "judge": judge, "of": f"{row.id}/{kind}"}
                        items.append(Item(row.model_copy(update={"id": f"{row.id}/{kind}/{judge}"}), SUITE, facts))
        if not items:
            raise ValueError(f"{source.data}: no row of split {source.split!r} has a contrast and replies to judge")
        return Loaded(items, in_folder(source.data))

    def judged_by(self, item: Item) -> str:
        """Both judges, in turn."""
        return str(item.facts["judge"])

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """The first judge's PA-scores, and the agreement of both."""
        for kind, expected in EXPECTED.items():
            rows = [row for row in answered if row.item.facts["kind"] == kind and row.item.facts["judge"] == "chosen"]
            if rows:
                mean = scored_mean(verdicts(rows), clusters(rows), how.resamples, how.seed, SIGNED)
                missing, details = len(rows) - mean.n, {"expected": expected}
                yield how.score(
                    SUITE, "pa_score", kind, mean.value, mean.n, low=mean.low, high=mean.high, unscored=missing, details=details
                )
        yield from _agreement(answered, how)


def kappa(counts: Array) -> Array:
    """Cohen's κ (1960) of counts (…, 9), verdicts of the first by verdicts of the second judge; NaN where both give one verdict only."""
    table = counts.reshape(*counts.shape[:-1], 3, 3)
    whole = table.sum((-1, -2))
    same = np.trace(table, axis1=-2, axis2=-1) / whole
    blind = (table.sum(-1) * table.sum(-2)).sum(-1) / whole**2
    return np.asarray((same - blind) / (1 - blind))


def _agreement(answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
    by_reply: dict[str, dict[str, Answered]] = {}
    for row in answered:
        by_reply.setdefault(row.item.facts["of"], {})[row.item.facts["judge"]] = row
    both = [(some["chosen"], some["second"]) for some in by_reply.values() if len(some) == 2]
    if all(row.judgement and row.judgement.judge == RuleJudge.name for pair in both for row in pair):
        return  # it agrees with itself
    pairs = [(one, _value(one), _value(other)) for one, other in both]
    known = [(row, first, second) for row, first, second in pairs if first is not None and second is not None]
    cells = np.zeros((len(known), 9))
    for i, (_, first, second) in enumerate(known):
        cells[i, 3 * VERDICTS.index(int(first)) + VERDICTS.index(int(second))] = 1
    names = clusters(row for row, _, _ in known)
    missing = len(both) - len(known)
    same = [first == second for _, first, second in known]
    yield how.row(SUITE, "agreement", "all", clustered_mean(same, names, how.resamples, how.seed, RATE), unscored=missing)
    yield how.row(SUITE, "kappa", "all", clustered_statistic(cells, kappa, names, how.resamples, how.seed, SIGNED), unscored=missing)


def _value(row: Answered) -> float | None:
    return row.judgement.value if row.judgement else None
