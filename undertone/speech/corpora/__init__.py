"""One's own data and published corpora: a reader a format or a corpus, one a file, and the one table that names them.

A reader of one's own data takes the path of a manifest, how it names things (`clips.Naming`) and the split of rows that name none, and
yields a `clips.Clip` a row; that of a published corpus (`published.Published`) takes its folder alone. Faults of what is listed are
errors. The sounds are opened here: each row becomes an `Utterance`, or a `Rejected` where its sound cannot be used. `file_name` points
from the manifest's folder, or the corpus', to the sound where it lies.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from undertone.lookup import resolve
from undertone.records import Axis, BrokenRow, Rejected, Split, Utterance, unique
from undertone.speech.corpora.audiofolder import SPLITS
from undertone.speech.corpora.clips import NAMED, SOUND, UNKNOWN, Clip, Naming, open_clips
from undertone.speech.corpora.published import Published, rotated
from undertone.speech.folder import DECLARATION, METADATA, Data, check, read_folder

CORPORA = {
    "audiofolder": "undertone.speech.corpora.audiofolder:read",
    "messages": "undertone.speech.corpora.messages:read",
    "csv": "undertone.speech.corpora.csv_table:read",
    "folder": "undertone.speech.corpora.audiofolder:read",
    "ravdess": "undertone.speech.corpora.ravdess:RAVDESS",
    "crema_d": "undertone.speech.corpora.crema_d:CREMA_D",
    "emodb": "undertone.speech.corpora.emodb:EMODB",
    "esd": "undertone.speech.corpora.esd:ESD",
    "savee": "undertone.speech.corpora.savee:SAVEE",
    "tess": "undertone.speech.corpora.tess:TESS",
    "iemocap": "undertone.speech.corpora.iemocap:IEMOCAP",
    "expresso": "undertone.speech.corpora.expresso:EXPRESSO",
    "speechocean762": "undertone.speech.corpora.speechocean762:SPEECHOCEAN762",
    "myst": "undertone.speech.corpora.myst:MYST",
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
    fold: int | None = None,
) -> Found:
    """Read `path` with reader `name` of `CORPORA` (or my_package.my_module:read); `strict` makes the first clip that cannot be used an
    error. `columns` and `values` as in `Naming`, for data of one's own; ValueError names an unknown field in them. `fold` is for published
    corpora: that group of their speakers is the test split and everybody else in train, as in `published.rotated`."""
    naming, folder = Naming(columns, values), path if path.is_dir() else path.parent
    naming.check((SOUND, *NAMED))
    read, rows, where = resolve(CORPORA, name, "corpus"), list[Utterance | Rejected](), path
    if isinstance(read, Published):
        rows += open_clips(_published(read, path, naming, fold), path, path, read.name, split, strict)
    else:
        if fold is not None:
            raise ValueError(f"fold {fold}: {name} is data of one's own, which says its splits itself; leave the setting fold at -1")
        for listed in manifests(path):
            here = split if listed.parent == folder else SPLITS[listed.parent.name]
            rows += open_clips(read(listed, naming, here), listed, folder, name, here, strict)
        where = path if len(manifests(path)) > 1 else manifests(path)[0]
    utterances = unique((row for row in rows if isinstance(row, Utterance)), where)
    check(utterances, (), where)
    for axis in disjoint:
        _keep_apart(utterances, axis, where)
    return Found(Data(folder, utterances, disjoint), [row for row in rows if isinstance(row, Rejected)])


def _published(corpus: Published, folder: Path, naming: Naming, fold: int | None) -> list[Clip]:
    """What the corpus lists; an error where `folder` holds nothing of it, or where its own words were to be renamed."""
    if naming.columns or naming.values:
        raise ValueError(f"{corpus.name}: its reader knows what the publisher's words mean; leave --columns and --values out")
    clips = list(corpus.read(folder))
    if not clips:
        raise FileNotFoundError(f"{folder}: nothing of {corpus.name} there; expected {corpus.layout} (or .flac, .opus, .mp3); set --data")
    return clips if fold is None else rotated(clips, fold)


def is_published(name: str) -> bool:
    """Whether `name` is read from a corpus' folder as its publisher ships it; ValueError where nobody reads it."""
    return bool(name) and isinstance(resolve(CORPORA, name, "corpus"), Published)


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


def is_ours(where: Path, corpus: str = "") -> bool:
    """Whether `where` is a data folder of undertone's (or should be one, for nothing is there), not data of one's own or a `corpus`."""
    if corpus:
        return False
    own = any(path.exists() for path in manifests(where)) if where.is_dir() else bool(where.suffix)
    return (where / DECLARATION).exists() or not own


def read_data(
    where: Path,
    columns: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    strict: bool = False,
    disjoint: Sequence[Axis] = (),
    corpus: str = "",
    fold: int = -1,
) -> Found:
    """What `corpus` reads in `where`; where it is empty, a data folder of ours, or data of one's own (another's audiofolder, `messages`
    JSONL, CSV) by the reader its name speaks for. Ours declares itself what is `disjoint`. `fold` −1: the corpus' own split."""
    meant = {field: cells for field, cells in values.items() if cells}
    if is_ours(where, corpus):
        if columns or meant:
            raise ValueError(f"{where}: its rows have undertone's own names and words already; leave --columns and --values out")
        if fold >= 0:
            raise ValueError(f"{where}: a data folder has its own splits; leave the setting fold at -1, or name the reader with --corpus")
        return Found(read_folder(where), [])
    if not where.exists():
        raise FileNotFoundError(f"{where}: no such data folder or manifest; set --data")
    rotation = fold if fold >= 0 else None
    return read_corpus(corpus or guess(where), where, tuple(disjoint), strict=strict, columns=columns, values=meant, fold=rotation)


def guess(path: Path) -> str:
    """The reader for `path` by its name: a folder is an audiofolder; ValueError lists the suffixes."""
    if path.is_dir() or path.name == METADATA:
        return "audiofolder"
    if path.suffix not in _BY_SUFFIX:
        raise ValueError(
            f"{path}: no reader for {path.suffix or 'this name'!r}; known: a folder with {METADATA} or {TABLE}, {', '.join(_BY_SUFFIX)}"
        )
    return _BY_SUFFIX[path.suffix]
