"""StyleTalk (Lin et al., arXiv 2402.12786): the same turn of a dialogue in several styles, and the reply that suits each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

from undertone.evaluation.metrics import RATE
from undertone.evaluation.overlap import rouge
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Source, Suite, unique_items
from undertone.evaluation.suites.pa import in_folder
from undertone.evaluation.suites.references import FEELINGS, likeness, ratings
from undertone.intervals import scored_mean
from undertone.models.base import Prompt
from undertone.records import BrokenRow, Score, Utterance, build
from undertone.speech.corpora.csv_table import csv_rows

SUITE = "styletalk"
_NEEDED = ("diag_id", "context", "curr_audio_id", "curr_text", "res_text", "curr_emotion", "curr_speed", "curr_volume")


@final
class StyleTalk(Suite):
    """StyleTalk: replies to the same words in several styles, against the reply that suits each."""

    reads = "StyleTalk's CSV, with the sounds that it names beside it"
    gives = "rouge_1, rouge_l, own_closer (the reply is liker its own style's than another's), empathy"
    judges = ("empathy",)

    def load(self, source: Source) -> Loaded:
        """The rows of the CSV; rows of one dialogue and one turn are each other's contrast."""
        items = [_item(row, where) for row, where in csv_rows(source.data, _NEEDED)]
        return Loaded(unique_items(items, source.data), in_folder(source.data.parent))

    def prompt(self, item: Item, audio: Any, system: str) -> Prompt:
        """The turns before are told in words, under the system prompt, and the turn itself is heard."""
        return Prompt(audio=audio, system="\n".join(filter(None, (system, item.facts["context"]))))

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """Likeness, how often the own style's reply is the nearer one, ratings."""
        yield from likeness(answered, how)
        yield _own_closer(answered, how)
        yield from ratings(answered, how)


def _item(row: Mapping[str, str | None], where: str) -> Item:
    for field in ("diag_id", "curr_audio_id", "curr_text", "res_text", "curr_emotion"):
        if not row[field]:
            raise BrokenRow(f"{where}: no {field}")
    emotion, text = str(row["curr_emotion"]), str(row["curr_text"])
    who, _, said = text.partition(":")
    fields = {
        "id": f"{SUITE}/{row['curr_audio_id']}",
        "text": said.strip() if len(who) <= 2 and said else text,
        "file_name": row["curr_audio_id"],
        "seconds": 0.0,
        "attributes": {"emotion": FEELINGS[emotion]} if emotion in FEELINGS else {},
        "speaker": "unknown",
        "source": SUITE,
        "split": "test",
        "pair": f"{row['diag_id']} {text}",
        "reply": row["res_text"],
    }
    facts = {"right": [row["res_text"]], "style": emotion, "context": row["context"] or ""}
    return Item(build(Utterance, fields, where), SUITE, facts)


def _own_closer(answered: Sequence[Answered], how: Scoring) -> Score:
    """Share of replies that are liker (ROUGE-L) to their own style's right reply than to every other style's of the same turn; a tie counts
    half. A model that hears nothing gives one reply to all styles of a turn, and wins once per turn at most."""
    turns: dict[str, list[str]] = {}
    for row in answered:
        turns.setdefault(str(row.item.utterance.pair), []).append(str(row.item.utterance.reply))
    asked = [row for row in answered if len(set(turns[str(row.item.utterance.pair)])) > 1]
    flat = [(i, right) for i, row in enumerate(asked) for right in dict.fromkeys(turns[str(row.item.utterance.pair)])]
    likeness_of: list[dict[str, float]] = [{} for _ in asked]
    values = rouge([asked[i].reply.text for i, _ in flat], [right for _, right in flat]).rouge_l
    for (i, right), value in zip(flat, values, strict=True):
        if value is not None:
            likeness_of[i][right] = value
    won = [_won(found, str(row.item.utterance.reply)) for found, row in zip(likeness_of, asked, strict=True)]
    mean = scored_mean(won, [str(row.item.utterance.pair) for row in asked], how.resamples, how.seed, RATE)
    return how.row(SUITE, "own_closer", "all", mean, unscored=len(asked) - mean.n)


def _won(found: Mapping[str, float], own: str) -> float | None:
    if own not in found or len(found) < 2:
        return None
    best = max(value for right, value in found.items() if right != own)
    return 0.5 if found[own] == best else float(found[own] > best)
