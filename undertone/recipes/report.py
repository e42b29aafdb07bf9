"""Report: read a run folder, write one page."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertone import settings
from undertone.cli import COMMANDS
from undertone.reporting.folder import read
from undertone.reporting.page import page
from undertone.run import write_atomic


def report(chosen: settings.Report) -> Path:
    """Write the page of a run folder and return where it lies; FileNotFoundError or ValueError names the file that does not fit."""
    out = chosen.out or chosen.run / "report.html"
    write_atomic(out, build(chosen.run, chosen.title))
    print(f"report: {out}")
    return out


def build(folder: Path, title: str) -> str:
    """The page of `folder` as HTML."""
    found = read(folder)
    return page(found, title, again(found.settings))


def again(table: Mapping[str, Any]) -> str:
    """The command line that the settings of a run folder came from; empty where they are no recipe's."""
    for command, (kind, _) in COMMANDS.items():
        if set(table) == set(kind.model_fields):
            usual = kind().model_dump(mode="json")
            values = {name: (_at(table, name), _at(usual, name)) for name in settings.flags(kind())}
            changed = [_flag(name, type(was)() if now is None else now) for name, (now, was) in values.items() if now != was]
            return " ".join(["undertone", command, *changed])
    return ""


def _at(table: Any, name: str) -> Any:
    for part in name.split("."):
        table = table.get(part) if isinstance(table, Mapping) else None
    return table


def _flag(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    words = (
        value if isinstance(value, list) else [word for pair in value.items() for word in pair] if isinstance(value, Mapping) else [value]
    )
    return " ".join([f"--{flag}", *(shlex.quote(str(word)) for word in words)])
