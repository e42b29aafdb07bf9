"""One's own data: a reader a format, one a file, and the one table that names them.

A reader takes the path of a manifest, how it names things (`clips.Naming`) and the split of rows that name none, and yields a
`clips.Clip` a row; faults of the manifest itself are errors. The sounds are opened here: each row becomes an `Utterance`, or a `Rejected`
where its sound cannot be used. `file_name` points from the manifest's folder to the sound where it lies.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from undertone.lookup import resolve
from undertone.records import Axis, BrokenRow, Rejected, Split, Utterance, unique
from undertone.speech.corpora.audiofolder import SPLITS
from undertone.speech.corpora.clips import NAMED, SOUND, UNKNOWN, Naming, open_clips
from undertone.speech.folder import DECLARATION, METADATA, Data, check, read_folder

CORPORA = {
    "audiofolder": "undertone.speech.corpora.audiofolder:read",
    "messages": "undertone.speech.corpora.messages:read",
    "csv": "undertone.speech.corpora.csv_table:read",
}

_BY_SUFFIX = {".jsonl": "messages", ".json": "messages", ".csv": "csv", ".tsv": "csv"}


TABLE = "metadata.csv"
"""What an audiofolder may hold instead of `metadata.jsonl`."""


class Found(NamedTuple):
    """What a manifest gave: data ready for every recipe, and the clips turned away."""

    data: Data
    rejected: list[Rejected]


def read_corpus(
    name: str,
    path: Path,
    disjoint: tuple[Axis, ...] = (),
    columns: Mapping[str, str] = MappingProxyType({}),
    values: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    split: Split = "train",
    strict: bool = False,
) -> Found:
    """Read `path` with reader `name` of `CORPORA` (or my_package.my_module:read); `strict` makes the first clip that cannot be used an
    error. `columns` and `values` as in `Naming`; ValueError names an unknown field in them."""
    naming, folder = Naming(columns, values), path if path.is_dir() else path.parent
    naming.check((SOUND, *NAMED))
    read, rows = resolve(CORPORA, name, "corpus"), list[Utterance | Rejected]()
    for listed in manifests(path):
        here = split if listed.parent == folder else SPLITS[listed.parent.name]
        rows += open_clips(read(listed, naming, here), listed, folder, name, here, strict)
    where = path if len(manifests(path)) > 1 else manifests(path)[0]
    utterances = unique((row for row in rows if isinstance(row, Utterance)), where)
    check(utterances, (), where)
    for axis in disjoint:
        _keep_apart(utterances, axis, where)
    return Found(Data(folder, utterances, disjoint), [row for row in rows if isinstance(row, Rejected)])


def _keep_apart(rows: Sequence[Utterance], axis: Axis, where: Path) -> None:
    """`BrokenRow` where a value of `axis` stands in several splits; what is not said is not compared."""
    homes: dict[str, dict[Split, str]] = {}
    for row in rows:
        if (value := getattr(row, axis)) not in ("", UNKNOWN):
            homes.setdefault(value, {}).setdefault(row.split, row.id)
    for value, splits in homes.items():
        if len(splits) > 1:
            stands = " and ".join(f"{split} ({name})" for split, name in splits.items())
            raise BrokenRow(
                f"{where}: {axis} {value!r} stands in {stands}; scores would tell what was learnt by heart: move the rows, or leave {axis} "
                "out of the setting disjoint (--disjoint with nothing behind it compares nothing)"
            )


def manifests(where: Path) -> list[Path]:
    """The files that list the clips: in a folder its metadata or, where it has none, that of its folders train, dev, test …; else `where`
    itself."""
    if not where.is_dir():
        return [where]
    folders = [where, *(where / name for name in SPLITS)]
    found = [folder / (METADATA if (folder / METADATA).exists() else TABLE) for folder in folders]
    found = [path for path in found if path.exists()]
    return found[:1] if found and found[0].parent == where else found or [where / METADATA]


def is_ours(where: Path) -> bool:
    """Whether `where` is a data folder of undertone's (or should be one, for nothing is there), not data of one's own."""
    own = any(path.exists() for path in manifests(where)) if where.is_dir() else bool(where.suffix)
    return (where / DECLARATION).exists() or not own


def read_data(
    where: Path,
    columns: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    strict: bool = False,
    disjoint: Sequence[Axis] = (),
) -> Found:
    """A data folder of ours, or data of one's own (another's audiofolder, `messages` JSONL, CSV) by the reader its name speaks for; ours
    declares itself what is `disjoint`."""
    meant = {field: cells for field, cells in values.items() if cells}
    if is_ours(where):
        if columns or meant:
            raise ValueError(f"{where}: its rows have undertone's own names and words already; leave --columns and --values out")
        return Found(read_folder(where), [])
    if not where.exists():
        raise FileNotFoundError(f"{where}: no such data folder or manifest; set --data")
    return read_corpus(guess(where), where, tuple(disjoint), strict=strict, columns=columns, values=meant)


def guess(path: Path) -> str:
    """The reader for `path` by its name: a folder is an audiofolder; ValueError lists the suffixes."""
    if path.is_dir() or path.name == METADATA:
        return "audiofolder"
    if path.suffix not in _BY_SUFFIX:
        raise ValueError(
            f"{path}: no reader for {path.suffix or 'this name'!r}; known: a folder with {METADATA} or {TABLE}, {', '.join(_BY_SUFFIX)}"
        )
    return _BY_SUFFIX[path.suffix]
