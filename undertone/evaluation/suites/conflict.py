"""The words claim one attribute, the voice carries another: what does the model believe (after VoxParadox, arXiv 2605.27772)?

Acc_GT is the share of answers that follow the voice, ALA the share that follow the words. Our own items are sentences of a small grammar in
which somebody says who they are, spoken by simulated voices of the claimed value and of others; the former show whether the question is
understood at all (`consistent`). What names neither, or several, counts as neither, and its share is `unparsed`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, final

from undertone.attributes import ATTRIBUTES, check
from undertone.evaluation.metrics import RATE
from undertone.evaluation.recognition import parse_value
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite, clusters, unique_items
from undertone.evaluation.suites.pa import in_folder
from undertone.evaluation.suites.speaking import VOICES, question, speak
from undertone.intervals import clustered_mean
from undertone.models.base import Prompt
from undertone.records import BrokenRow, Score, Utterance, build
from undertone.speech.corpora.clips import json_rows
from undertone.speech.pairs import Planned

CLAIMS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "age": {
            "child": ("i am seven years old", "i am still a little kid", "i go to the second grade", "i am the youngest in my class"),
            "adult": ("i am forty years old", "i am a grown up", "i have three children of my own", "i have had my job for twenty years"),
        },
        "gender": {
            "female": ("i am a woman", "i am their mother", "i am his older sister", "i am her grandmother"),
            "male": ("i am a man", "i am their father", "i am his older brother", "i am her grandfather"),
        },
        "emotion": {
            "neutral": ("i feel nothing in particular", "i am quite calm", "my mood is as usual", "nothing moves me today"),
            "happy": ("i am so happy", "i feel wonderful", "this is the best day of my life", "i could dance for joy"),
            "sad": ("i am so sad", "i could cry all day", "my heart is broken", "i feel very lonely"),
            "angry": ("i am so angry", "i am furious", "this makes me mad", "i have had enough of this"),
            "fearful": ("i am so scared", "i am afraid of this", "i am shaking with fear", "this frightens me"),
            "surprised": ("i am so surprised", "i did not expect this at all", "what a surprise this is", "i can hardly believe it"),
        },
    }
)
"""Attribute → value → how somebody claims it."""

FRAMES = ("{claim}", "you should know that {claim}", "let me tell you that {claim}", "{claim} and that is the truth", "believe me {claim}")


@final
class Conflict(Suite):
    """Conflict: words that claim one age, gender or emotion, in a voice of another."""

    reads = "nothing (our own items, spoken), or a .jsonl of `audio`, `text`, `attribute`, `voice`, `words`"
    gives = "acc_gt, ala, unparsed, consistent; by attribute"

    def load(self, source: Source) -> Loaded:
        """The file's items, or our own in simulated voices."""
        return _listed(source) if source.data.suffix == ".jsonl" else _spoken(source)

    def prompt(self, item: Item, audio: Any, system: str) -> Prompt:
        """The attribute's own question."""
        return Prompt(audio=audio, system=ATTRIBUTES[item.facts["attribute"]].question)

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """Of each attribute; intervals are clustered by text."""
        for suite in dict.fromkeys(row.item.suite for row in answered):
            rows = [row for row in answered if row.item.suite == suite]
            against = [row for row in rows if row.item.facts["voice"] != row.item.facts["words"]]
            along = [row for row in rows if row.item.facts["voice"] == row.item.facts["words"]]
            flags = (
                ("acc_gt", against, [_said(row) == row.item.facts["voice"] for row in against]),
                ("ala", against, [_said(row) == row.item.facts["words"] for row in against]),
                ("unparsed", rows, [_said(row) is None for row in rows]),
                ("consistent", along, [_said(row) == row.item.facts["voice"] for row in along]),
            )
            for metric, some, found in flags:
                if some:
                    yield how.row(suite, metric, "all", clustered_mean(found, clusters(some), how.resamples, how.seed, RATE))


def _said(row: Answered) -> str | None:
    return parse_value(row.reply.text, row.item.facts["attribute"])


def plan(seed: int) -> list[Planned]:
    """Every claim in every frame, by one simulated speaker each in the claimed value's voice and in another's, drawn by `seed`.

    The two are a minimal pair, so that both are turned away where their sounds do not differ as the values say."""
    rng, planned = random.Random(seed), []
    for attribute, values in CLAIMS.items():
        for words, claims in values.items():
            for number, text in enumerate(frame.format(claim=claim) for claim in claims for frame in FRAMES):
                speaker, voice = (
                    VOICES + rng.randrange(1000),
                    {"gender": rng.choice(("male", "female")), "age": "adult", "emotion": "neutral"},
                )
                other = rng.choice([value for value in values if value != words])
                asked = question(text, attribute, words)._replace(replies=dict.fromkeys(values, ""))
                pair = f"{attribute}-{words}-{number}"
                for heard, contrast in ((words, other), (other, words)):
                    told = voice | {attribute: heard}
                    planned.append(Planned(asked, told, speaker + 1000 * number, "test", "pa", pair, contrast))
    return planned


def _spoken(source: Source) -> Loaded:
    spoken = speak(plan(source.seed), source.make / "clips", source.speaker, source.workers, source.unspoken)
    items = []
    for row in spoken.rows:
        facts = {"attribute": row.category, "voice": row.attributes[row.category], "words": row.topic}
        items.append(
            Item(row.model_copy(update={"reply": None, "contrast_reply": None, "content_reply": None}), f"conflict/{row.category}", facts)
        )
    return Loaded(items, in_folder(source.make / "clips"), spoken.rejected)


def _listed(source: Source) -> Loaded:
    return Loaded(unique_items((_item(row, where) for row, where in json_rows(source.data)), source.data), in_folder(source.data.parent))


def _item(row: Mapping[str, Any], where: str) -> Item:
    for field in ("audio", "text", "attribute", "voice", "words"):
        if not isinstance(row.get(field), str) or not row[field]:
            raise BrokenRow(f"{where}: no {field}; a row has audio, text, attribute, voice and words")
    attribute = row["attribute"]
    try:
        check({attribute: row["voice"]})
        check({attribute: row["words"]})
    except ValueError as error:
        raise BrokenRow(f"{where}: {error}") from None
    fields = {
        "id": str(row.get("id", row["audio"])),
        "text": row["text"],
        "file_name": row["audio"],
        "seconds": 0.0,
        "attributes": {attribute: row["voice"]},
        "speaker": str(row.get("speaker", "unknown")),
        "source": str(row.get("source", "listed")),
        "split": "test",
    }
    return Item(build(Utterance, fields, where), f"conflict/{attribute}", {name: row[name] for name in ("attribute", "voice", "words")})
