"""Reads a CSV (or .tsv) with a header: which column is what is told by a column map, field of `Utterance` or attribute → column."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from undertone.audio import LONGEST
from undertone.records import BrokenRow, Rejected, Split, Utterance
from undertone.speech.corpora.clips import FIELDS, SOUND, Clip, Naming, check_columns, open_clips, said_attributes


def read(
    path: Path,
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, str]] | None = None,
    split: Split = "train",
    strict: bool = False,
    longest: float = LONGEST,
) -> Iterator[Utterance | Rejected]:
    """The rows of `path`; `columns` and `values` as in `Naming`. Empty cells say nothing. `BrokenRow` names file and line of a broken
    row, or a missing column; ValueError an unknown field."""
    naming = Naming.of({SOUND: SOUND} | dict(columns or {}), values)
    rows = naming.rename(csv_rows(path, naming.columns.values()), path)
    return open_clips((_clip(row, where) for row, where in rows), path, "csv", split, strict, longest)


def csv_rows(path: Path, needed: Iterable[str]) -> Iterator[tuple[dict[str, str | None], str]]:
    """Cells by column, None where one is empty, and where they stand."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        try:
            header = next(lines, [])
            check_columns(needed, header, f"{path}:1")
            for cells in lines:
                where = f"{path}:{lines.line_num}"
                if cells and len(cells) != len(header):
                    raise BrokenRow(f"{where}: {len(cells)} cells under {len(header)} columns")
                if cells:
                    yield {column: cells[header.index(column)].strip() or None for column in header}, where
        except csv.Error as error:
            raise BrokenRow(f"{path}:{lines.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise BrokenRow(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _clip(row: Mapping[str, str | None], where: str) -> Clip:
    fields = {field: row[field] for field in FIELDS if row.get(field)}
    return Clip(where, row[SOUND] or "", fields | {"attributes": said_attributes(row)}, None if row[SOUND] else "names no sound file")
