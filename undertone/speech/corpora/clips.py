"""What every reader shares: fields of a manifest's row → `Utterance`, once its sound file was opened, or `Rejected`."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from undertone import attributes
from undertone.audio import BadSound, Conversions, read_sound
from undertone.lookup import suggest
from undertone.records import BrokenRow, Rejected, Split, Utterance, build, parse_json

RATE = 16_000
"""Hz that clips are opened at to see whether they can be; models ask for their own rate later."""

FIELDS = tuple(name for name in Utterance.model_fields if name not in ("file_name", "seconds", "attributes"))
"""What a row of a manifest may say of its clip, beside its sound file and its attributes."""


SOUND = "audio"
"""The field of a column map that names the sound file."""

UNKNOWN = "unknown"
"""The speaker of a row that names none."""

NAMED = (*FIELDS, *attributes.ATTRIBUTES)
"""Fields that may stand in a column of their own."""


class Naming(NamedTuple):
    """How a manifest says things: our field → its column (`{"age": "age_group"}`, only those of another name), and per field what its
    cells say → what we call it (`{"gender": {"M": "male"}}`)."""

    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]

    def check(self, known: tuple[str, ...]) -> None:
        """ValueError names a field that is not among `known`."""
        for field in (*self.columns, *self.values):
            if field not in known:
                raise ValueError(f"column map: unknown field {field!r}{suggest(field, list(known))}; known: {', '.join(known)}")

    def rename(self, rows: Iterable[tuple[Mapping[str, Any], str]], path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
        """`rows` under our names, in our words, and where each stands; `BrokenRow` where a column that was named is in no row."""
        found = list(rows)
        there = {column: None for row, _ in found for column in row}
        if found:
            check_columns(self.columns.values(), list(there), str(path))
        for row, where in found:
            ours = {**row, **{field: row.get(column) for field, column in self.columns.items()}}
            if isinstance(nested := ours.get("attributes"), Mapping):
                ours["attributes"] = self._said(nested)
            yield self._said(ours), where

    def _said(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {field: self.values.get(field, {}).get(str(cell), cell) for field, cell in row.items()}


def check_columns(needed: Iterable[str], there: Sequence[str], where: str) -> None:
    """`BrokenRow` where one of the `needed` columns is not `there`."""
    if missing := sorted(set(needed) - set(there)):
        raise BrokenRow(f"{where}: no column {', '.join(missing)}; there are: {', '.join(there)}")


class Clip(NamedTuple):
    """A row of a manifest: where it stands (file:line), its sound as the manifest names it, its fields, and a reason to turn it away."""

    where: str
    sound: str
    fields: Mapping[str, Any]
    reason: str | None = None


def open_clips(
    clips: Iterable[Clip], listed: Path, folder: Path, source: str, split: Split, strict: bool
) -> Iterator[Utterance | Rejected]:
    """Rows for `clips`; sounds are looked for from where they are `listed`, a manifest's folder or that of a whole corpus, and named from
    `folder`. With `strict`, a clip that cannot be used is a ValueError."""
    home = listed if listed.is_dir() else listed.parent
    counts, below = Conversions(), home.relative_to(folder)
    for clip in clips:
        # Built before the sound is opened: faults of the manifest must not hide behind a bad file.
        row = build(Utterance, _fields(clip, source, split) | {"file_name": clip.sound and str(below / clip.sound)}, clip.where)
        try:
            if clip.reason:
                raise BadSound(home / clip.sound, clip.reason)
            sound = read_sound(home / clip.sound, RATE)
        except BadSound as error:
            if strict:
                raise ValueError(f"{clip.where}: {clip.sound or 'no sound file'}: {error.reason}") from None
            yield Rejected(id=row.id, file_name=row.file_name, reason=error.reason)
            continue
        counts.add(sound)
        yield row.model_copy(update={"seconds": sound.seconds})
    counts.warn(listed, RATE)


def _fields(clip: Clip, source: str, split: str) -> dict[str, Any]:
    said = {name: value for name, value in clip.fields.items() if value is not None}
    said |= {name: str(said[name]) for name in ("id", "speaker", "pair") if isinstance(said.get(name), int)}
    unsaid = {"id": _id(source, clip), "text": "", "speaker": UNKNOWN, "source": source, "split": split, "attributes": {}}
    return unsaid | said | {"seconds": 0.0}


def json_rows(path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The objects of a file of JSON lines or of one JSON array, and where each stands; `BrokenRow` names what is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenRow(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if text.lstrip().startswith("["):
        found = ((row, f"{path}:[{i}]") for i, row in enumerate(parse_json(text, str(path))))
    else:
        lines = ((line, f"{path}:{i}") for i, line in enumerate(text.split("\n"), start=1) if line.strip())
        found = ((parse_json(line, where), where) for line, where in lines)
    for row, where in found:
        if not isinstance(row, Mapping):
            raise BrokenRow(f"{where}: should be an object, got {type(row).__name__}")
        yield row, where


def said_attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    """The attribute values of a row: those under "attributes" and those in columns of their own."""
    own = {name: row[name] for name in attributes.ATTRIBUTES if row.get(name)}
    nested = row.get("attributes")
    return own | dict(nested) if isinstance(nested, Mapping) else own


def _id(source: str, clip: Clip) -> str:
    said = json.dumps([source, clip.sound, clip.fields], sort_keys=True, default=str)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
