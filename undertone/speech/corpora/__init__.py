"""One's own data: a reader a format, one a file, and the one table that names them.

A reader takes the path of a manifest and yields an `Utterance` for each clip that can be used and a `Rejected` for each that cannot;
faults of the manifest itself are errors. `file_name` points from the manifest's folder to the sound where it lies.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from undertone.lookup import resolve
from undertone.records import Axis, Rejected, Utterance, unique
from undertone.speech.folder import METADATA, Data, check, read_folder

CORPORA = {
    "audiofolder": "undertone.speech.corpora.audiofolder:read",
    "messages": "undertone.speech.corpora.messages:read",
    "csv": "undertone.speech.corpora.csv_table:read",
}

_BY_SUFFIX = {".jsonl": "messages", ".json": "messages", ".csv": "csv", ".tsv": "csv"}


class Found(NamedTuple):
    """What a manifest gave: data ready for every recipe, and the clips turned away."""

    data: Data
    rejected: list[Rejected]


def read_corpus(name: str, path: Path, disjoint: tuple[Axis, ...] = (), **options: Any) -> Found:
    """Read `path` with reader `name` of `CORPORA` (or my_package.my_module:read) and its `options`; `strict=True` makes the first clip
    that cannot be used an error."""
    path = path / METADATA if path.is_dir() else path
    rows = list(resolve(CORPORA, name, "corpus")(path, **options))
    utterances = unique((row for row in rows if isinstance(row, Utterance)), path)
    check(utterances, disjoint, path)
    return Found(Data(path.parent, utterances, disjoint), [row for row in rows if isinstance(row, Rejected)])


def read_data(path: Path, columns: Mapping[str, str], strict: bool = False) -> Found:
    """A data folder of ours, or one's own manifest by the reader that its name speaks for (`columns` are a CSV's)."""
    if path.is_dir() or not path.suffix:
        return Found(read_folder(path), [])
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such data folder or manifest; set --data")
    kind = guess(path)
    options: dict[str, Any] = {"columns": columns} if kind == "csv" else {}
    return read_corpus(kind, path, strict=strict, **options)


def guess(path: Path) -> str:
    """The reader for `path` by its name: a folder is an audiofolder; ValueError lists the suffixes."""
    if path.is_dir() or path.name == METADATA:
        return "audiofolder"
    if path.suffix not in _BY_SUFFIX:
        raise ValueError(f"{path}: no reader for {path.suffix or 'this name'!r}; known: a folder with {METADATA}, {', '.join(_BY_SUFFIX)}")
    return _BY_SUFFIX[path.suffix]
