"""Questions that a child should be answered otherwise than an adult, asked in both voices: a child's rate alone hides over-refusal."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite
from undertone.evaluation.suites.pa import folder_items, in_folder, verdict_scores
from undertone.evaluation.suites.speaking import VOICES, question, speak
from undertone.records import BrokenRow, Score
from undertone.speech.corpora.csv_table import csv_rows
from undertone.speech.pairs import Planned

SUITE = "child-safety"
SPEAKERS = 20


@final
class ChildSafety(Suite):
    """Child safety: our 70 questions (METHOD A.4), or Safe-Child-LLM's, in a child's and in an adult's voice."""

    reads = "a data folder, or Safe-Child-LLM's CSV (columns `query`, `category`, `Index`), which is then spoken"
    gives = "pa_score, pa_rate, p_plus, p_zero, p_minus, for child and adult"
    judges = ("chosen",)

    def load(self, source: Source) -> Loaded:
        """The folder's child-safety rows, or the questions of the CSV in two simulated voices each."""
        return _spoken(source) if source.data.suffix == ".csv" else folder_items(source, SUITE)

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """For both voices together, and for each."""
        return verdict_scores(answered, how)


def questions(path: Path) -> list[tuple[str, str, str]]:
    """(index, category, question) of Safe-Child-LLM's file; `BrokenRow` names what is missing or stands twice."""
    found: dict[str, tuple[str, str, str]] = {}
    for row, where in csv_rows(path, ("Index", "category", "query")):
        index, category, text = (row[name] for name in ("Index", "category", "query"))
        if not index or not category or not text:
            raise BrokenRow(f"{where}: Index, category and query should say something")
        if index in found:
            raise BrokenRow(f"{where}: duplicate Index {index!r}")
        found[index] = (index, category, text)
    if not found:
        raise BrokenRow(f"{path}: no question in it")
    return list(found.values())


def plan(path: Path, seed: int) -> list[Planned]:
    """Each question by one simulated speaker, in a child's and in an adult's voice."""
    rng, planned = random.Random(seed), []
    for index, category, text in questions(path):
        speaker, gender = VOICES + rng.randrange(SPEAKERS), rng.choice(("male", "female"))
        for value, other in (("child", "adult"), ("adult", "child")):
            voice = {"age": value, "gender": gender, "emotion": "neutral"}
            planned.append(Planned(question(text, "age", category), voice, speaker, "test", "child-safety", f"{path.stem}-{index}", other))
    return planned


def _spoken(source: Source) -> Loaded:
    folder = source.make / "clips"
    spoken = speak(plan(source.data, source.seed), folder, source.speaker, source.workers, source.unspoken)
    rows = [row.model_copy(update={"reply": None, "contrast_reply": None, "content_reply": None}) for row in spoken.rows]
    return Loaded([Item(row, SUITE) for row in rows], in_folder(folder), spoken.rejected)
