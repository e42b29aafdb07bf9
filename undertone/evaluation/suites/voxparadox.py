"""VoxParadox (arXiv 2605.27772) as its authors publish it: the words claim one answer of up to four, the voice gives another.

Acc_GT is the share of replies that choose what the voice says, ALA the share that choose what the words claim, `unparsed` the share that
choose no option: that is neither. How the authors put the options to a model and read its reply is not published; here they stand below the
question, and a reply chooses by the letter or the words of one option alone; a letter that is not marked is read by VoiceBench's rules.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

from undertone.evaluation.metrics import RATE
from undertone.evaluation.recognition import denies
from undertone.evaluation.suites.base import Answered, Item, Loaded, Scoring, Sound, Source, Suite, clusters, unique_items
from undertone.evaluation.suites.tables import AUDIO, rows_of, sound_of
from undertone.evaluation.suites.voicebench.choices import choice
from undertone.intervals import clustered_mean
from undertone.models.base import Prompt
from undertone.records import BrokenRow, Score, Utterance, build
from undertone.speech.corpora.clips import json_rows
from undertone.text import normalise

NAME = "voxparadox"
LETTERS = "ABCD"
_MARKED = re.compile(r"\(([A-Da-d])\)|\b([B-D])\b(?!['’])|\b(A)(?=[.,:;)]|\s+(?:or|and)\b|\s*$)")
"""An option by its letter: in brackets, or as a word of its own; A only where it is no article."""
_NEEDED = ("id", "question", "choice_a", "choice_b", "answer_gt", "adversarial_labels", "task_name")
_LISTED = "metadata.jsonl"


@final
class VoxParadox(Suite):
    """VoxParadox: ten questions about voices whose words claim another answer."""

    reads = "`IHP-Lab/VoxParadox` on the hub, a copy of it, or a .jsonl of its columns with the paths of the sounds"
    gives = "acc_gt, ala, unparsed; all and by task"

    def load(self, source: Source) -> Loaded:
        """Its rows, from a file, a folder or the hub."""
        sounds: dict[str, Sound] = {}
        items = []
        listed = source.data if source.data.suffix == ".jsonl" else source.data / _LISTED
        rows = json_rows(listed) if listed.is_file() or listed == source.data else rows_of(source.data, "default", source.split)
        for row, where in rows:
            item = _item(row, where)
            sounds[item.utterance.id] = sound_of(row.get(AUDIO, row.get("file_name")), listed.parent, where)
            items.append(item)
        return Loaded(unique_items(items, source.data), lambda row: sounds[row.id])

    def prompt(self, item: Item, audio: Any, system: str) -> Prompt:
        """The question with its options below it."""
        options = [f"{letter}. {said}" for letter, said in item.facts["options"].items()]
        asked = [item.facts["question"], *options, "Answer with the letter of the right option."]
        return Prompt(audio=audio, system=system, text="\n".join(asked))

    def groups(self, item: Item) -> tuple[str, ...]:
        """Its task."""
        return (str(item.facts["task"]),)

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """Of all items, then of each task."""
        for group in dict.fromkeys(["all", *(row.item.facts["task"] for row in answered)]):
            rows = [row for row in answered if group in ("all", row.item.facts["task"])]
            said = [chosen(row.reply.text, row.item.facts["options"]) for row in rows]
            flags = {
                "acc_gt": [one == row.item.utterance.reply for one, row in zip(said, rows, strict=True)],
                "ala": [one in row.item.facts["claimed"] for one, row in zip(said, rows, strict=True)],
                "unparsed": [one is None for one in said],
            }
            for metric, found in flags.items():
                yield how.row(NAME, metric, group, clustered_mean(found, clusters(rows), how.resamples, how.seed, RATE))


def chosen(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter of the one option that `reply` chooses, by its letter or by its words; None: it names none or several, or denies
    something: "it is not (A)" says what is not so."""
    if denies(reply):
        return None
    said = f" {normalise(reply)} "
    # "low-high" is no answer where the reply says "low-high-medium": of options within one another the longest that stands there counts.
    named = {letter: text for letter, option in options.items() if (text := f" {normalise(option)} ").strip() and text in said}
    longest = {letter for letter, text in named.items() if not any(text != other and text in other for other in named.values())}
    letters = {found for match in _MARKED.finditer(reply) if (found := next(filter(None, match.groups())).upper()) in options}
    if not letters and (letter := choice(reply)) in options:
        letters = {letter}
    return next(iter(letters | longest)) if len(letters | longest) == 1 else None


def _item(row: Mapping[str, Any], where: str) -> Item:
    for field in _NEEDED:
        if row.get(field) in (None, "", []):
            raise BrokenRow(f"{where}: no {field}; a row of VoxParadox has {', '.join(_NEEDED)} and {AUDIO}")
    options = {letter: str(said) for letter in LETTERS if (said := row.get(f"choice_{letter.lower()}"))}
    truth, claimed = _letter(row["answer_gt"], options), [_letter(one, options) for one in _list(row["adversarial_labels"])]
    for field, found in (("answer_gt", [truth]), ("adversarial_labels", claimed)):
        if None in found:
            raise BrokenRow(f"{where}: {field} {row[field]!r} is none of the options {', '.join(options.values())}")
    if truth in claimed:
        raise BrokenRow(f"{where}: answer_gt {row['answer_gt']!r} is among adversarial_labels: words and voice should not agree")
    fields = {
        "id": str(row["id"]),
        "text": str(row.get("transcript") or ""),
        "file_name": "",
        "seconds": 0.0,
        "attributes": {},
        "speaker": "unknown",
        "source": NAME,
        "split": "test",
        "reply": truth,
    }
    facts = {"task": str(row["task_name"]), "question": str(row["question"]), "options": options, "claimed": claimed}
    return Item(build(Utterance, fields, where), NAME, facts)


def _list(cell: Any) -> list[Any]:
    """A label, or several: a list, or a list in JSON."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError:
            return [cell]
    return cell if isinstance(cell, list) else [cell]


def _letter(label: Any, options: Mapping[str, str]) -> str | None:
    """The option that a label names: by its letter, its column, or its words; None where it names none."""
    said = str(label).strip()
    if (letter := said.removeprefix("choice_").strip("().").upper()) in options:
        return letter
    return next((letter for letter, option in options.items() if option.strip().casefold() == said.casefold()), None)
