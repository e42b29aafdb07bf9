"""VoiceBench (arXiv 2410.17196): nine subsets and their mean, HS, by the rules of the official evaluator, but nothing is drawn.

Where the official code draws an answer (an option that is not named, a conclusion that is not said), the reply is unscored here. HS is the
mean of the nine subsets as fractions, ratings over five: the leaderboard's figure over 100 (METHOD A.5). Ratings and yes/no verdicts are by
rubrics of ours (`judges/rubric_rating_v1.txt`, `rubric_answer_v1.txt`), so they compare between runs with one judge, and with the
leaderboard only roughly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np

from undertone.evaluation.metrics import RATE
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite, clusters, verdicts
from undertone.evaluation.suites.voicebench import questions
from undertone.evaluation.suites.voicebench.choices import choice
from undertone.evaluation.suites.voicebench.instructions import followed
from undertone.evaluation.suites.voicebench.questions import OVERALL
from undertone.evaluation.suites.voicebench.reasoning import conclusion
from undertone.evaluation.suites.voicebench.refusals import declines
from undertone.intervals import Array, clustered_statistic, scored_mean
from undertone.records import Score

Marks = Sequence[float | None]
RATING, ANSWER = "voicebench_rating", "voicebench_answer"
RATINGS = (1.0, 5.0)


class Parts(NamedTuple):
    """What a subset's figure is computed from: sums over items of `columns` (item, part), and the figure `of` them as a fraction."""

    columns: Array
    of: Callable[[Array], Array]
    clusters: Sequence[str]

    @property
    def scored(self) -> int:
        """How many of its items are scored: the second part of each says whether; an IFEval prompt is where all of it can be told."""
        return int((self.columns[:, 1] > 0).sum())


@final
class VoiceBench(Suite):
    """VoiceBench: open questions, SD-QA, MMSU, OpenBookQA, BBH, IFEval, AdvBench."""

    reads = "`hlt-lab/voicebench` on the hub, a copy of it, or a folder of SUBSET.jsonl"
    gives = "rating, accuracy, refusal_rate, IFEval's four accuracies, hs"
    judges = (RATING, ANSWER)

    def load(self, source: Source) -> Loaded:
        """The chosen subsets (all nine of the overall score)."""
        return questions.load(source)

    def judged_by(self, item: Item) -> str:
        """Open questions are rated, SD-QA's answers compared with the reference."""
        return {"open": RATING, "qa": ANSWER}.get(item.facts["rule"], "")

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """Every subset's metrics, and hs."""
        parts: dict[str, Parts] = {}
        for suite in dict.fromkeys(row.item.suite for row in answered):
            rows = [row for row in answered if row.item.suite == suite]
            rule = rows[0].item.facts["rule"]
            yield from _RULES[rule](rows, suite, how)
            parts[suite.partition("/")[2]] = _parts(rows, rule)
        yield overall(parts, how)


def overall(parts: Mapping[str, Parts], how: Scoring) -> Score:
    """HS: the mean of the nine subsets' figures; None where one of them is missing or has no scored reply, and it says which."""
    missing = [name for name in OVERALL if name not in parts or np.isnan(_value(parts[name]))]
    if missing:
        return how.score("voicebench", "hs", "all", None, 0, unscored=len(missing), details={"missing": ", ".join(missing)})
    some = [parts[name] for name in OVERALL]
    edges = np.cumsum([0] + [one.columns.shape[1] for one in some])
    columns = np.zeros((sum(len(one.columns) for one in some), edges[-1]))
    at = 0
    for one, start, end in zip(some, edges, edges[1:], strict=False):
        columns[at : at + len(one.columns), start:end] = one.columns
        at += len(one.columns)

    def mean(sums: Array) -> Array:
        figures = [one.of(sums[..., start:end]) for one, start, end in zip(some, edges, edges[1:], strict=False)]
        return np.asarray(np.mean(figures, axis=0))

    # Subsets share no texts, so whole texts are drawn over all of them.
    names = [f"{i}:{name}" for i, one in enumerate(some) for name in one.clusters]
    thinnest = min(len(set(one.clusters)) for one in some)
    found = clustered_statistic(columns, mean, names, how.resamples, how.seed, RATE, thinnest)
    scored = sum(one.scored for one in some)
    return how.row("voicebench", "hs", "all", found._replace(n=scored), unscored=len(columns) - scored)


def shares(answered: Sequence[Answered]) -> list[tuple[str, float]]:
    """Text and worth of every reply that is scored, such that the mean of all worths is HS: what lets two runs be compared in pairs.

    Nothing where one of the nine subsets is missing or has no scored reply. Texts that are drawn again from all subsets together change
    how many are of each, so an interval of such means is rather too wide than too narrow."""
    worths: list[tuple[str, float]] = []
    for name in OVERALL:
        rows = [row for row in answered if row.item.suite.partition("/")[2] == name]
        parts = _parts(rows, rows[0].item.facts["rule"]) if rows else None
        if parts is None or np.isnan(_value(parts)):
            return []
        over, under = parts.columns[:, 0::2], parts.columns[:, 1::2]  # of IFEval's four accuracies, which count alike, or of the one figure
        each, told = (over / under.sum(0)).mean(1) / len(OVERALL), under.sum(1) > 0
        worths += [(f"{name}:{parts.clusters[i]}", float(each[i])) for i in np.flatnonzero(told).tolist()]
    return [(text, value * len(worths)) for text, value in worths]


def _value(parts: Parts) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(parts.of(parts.columns.sum(0)))


def _parts(rows: Sequence[Answered], rule: str) -> Parts:
    if rule == "ifeval":
        return Parts(_instruction_columns(rows), lambda sums: np.mean(sums[..., 0::2] / sums[..., 1::2], axis=-1), clusters(rows))
    scale = RATINGS[1] if rule == "open" else 1.0
    found = [(0.0, 0.0) if mark is None else (mark / scale, 1.0) for mark in marks(rows, rule)]
    return Parts(np.array(found), lambda sums: sums[..., 0] / sums[..., 1], clusters(rows))


def marks(rows: Sequence[Answered], rule: str) -> Marks:
    """What each reply is worth by `rule`: a rating, or 1 right and 0 wrong; None where it cannot be scored."""
    if rule in ("open", "qa"):
        return verdicts(rows)
    if rule == "harm":
        return [float(declines(row.reply.text)) for row in rows]
    said = [
        choice(row.reply.text) if rule == "mcq" else conclusion(row.reply.text, row.item.facts["task"])
        for row in rows
    ]  # fmt: skip
    return [None if one is None else float(one == row.item.utterance.reply) for one, row in zip(said, rows, strict=True)]


def _mean(rows: Sequence[Answered], found: Marks, suite: str, metric: str, how: Scoring, within: tuple[float, float] = RATE) -> Score:
    mean = scored_mean(found, clusters(rows), how.resamples, how.seed, within)
    return how.row(suite, metric, "all", mean, unscored=len(rows) - mean.n)


def _open(rows: Sequence[Answered], suite: str, how: Scoring) -> Iterator[Score]:
    yield _mean(rows, marks(rows, "open"), suite, "rating", how, RATINGS)


def _qa(rows: Sequence[Answered], suite: str, how: Scoring) -> Iterator[Score]:
    yield _mean(rows, marks(rows, "qa"), suite, "accuracy", how)
    # PEDANT, the official second score, loads pickles from the net: unscored, unless somebody names who gives it.
    said = [(row.item.utterance.reply or "", row.reply.text, row.item.utterance.text) for row in rows]
    second = [None if how.second is None else float(how.second(*one)) for one in said]
    yield _mean(rows, second, suite, "pedant", how)


def _chosen(rule: str) -> Callable[[Sequence[Answered], str, Scoring], Iterator[Score]]:
    def score(rows: Sequence[Answered], suite: str, how: Scoring) -> Iterator[Score]:
        found = marks(rows, rule)
        yield _mean(rows, found, suite, "accuracy", how)
        yield _mean(rows, [float(one is None) for one in found], suite, "fail", how)

    return score


def _harm(rows: Sequence[Answered], suite: str, how: Scoring) -> Iterator[Score]:
    yield _mean(rows, marks(rows, "harm"), suite, "refusal_rate", how)


_FOUR = ("strict_prompt", "loose_prompt", "strict_instruction", "loose_instruction")


def _ifeval(rows: Sequence[Answered], suite: str, how: Scoring) -> Iterator[Score]:
    columns = _instruction_columns(rows)
    for place, metric in enumerate(_FOUR):
        own = columns[:, 2 * place : 2 * place + 2]
        found = clustered_statistic(own, lambda sums: sums[..., 0] / sums[..., 1], clusters(rows), how.resamples, how.seed, RATE)
        counted = int(own[:, 1].sum())
        whole = len(rows) if metric.endswith("prompt") else sum(len(row.item.facts["kinds"]) for row in rows)
        yield how.row(suite, metric, "all", found._replace(n=counted), unscored=whole - counted)
    parts = _parts(rows, "ifeval")
    found = clustered_statistic(columns, parts.of, parts.clusters, how.resamples, how.seed, RATE)
    yield how.row(suite, "accuracy", "all", found._replace(n=parts.scored), unscored=len(rows) - parts.scored)


def _instruction_columns(rows: Sequence[Answered]) -> Array:
    """(item, 8): of each of the four accuracies how many were followed, and of how many."""
    return np.array([list(_eight(followed(row.reply.text, row.item.facts["kinds"], row.item.facts["arguments"]))) for row in rows])


def _eight(found: Any) -> Iterator[float]:
    for flags in found:
        # A prompt is followed if all is, and is not if anything is not, whatever cannot be told.
        prompt = False if False in flags else None if None in flags else True
        yield from (float(prompt is True), float(prompt is not None))
    for flags in found:
        yield from (float(flags.count(True)), float(len(flags) - flags.count(None)))


_RULES: Mapping[str, Callable[[Sequence[Answered], str, Scoring], Iterator[Score]]] = {
    "open": _open,
    "qa": _qa,
    "mcq": _chosen("mcq"),
    "bbh": _chosen("bbh"),
    "ifeval": _ifeval,
    "harm": _harm,
}
