"""The paper's metrics on minimal pairs (METHOD A.5), and what other suites of verdicts share."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import final

from undertone.evaluation.metrics import Asked, pa_scores, suite_of
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite
from undertone.records import Score, Utterance
from undertone.speech.folder import read_folder


@final
class PA(Suite):
    """PA-score and PA-rate: does the reply suit the speaker who was heard?"""

    reads = "a data folder (`undertone synthesize`)"
    gives = "pa_score, pa_rate, p_plus, p_zero, p_minus"
    judges = ("chosen",)

    def load(self, source: Source) -> Loaded:
        """The pairs of the chosen split."""
        return folder_items(source, "pa")

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """For each category, and for each voice of it."""
        return verdict_scores(answered, how)


def folder_items(source: Source, suite: str) -> Loaded:
    """Utterances of `suite` in a data folder; ValueError where there is none."""
    rows = [row for row in read_folder(source.data).utterances if row.suite == suite and row.split == source.split]
    if not rows:
        raise ValueError(f"{source.data}: no utterance of {suite} in split {source.split!r}")
    return Loaded([Item(row, suite_of(row)) for row in rows], in_folder(source.data))


def in_folder(folder: Path) -> Callable[[Utterance], Path]:
    """Where the sounds of rows are whose names are told from `folder`."""
    return lambda row: folder / row.file_name


def verdict_scores(answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
    """The metrics of verdicts, under each item's suite. An item that nobody judged is unscored."""
    rows = [Asked(row.item.utterance, row.reply, row.judgement, under=row.item.suite) for row in answered]
    return pa_scores(rows, how.score, how.resamples, how.seed)
