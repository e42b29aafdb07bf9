"""Reads a CSV (or .tsv) with a header: which column is what is told by a column map, field of `Utterance` or attribute → column."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from undertone.records import BrokenRow, Split
from undertone.speech.corpora.clips import FIELDS, SOUND, Clip, Naming, check_columns, said_attributes


def read(path: Path, naming: Naming, split: Split) -> Iterator[Clip]:
    """The rows of `path`. Empty cells say nothing. `BrokenRow` names file and line of a broken row, or a missing column."""
    naming = Naming({SOUND: SOUND} | dict(naming.columns), naming.values)
    return (_clip(row, where) for row, where in naming.rename(csv_rows(path, naming.columns.values()), path))


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
