"""Speech emotion recognition as EmoBox scores it (Ma et al. 2024): UA, WA and macro F1 of what the model says when it is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

from undertone.attributes import ATTRIBUTES
from undertone.evaluation.recognition import Named, parse_value, recognition_scores
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite
from undertone.evaluation.suites.pa import in_folder
from undertone.models.base import Prompt
from undertone.records import Score
from undertone.speech import corpora


class Asking(Suite):
    """Clips of a corpus, of which an attribute is asked."""

    reads = "a published corpus (`--corpus ravdess` …), a data folder, or data of one's own"

    def load(self, source: Source) -> Loaded:
        """The clips of the split whose attribute is known; ValueError where there is none."""
        words = (source.columns, source.values)
        found = corpora.read_data(source.data, *words, disjoint=source.disjoint, corpus=source.corpus, fold=source.fold)
        rows = [row for row in found.data.utterances if row.split == source.split and source.attribute in row.attributes]
        if not rows:
            raise ValueError(f"{source.data}: no clip of split {source.split!r} says its {source.attribute}")
        other = "" if source.attribute == "emotion" else f"/{source.attribute}"
        suite = f"{type(self).__name__.lower()}/{source.corpus or source.data.name}{other}"
        return Loaded([Item(row, suite, {"attribute": source.attribute}) for row in rows], in_folder(found.data.folder), found.rejected)

    def prompt(self, item: Item, audio: Any, system: str) -> Prompt:
        """The attribute's own question, as recognition is taught and asked everywhere here."""
        return Prompt(audio=audio, system=ATTRIBUTES[item.facts["attribute"]].question)


class SER(Asking):
    """Speech emotion recognition: the attribute that the model names in words, against the label."""

    gives = "ua, wa, f1, unparsed, recall of each value"

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """EmoBox's three, what was no answer, and the recalls; intervals are clustered by speaker."""
        for suite, attribute, rows in named(answered):
            for score in recognition_scores(rows, how.score, how.resamples, how.seed, attribute):
                yield score.model_copy(update={"suite": suite})


def named(answered: Sequence[Answered]) -> Iterator[tuple[str, str, list[Named]]]:
    """(suite, attribute, truths and answers) of each suite."""
    for suite in dict.fromkeys(row.item.suite for row in answered):
        some = [row for row in answered if row.item.suite == suite]
        attribute = some[0].item.facts["attribute"]
        yield suite, attribute, [answer(row, attribute) for row in some]


def answer(row: Answered, attribute: str) -> Named:
    """What the voice is, and what the reply says it is."""
    return Named(row.item.utterance.attributes[attribute], parse_value(row.reply.text, attribute), row.item.utterance.speaker)
