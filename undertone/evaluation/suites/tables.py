"""Rows of benchmark files, from a folder or from the hub, without any decoder of sound but our own."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from undertone.evaluation.suites.base import Sound
from undertone.lookup import suggest
from undertone.records import BrokenRow
from undertone.speech.corpora.clips import json_rows

AUDIO = "audio"


def rows_of(place: Path, name: str, split: str = "") -> Iterator[tuple[Mapping[str, Any], str]]:
    """The rows of the part called `name` (and of one `split`, or of all), and where each stands.

    A folder holds NAME.jsonl with the paths of its sounds, or what `datasets` reads: NAME/*.parquet, or a copy of a dataset of the hub;
    what is no folder is a name on the hub. FileNotFoundError and OSError name what is not there, a ValueError a split that is none of its.
    """
    if (listed := place / f"{name}.jsonl").is_file():
        yield from json_rows(listed)
        return
    tables = _tables(place, name)
    if split and split not in tables:
        raise ValueError(f"{place}: {name} has no split {split!r}{suggest(split, tables)}; it has {', '.join(tables)}")
    for part, table in tables.items():
        if split in ("", part):
            yield from ((row, f"{place}:{name}/{part}[{i}]") for i, row in enumerate(_undecoded(table)))


def sound_of(cell: Any, folder: Path, where: str) -> Sound:
    """The sound in a cell: a path from `folder`, or the bytes that `datasets` keeps; `BrokenRow` where it is neither."""
    if isinstance(cell, str) and cell:
        return folder / cell
    if isinstance(cell, Mapping) and isinstance(cell.get("bytes"), bytes):
        return BytesIO(cell["bytes"])
    if isinstance(cell, Mapping) and isinstance(cell.get("path"), str):
        return folder / str(cell["path"])
    raise BrokenRow(f"{where}: {AUDIO} should be a path or bytes with a path, got {type(cell).__name__}")


def sound_key(name: str, sound: Sound) -> str:
    """Changes with the sound of the item called `name`: with its bytes, or with a file's path, size and time."""
    if isinstance(sound, BytesIO):
        return sha256(sound.getbuffer()).hexdigest()[:24]
    stat = sound.stat() if isinstance(sound, Path) and sound.exists() else None
    return sha256(repr((name, str(sound), stat and stat.st_size, stat and stat.st_mtime_ns)).encode()).hexdigest()[:24]


def _tables(place: Path, name: str) -> Mapping[str, Any]:
    try:
        import datasets
    except ImportError:
        raise OSError(f"{place}: no {name}.jsonl there; other forms are read by datasets: pip install 'undertone[benchmarks]'") from None
    files = sorted(str(path) for path in (place / name).glob("*.parquet"))
    try:
        if files:
            parts: dict[str, list[str]] = {}
            for path in files:
                parts.setdefault(Path(path).stem.partition("-")[0], []).append(path)
            found = datasets.load_dataset("parquet", data_files=parts)
        else:
            found = datasets.load_dataset(str(place), name)
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        raise FileNotFoundError(f"{place}: datasets finds no {name} there ({str(error).splitlines()[0]})") from None
    return dict(found)


def _undecoded(table: Any) -> Any:
    """The rows of a table of `datasets`, sounds as they are stored: its own decoder is none of ours."""
    import datasets

    return table.cast_column(AUDIO, datasets.Audio(decode=False)) if AUDIO in table.column_names else table
