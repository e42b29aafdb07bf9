"""Pairs side by side for the report: the same words in two voices, what each run answered, and how it was judged."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from undertone.records import Judgement, Reply, Utterance, read_rows
from undertone.run import write_atomic


def write_examples(path: Path, data: Path, runs: Sequence[Path], per_suite: int = 3) -> None:
    """The first `per_suite` pairs of every suite and category, in file order: none is chosen for how it was answered."""
    replies = {run.name: {row.utterance_id: row.text for row in read_rows(run / "replies.jsonl", Reply)} for run in runs}
    verdicts = {run.name: {row.utterance_id: row.value for row in read_rows(run / "judgements.jsonl", Judgement)} for run in runs}
    pairs: dict[str, list[Utterance]] = {}
    for row in read_rows(data / "metadata.jsonl", Utterance):
        if row.pair and row.split == "test" and all(row.id in known for known in replies.values()):
            pairs.setdefault(row.pair, []).append(row)
    lines, taken = [], dict[tuple[str, str], int]()
    for rows in pairs.values():
        kind = (rows[0].suite, rows[0].category)
        taken[kind] = taken.get(kind, 0) + 1
        if taken[kind] <= per_suite:
            voices = [
                {
                    "value": row.value,
                    "file": os.path.relpath(data / row.file_name, path.parent),
                    "replies": {name: known[row.id] for name, known in replies.items()},
                    "verdicts": {name: known[row.id] for name, known in verdicts.items()},
                }
                for row in rows
            ]
            lines.append(json.dumps({"text": rows[0].text, "category": rows[0].category, "voices": voices}))
    write_atomic(path, "\n".join(lines) + "\n")
