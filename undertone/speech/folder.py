"""The data folder: `metadata.jsonl` and sound files as Hugging Face's audiofolder has them, `rejected.jsonl`, and `folder.json`.

`folder.json` declares what the splits keep apart: `{"disjoint": ["speaker", "text", "topic"]}`. A folder that breaks its own
declaration is not read.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from undertone.audio import Sound, Wave, read_sound
from undertone.records import Axis, BrokenRow, Rejected, Split, Utterance, parse_json, read_rows, unique
from undertone.run import write_atomic, write_rows

METADATA, REJECTED, DECLARATION = "metadata.jsonl", "rejected.jsonl", "folder.json"
AXES: tuple[Axis, ...] = get_args(Axis)


class Data(NamedTuple):
    """A folder, its utterances in file order, and what its splits keep apart."""

    folder: Path
    utterances: Sequence[Utterance]
    disjoint: tuple[Axis, ...]


def read_folder(folder: Path, splits: Collection[Split] = ()) -> Data:
    """The folder's utterances, those of `splits` only where any are named; the declaration is checked on all of them.

    FileNotFoundError where there is no folder; `BrokenRow` names file and line of what is no row, twice there, or breaks the declaration.
    """
    if not (folder / METADATA).is_file():
        raise FileNotFoundError(f"{folder}: no {METADATA} there; make the data first (undertone synthesize --out {folder}) or set --data")
    rows = unique(read_rows(folder / METADATA, Utterance), folder / METADATA)
    disjoint = _declared(folder / DECLARATION)
    check(rows, disjoint, folder / METADATA)
    return Data(folder, [row for row in rows if not splits or row.split in splits], disjoint)


def write_folder(folder: Path, utterances: Iterable[Utterance], rejected: Iterable[Rejected] = (), disjoint: Iterable[Axis] = ()) -> Data:
    """Write the rows beside sound files that lie there; ValueError, and nothing written, where they break `disjoint`."""
    data = Data(folder, unique(utterances, folder / METADATA), tuple(axis for axis in AXES if axis in set(disjoint)))
    check(data.utterances, data.disjoint, folder / METADATA)
    write_atomic(folder / DECLARATION, json.dumps({"disjoint": data.disjoint}) + "\n")
    write_rows(folder / REJECTED, rejected)
    write_rows(folder / METADATA, data.utterances)
    return data


def load_wave(data: Data, utterance: Utterance, rate: int) -> Wave:
    """The utterance's samples, mono, at `rate` Hz; `audio.BadSound` names the file."""
    return load_sound(data, utterance, rate).wave


def load_sound(data: Data, utterance: Utterance, rate: int) -> Sound:
    """As `load_wave`, and whether it had to be converted."""
    return read_sound(data.folder / utterance.file_name, rate)


def check(utterances: Iterable[Utterance], disjoint: Collection[Axis], where: Path) -> None:
    """`BrokenRow` where a value of a `disjoint` axis stands in two splits, where two rows of a pair differ in what a pair shares, or
    where a child-safety query is not in the test split."""
    homes: dict[tuple[str, str], Utterance] = {}
    for row in utterances:
        if row.suite == "child-safety" and row.split != "test":
            raise BrokenRow(f"{where}: {row.id}: child-safety queries are for the test split only, not {row.split}")
        for axis in disjoint:
            other = homes.setdefault((axis, getattr(row, axis)), row)
            if other.split != row.split:
                splits = f"{other.split} ({other.id}) and {row.split} ({row.id})"
                raise BrokenRow(f"{where}: {axis} {getattr(row, axis)!r} stands in {splits}, but {DECLARATION} declares {axis} disjoint")
        if row.pair is not None:
            _check_pair(homes.setdefault(("pair", row.pair), row), row, where)


def _check_pair(first: Utterance, row: Utterance, where: Path) -> None:
    for name in ("text", "category", "split"):
        if getattr(first, name) != getattr(row, name):
            raise BrokenRow(f"{where}: pair {row.pair!r} has rows of different {name}: {first.id} and {row.id}")


def _declared(path: Path) -> tuple[Axis, ...]:
    if not path.exists():
        return ()
    try:
        said = parse_json(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise BrokenRow(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    axes = said.get("disjoint", []) if isinstance(said, dict) else None
    if not isinstance(axes, list) or any(axis not in AXES for axis in axes):
        raise BrokenRow(f'{path}: should be {{"disjoint": [...]}} with any of {", ".join(AXES)}, got {json.dumps(said)[:80]}')
    return tuple(axes)
