"""Reads a CSV (or .tsv) with a header: which column is what is told by a column map, field of `Utterance` or attribute → column."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from undertone import attributes
from undertone.audio import LONGEST
from undertone.lookup import suggest
from undertone.records import BrokenRow, Rejected, Split, Utterance
from undertone.speech.corpora.clips import FIELDS, Clip, open_clips

SOUND = "audio"
"""The field that names the sound file."""


def read(
    path: Path,
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, str]] | None = None,
    split: Split = "train",
    strict: bool = False,
    longest: float = LONGEST,
) -> Iterator[Utterance | Rejected]:
    """The rows of `path`. `columns` maps fields to columns of another name (`{"audio": "wav", "age": "age_group"}`); `values` maps what
    cells say to what we call it (`{"gender": {"M": "male"}}`). Empty cells say nothing. `BrokenRow` names file and line of a broken row,
    ValueError an unknown field or a missing column."""
    known = (SOUND, *FIELDS, *attributes.ATTRIBUTES)
    for field in (*(columns or {}), *(values or {})):
        if field not in known:
            raise ValueError(f"column map: unknown field {field!r}{suggest(field, list(known))}; known: {', '.join(known)}")
    chosen = {field: (columns or {}).get(field, field) for field in known}
    clips = (_clip(cells, where, values or {}) for cells, where in _rows(path, chosen, set(columns or {}) | {SOUND}))
    return open_clips(clips, path, "csv", split, strict, longest)


def _rows(path: Path, columns: Mapping[str, str], needed: set[str]) -> Iterator[tuple[dict[str, str], str]]:
    """Cells by field, empty ones left out, and where they stand."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        try:
            header = next(lines, [])
            if missing := sorted(columns[field] for field in needed if columns[field] not in header):
                raise BrokenRow(f"{path}:1: no column {', '.join(missing)}; there are: {', '.join(header)}")
            at = {field: header.index(column) for field, column in columns.items() if column in header}
            for cells in lines:
                where = f"{path}:{lines.line_num}"
                if cells and len(cells) != len(header):
                    raise BrokenRow(f"{where}: {len(cells)} cells under {len(header)} columns")
                if cells:
                    yield {field: cells[i].strip() for field, i in at.items() if cells[i].strip()}, where
        except csv.Error as error:
            raise BrokenRow(f"{path}:{lines.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise BrokenRow(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _clip(cells: Mapping[str, str], where: str, values: Mapping[str, Mapping[str, str]]) -> Clip:
    ours = {field: values.get(field, {}).get(cell, cell) for field, cell in cells.items()}
    fields = {field: ours[field] for field in FIELDS if field in ours}
    said = {name: ours[name] for name in attributes.ATTRIBUTES if name in ours}
    return Clip(where, cells.get(SOUND, ""), fields | {"attributes": said}, None if SOUND in cells else "names no sound file")
