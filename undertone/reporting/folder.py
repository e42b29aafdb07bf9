"""What a report reads: the files of a run folder, checked. Only scores.jsonl must be there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict

from undertone.records import BrokenRow, LayerScore, R, Row, Score, parse_row, read_rows


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


class Folder(NamedTuple):
    """The rows of a run folder; empty or None where a file is absent."""

    path: Path
    scores: tuple[Score, ...]
    layers: tuple[LayerScore, ...]
    selection: Selection | None
    examples: tuple[Example, ...]
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]


def read(path: Path) -> Folder:
    """Read a run folder; FileNotFoundError or ValueError names the file, the line and the fix."""
    file = path / "scores.jsonl"
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file; a report is made from its scores, so run undertone evaluate or demo first")
    scores = tuple(read_rows(file, Score))
    if not scores:
        raise ValueError(f"{file}: holds no score; run undertone evaluate or demo first")
    return Folder(
        path,
        scores,
        _rows(path / "layers.jsonl", LayerScore),
        _selection(path / "selection.json"),
        _rows(path / "examples.jsonl", Example),
        _table(path / "settings.json"),
        _table(path / "provenance.json"),
    )


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
