"""Reads Hugging Face's audiofolder convention, whoever wrote it: `metadata.jsonl` or `metadata.csv` with a `file_name` a row."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from undertone.records import BrokenRow, Split
from undertone.speech.corpora.clips import FIELDS, SOUND, Clip, Naming, json_rows, said_attributes
from undertone.speech.corpora.csv_table import csv_rows

FILE = "file_name"
"""The column that names the sound file, as the convention has it."""

SPLITS: Mapping[str, Split] = {"train": "train", "dev": "dev", "validation": "dev", "valid": "dev", "val": "dev", "test": "test"}
"""What a row's folder is called → its split, where no column says it."""


def read(path: Path, naming: Naming, split: Split) -> Iterator[Clip]:
    """The rows of `path`, a `metadata.jsonl` or `metadata.csv`. Columns that nobody asked for are passed over; a row without a split has
    that of its folder (`train/1.wav`), else `split`. `BrokenRow` names file and line."""
    naming = Naming({SOUND: FILE} | dict(naming.columns), naming.values)
    rows = csv_rows(path, naming.columns.values()) if path.suffix == ".csv" else json_rows(path)
    return (_clip(row, where, split) for row, where in naming.rename(rows, path))


def _clip(row: Mapping[str, Any], where: str, split: Split) -> Clip:
    if not isinstance(row.get(SOUND), str):
        raise BrokenRow(f"{where}: {FILE}: missing or not a string")
    fields = {"split": SPLITS.get(PurePath(row[SOUND]).parts[0], split)} if PurePath(row[SOUND]).parts else {}
    fields |= {name: row[name] for name in FIELDS if row.get(name) is not None}
    return Clip(where, row[SOUND], fields | {"attributes": said_attributes(row)})
