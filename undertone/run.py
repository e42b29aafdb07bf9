"""The run folder: resolved settings, provenance, rows appended so that a kill loses none, and atomic writes."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from undertone.records import BrokenRow, R, Row, Score, parse_json, read_rows, to_line

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


def open_run(
    folder: Path,
    name: str,
    settings: dict[str, Any],
    seed: int,
    device: str = "",
    inputs: Mapping[str, str] = MappingProxyType({}),
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    """Make or reopen a run folder. A folder of other settings, or of other `inputs` (name → hash), is refused: results never mix. Settings
    that it was made without were as `usual`.

    `device` is what the work is done on, in words (empty: this machine's CPU); a run that goes on elsewhere names both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept, results = folder / "settings.json", _results(folder)
    if kept.exists() and results:
        before = {**usual, **parse_json(kept.read_text(), str(kept))}
        old, new = _material(before), _material(json.loads(json.dumps(settings, default=str)))
        if changed := sorted(key for key in old | new if old.get(key) != new.get(key)):
            raise ValueError(f"{kept}: this folder belongs to a run with other settings ({', '.join(changed)}); choose another --out")
    made_by = folder / "provenance.json"
    table = parse_json(made_by.read_text(), str(made_by)) if results and made_by.exists() else provenance() | {"inputs": dict(inputs)}
    before = table.get("inputs", inputs)
    if (then := before.get("dtype")) and (now := inputs.get("dtype", then)) != then:
        raise ValueError(f"{folder}: this run began in {then} and would go on in {now}; set --dtype {then}, or choose another --out")
    if changed := sorted(key for key, content in inputs.items() if before.get(key) != content):
        raise ValueError(f"{folder}: {', '.join(changed)} holds something else than when this run began; choose another --out")
    devices = [*filter(None, table.get("device", "").split("; ")), device or f"cpu ({processor()}, {os.cpu_count()} cores)"]
    write_atomic(made_by, json.dumps(table | {"device": "; ".join(dict.fromkeys(devices))}, indent=2) + "\n")
    write_atomic(kept, json.dumps(settings, indent=2, default=str, sort_keys=True) + "\n")
    return Run(folder, name, seed, commit())


def _results(folder: Path) -> set[str]:
    """What a run has left in its folder so far; a file without a row is no result."""
    found = {path.name for path in folder.iterdir() if path.is_dir() or path.stat().st_size}
    return found - {"settings.json", "provenance.json"}


IMMATERIAL = frozenset(
    {
        "device",
        "dtype",  # what it means is bound as an input
        "batch",
        "workers",
        "recompute",
        "strict",
        "estimate_cost",
        "engine",
        "features",
        "features_gb",
        "verdicts",
        "disjoint",
        "concurrency",
        "attempts",
        "timeout",
        "max_tokens_spent",
        "base_url",
        "key_variable",
        "arms",  # of a study: each arm and seed, and what they are asked besides, has a folder of its own
        "seeds",
        "also",
    }
)
"""Settings that change how the work is done, not what comes of it: a run may go on with others."""


def _material(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {key: _material(value) for key, value in table.items() if key not in IMMATERIAL}


def commit() -> str:
    """The commit of the code that runs, "+dirty" where files differ from it, "unknown" outside a checkout."""
    here = Path(__file__)
    # Installed into an environment that lies in somebody's repository, the package would name that one: it must be tracked itself.
    asked = (("ls-files", "--error-unmatch", here.name), ("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "-uno", "--", "."))
    try:
        _, name, dirty = (
            subprocess.run(["git", *words], cwd=here.parent, capture_output=True, text=True, check=True).stdout.strip() for words in asked
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


def processor() -> str:
    """The CPU by name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write beside and rename: a reader sees the old file or the whole new one. OSError names the file, and the old one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path), beside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError while this is open names `path`."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot write, what was there is kept: {error.strerror}", str(path)) from error


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A whole JSONL file at once, atomically."""
    write_atomic(path, "".join(to_line(row) for row in rows))


class Journal:
    """A JSONL file that grows by appended rows. A line torn by a kill is cut off on reopening; finished rows are never lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            whole = path.read_bytes()
            end = whole.rfind(b"\n") + 1
            if end < len(whole):
                os.truncate(path, end)

    def rows(self, kind: type[R]) -> list[R]:
        """What is there already."""
        if not self.path.exists():
            return []
        return list(read_rows(self.path, kind))

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; they are on the disk when this returns."""
        lines = "".join(to_line(row) for row in rows).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with naming(self.path), self.path.open("ab", buffering=0) as file:
            whole = file.tell()
            try:
                while lines:
                    lines = lines[file.write(lines) :]
                os.fsync(file.fileno())
            except OSError:
                # A full disk tears a row too, and the next append must not begin in its middle.
                os.truncate(file.fileno(), whole)
                raise


__all__ = ["BrokenRow", "Journal", "Run", "commit", "open_run", "processor", "provenance", "write_atomic", "write_rows"]
