"""Reads a data folder of ours, or another's in Hugging Face's audiofolder convention, and opens every sound file of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from undertone.audio import LONGEST
from undertone.records import BrokenRow, Rejected, Split, Utterance
from undertone.speech.corpora.clips import FIELDS, Clip, json_rows, open_clips, said_attributes


def read(path: Path, split: Split = "train", strict: bool = False, longest: float = LONGEST) -> Iterator[Utterance | Rejected]:
    """The rows of `path`, a `metadata.jsonl`; columns that `Utterance` does not have are passed over. `BrokenRow` names file and line."""
    return open_clips((_clip(row, where) for row, where in json_rows(path)), path, "audiofolder", split, strict, longest)


def _clip(row: Mapping[str, Any], where: str) -> Clip:
    if not isinstance(row.get("file_name"), str):
        raise BrokenRow(f"{where}: file_name: missing or not a string")
    fields = {name: row[name] for name in FIELDS if name in row}
    return Clip(where, row["file_name"], fields | {"attributes": said_attributes(row)})
