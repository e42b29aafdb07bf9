"""`undertone report`: read run folders, write one page."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undertone import settings
from undertone.cli import COMMANDS
from undertone.recipes.examples import listening
from undertone.reporting.folder import Source, read
from undertone.reporting.page import page
from undertone.run import write_atomic


def report(chosen: settings.Report) -> Path:
    """Write the page of run folders and return where it lies; FileNotFoundError or ValueError names the file that does not fit."""
    out = chosen.out or Path(os.path.commonpath([run.resolve() for run in chosen.runs])) / "report.html"
    write_atomic(out, build(chosen))
    print(f"report: {out}")
    return out


def build(chosen: settings.Report) -> str:
    """The page as HTML."""
    shown, silence = read(chosen.runs), ""
    if not shown.examples:
        pairs, silence = listening(shown.sources)
        shown = shown._replace(examples=pairs)
    return page(shown, chosen.title, steps(shown.sources, again(chosen.model_dump(mode="json"))), silence)


def steps(sources: Sequence[Source], last: str) -> list[str]:
    """What makes the page again: each folder's command behind its commit, and `last`, which `demo` gives itself."""
    lines: list[str] = []
    at = None
    for source in sources:
        commit = str(source.provenance.get("commit", "")).removesuffix("+dirty")
        lines += [f"git checkout {commit}"] if commit and commit != at else []
        command, at = again(source.settings), commit or at
        lines += [command] if command else []
    return lines if lines and lines[-1].startswith("undertone demo") else [*lines, last]


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
