"""What a report reads: the files of run folders, checked. Only a scores.jsonl must be there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict

from undertone.records import LAYERS, BrokenRow, LayerScore, R, Row, Score, parse_row, read_rows


class Selection(Row):
    """The layer ranges that the analyses led to, first and last layer included, and the sentences that say why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    paralinguistic: tuple[int, int]
    hand_over: int
    semantic: tuple[int, int]
    adapt: tuple[int, int]
    evidence: tuple[str, ...] = ()


class Voice(Row):
    """One voice of a pair: its value, its clip, and what each run answered, with the verdict (None: unscored)."""

    value: str
    file: str
    replies: Mapping[str, str]
    verdicts: Mapping[str, float | None] = {}


class Example(Row):
    """The same words in several voices."""

    text: str
    category: str
    voices: tuple[Voice, ...]


class Source(NamedTuple):
    """A run folder and how it was made; empty tables where nobody wrote that down."""

    path: Path
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]


class Shown(NamedTuple):
    """What a page shows of its run folders; empty or None where a file is in none of them."""

    sources: tuple[Source, ...]
    scores: tuple[Score, ...]
    layers: tuple[LayerScore, ...]
    selection: Selection | None
    examples: tuple[Example, ...]


def read(paths: Sequence[Path]) -> Shown:
    """Read run folders; FileNotFoundError or ValueError names the file, the line and the fix."""
    for path in paths:
        if not any((path / name).exists() for name in ("scores.jsonl", "layers.jsonl")):
            raise _no_scores(path)
    scores = tuple(row for path in paths for row in _rows(path / "scores.jsonl", Score))
    if all(row.suite == LAYERS for row in scores):
        empty = next((path for path in paths if (path / "scores.jsonl").exists()), None)
        if empty is None:
            raise _no_scores(paths[0])
        raise ValueError(f"{empty / 'scores.jsonl'}: holds no score of replies; run evaluate or demo first")
    return Shown(
        tuple(source(path) for path in paths),
        scores,
        _rows(_only(paths, "layers.jsonl"), LayerScore),
        _selection(_only(paths, "selection.json")),
        tuple(_anchored(one, path) for path in paths for one in _rows(path / "examples.jsonl", Example)),
    )


def source(path: Path) -> Source:
    """How the run folder `path` was made."""
    return Source(path, _table(path / "settings.json"), _table(path / "provenance.json"))


def _no_scores(path: Path) -> FileNotFoundError:
    file = path / "scores.jsonl"
    return FileNotFoundError(f"{file}: no such file; a report is made from its scores, so run undertone evaluate or demo first")


def _only(paths: Sequence[Path], name: str) -> Path:
    found = [path / name for path in paths if (path / name).exists()]
    if len(found) > 1:
        raise ValueError(f"{found[0]} and {found[1]}: a page shows one analysis; leave one of the folders out of runs")
    return found[0] if found else paths[0] / name


def _anchored(example: Example, folder: Path) -> Example:
    """The example with its clips found from where we are, not from its folder."""
    voices = tuple(voice.model_copy(update={"file": str(folder / voice.file)}) for voice in example.voices)
    return example.model_copy(update={"voices": voices})


def _rows(path: Path, kind: type[R]) -> tuple[R, ...]:
    return tuple(read_rows(path, kind)) if path.exists() else ()


def _selection(path: Path) -> Selection | None:
    return parse_row(path.read_text(encoding="utf-8"), Selection, str(path)) if path.exists() else None


def _table(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BrokenRow(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    if not isinstance(table, dict):
        raise BrokenRow(f"{path}: holds no table of names and values")
    return table
