"""The run folder: resolved settings, provenance, rows appended so that a kill loses none, and atomic writes."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from undertone.records import BrokenRow, R, Row, Score, parse_row, to_line

PACKAGES = ("undertone", "torch", "transformers", "peft", "accelerate", "safetensors", "numpy", "soundfile", "soxr", "espeakng-loader")


class Run(NamedTuple):
    """A folder of one piece of work, its name, and what every score of it carries."""

    folder: Path
    name: str
    seed: int
    commit: str

    def score(self, suite: str, metric: str, group: str, value: float | None, n: int, **more: Any) -> Score:
        """A `Score` row of this run."""
        return Score(run=self.name, suite=suite, metric=metric, group=group, value=value, n=n, seed=self.seed, commit=self.commit, **more)


def open_run(folder: Path, name: str, settings: dict[str, Any], seed: int) -> Run:
    """Make or reopen a run folder. A folder that holds another settings file is refused: results of two settings never mix."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "settings.json"
    wanted = json.dumps(settings, indent=2, default=str, sort_keys=True) + "\n"
    if kept.exists() and kept.read_text() != wanted:
        changed = sorted(key for key in settings if json.loads(kept.read_text()).get(key) != json.loads(wanted)[key])
        raise ValueError(f"{kept}: this folder belongs to a run with other settings ({', '.join(changed)}); choose another --out")
    if not kept.exists():
        write_atomic(folder / "provenance.json", json.dumps(provenance(), indent=2) + "\n")
        write_atomic(kept, wanted)
    return Run(folder, name, seed, commit())


def commit() -> str:
    """The commit of the code that runs, "+dirty" where files differ from it, "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        name, dirty = (
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "-uno", "--", "."))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+dirty" if dirty else "")


def provenance() -> dict[str, Any]:
    """Versions, commit and machine."""
    return {
        "commit": commit(),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.platform(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_atomic(path: Path, text: str) -> None:
    """Write beside and rename: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A whole JSONL file at once, atomically."""
    write_atomic(path, "".join(to_line(row) for row in rows))


class Journal:
    """A JSONL file that grows by appended rows. A line torn by a kill is cut off on reopening; finished rows are never lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            whole = path.read_bytes()
            end = whole.rfind(b"\n") + 1
            if end < len(whole):
                os.truncate(path, end)

    def rows(self, kind: type[R]) -> list[R]:
        """What is there already."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [parse_row(line, kind, f"{self.path}:{i}") for i, line in enumerate(lines, start=1)]

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; they are on the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(to_line(row) for row in rows))
            file.flush()
            os.fsync(file.fileno())


__all__ = ["BrokenRow", "Journal", "Run", "commit", "open_run", "provenance", "write_atomic", "write_rows"]
