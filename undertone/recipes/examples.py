"""Pairs side by side for the report: the same words in two voices, what each run answered, and how it was judged."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from undertone.records import Judgement, Reply, Utterance, pairs, read_rows
from undertone.reporting.folder import Example, Source, Voice, source
from undertone.run import write_rows
from undertone.speech.corpora import read_data


class Listening(NamedTuple):
    """Pairs, or why there are none."""

    examples: tuple[Example, ...]
    absent: str = ""


class Answered(NamedTuple):
    """What an evaluation answered and how that was judged, by utterance id."""

    name: str
    replies: dict[str, str]
    verdicts: dict[str, float | None]


def write_examples(path: Path, runs: Iterable[Path]) -> None:
    """Pairs of the evaluations in the folders `runs`, in a file whose clips are found from where it lies."""
    rows = listening([source(run) for run in runs]).examples
    write_rows(path, [_moved(row, path.parent) for row in rows])


def _moved(row: Example, folder: Path) -> Example:
    voices = tuple(voice.model_copy(update={"file": os.path.relpath(voice.file, folder)}) for voice in row.voices)
    return row.model_copy(update={"voices": voices})


def listening(sources: Sequence[Source], per_suite: int = 3) -> Listening:
    """The first `per_suite` pairs of every suite and category, in the order of the data: none is chosen for how it was answered.

    All evaluations among `sources` that answered a pair stand side by side, controls and scaled adapters left out.
    """
    asked: dict[str, Source] = {}
    for one in filter(_compares, sources):
        asked.setdefault(one.settings["name"], one)
    if not asked:
        return Listening((), "No examples.jsonl in this folder: there is nothing to listen to.")
    table = next(iter(asked.values())).settings
    data = Path(table["data"])
    if not data.exists():
        return Listening((), f"The data that the evaluations asked is not at {data} any more: there is nothing to listen to.")
    words, reader = (table.get("columns", {}), table.get("values", {})), (table.get("corpus", ""), table.get("fold", -1))
    found = read_data(data, *words, False, table.get("disjoint", ()), *reader).data
    answered = [_answered(name, one.path) for name, one in asked.items()]
    kinds: dict[tuple[str, str], list[list[Utterance]]] = {}
    for rows in pairs(row for row in found.utterances if all(row.id in one.replies for one in answered)):
        if len(rows) > 1:
            kinds.setdefault((rows[0].suite, rows[0].category), []).append(rows)
    chosen = tuple(_example(rows, found.folder, answered) for some in kinds.values() for rows in some[:per_suite])
    return Listening(chosen, "" if chosen else "These evaluations have answered no pair in common: there is nothing to listen to.")


def _compares(one: Source) -> bool:
    """Whether the folder is a finished evaluation at full strength that took nothing away from the clips."""
    table = one.settings
    finished = {"name", "data", "control"} <= table.keys() and (one.path / "judgements.jsonl").exists()
    return finished and not table["control"] and "@" not in table["name"] and (table.get("adapter") is None or table.get("strength") == 1)


def _answered(name: str, folder: Path) -> Answered:
    replies = {row.utterance_id: row.text for row in read_rows(folder / "replies.jsonl", Reply)}
    return Answered(name, replies, {row.utterance_id: row.value for row in read_rows(folder / "judgements.jsonl", Judgement)})


def _example(rows: Sequence[Utterance], folder: Path, answered: Sequence[Answered]) -> Example:
    voices = tuple(
        Voice(
            value=row.value,
            file=str(folder / row.file_name),
            replies={one.name: one.replies[row.id] for one in answered},
            verdicts={one.name: one.verdicts.get(row.id) for one in answered},
        )
        for row in rows
    )
    return Example(text=rows[0].text, category=rows[0].category, voices=voices)
