"""The command line: one command a recipe. The only reader of argv; nothing heavy is imported before a recipe runs."""

import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib import import_module
from itertools import dropwhile, takewhile
from pathlib import Path

from undertone import settings

COMMANDS: dict[str, tuple[type[settings.Settings], str]] = {
    "synthesize": (settings.Synthesize, "undertone.recipes.synthesize:synthesize"),
    "analyze": (settings.Analyze, "undertone.recipes.analyze:analyze"),
    "finetune": (settings.Finetune, "undertone.recipes.finetune:finetune"),
    "align": (settings.Align, "undertone.recipes.align:align"),
    "evaluate": (settings.Evaluate, "undertone.recipes.evaluate:evaluate"),
    "recognize": (settings.Recognize, "undertone.recipes.recognize:recognize"),
    "ask": (settings.Ask, "undertone.recipes.ask:ask"),
    "export": (settings.Export, "undertone.recipes.export:export"),
    "study": (settings.Study, "undertone.recipes.study:study"),
    "report": (settings.Report, "undertone.recipes.report:report"),
    "demo": (settings.Demo, "undertone.recipes.demo:demo"),
}

INSTEAD = {"--estimate": {"finetune": "undertone.recipes.estimate:estimate"}}
"""Flags that have another recipe walk down the corridor with a command's settings, by command."""

USAGE = (
    "usage: undertone COMMAND [--config FILE.toml] [--dry-run] [--SETTING VALUE …]   (undertone COMMAND --help lists the settings)\n"
    "       undertone finetune --estimate …   prints parameters, memory and FLOPs of a step from the checkpoint's configuration alone"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 a clear error on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        said = {name: (kind.__doc__ or "").strip().splitlines()[0] for name, (kind, _) in COMMANDS.items()}
        print(USAGE, "", *(f"  {name:<{width}}  {line}" for name, line in said.items()), sep="\n")
        return 0
    if words[0] not in COMMANDS:
        from undertone.lookup import suggest

        return _fail(f"unknown command {words[0]!r}{suggest(words[0], COMMANDS)}; known: {', '.join(COMMANDS)}")
    kind, address = COMMANDS[words[0]]
    for flag in INSTEAD.keys() & set(words):
        if words[0] in INSTEAD[flag]:
            words.remove(flag)
            address = INSTEAD[flag][words[0]]
    try:
        chosen, dry = parse(kind, words[1:], words[0])
        if dry:
            print(settings.to_toml(chosen), end="")
            return 0
        module, _, function = address.partition(":")
        getattr(import_module(module), function)(chosen)
    except KeyboardInterrupt:
        _fail("interrupted; what is finished is kept, the same command goes on from there")
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        return _fail(f"{words[0]}: {error}")
    return 0


def parse(kind: type[settings.S], words: Sequence[str], command: str) -> tuple[settings.S, bool]:
    """Settings from `words`: defaults < --config FILE < flags; and whether --dry-run stands among them."""
    import tyro

    rest, dry = [word for word in words if word != "--dry-run"], "--dry-run" in words
    default = kind()
    for flag in [word for word in rest if word == "--config" or word.startswith("--config=")][:1]:
        at = rest.index(flag)
        if "=" not in flag and at + 1 == len(rest):
            raise settings.BadSetting("--config: name a TOML file after it")
        path = flag.partition("=")[2] or rest[at + 1]
        del rest[at : at + 1 + ("=" not in flag)]
        default = settings.read_config(kind, Path(path))
    if command == "ask":
        rest = _clip_flag(rest)
    _check_flags(rest, default)
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(kind, default=default, args=rest, prog=f"undertone {command}", description=kind.__doc__), dry
    except SystemExit as end:
        if end.code:
            raise settings.BadSetting(_unboxed(said.getvalue())) from None
        raise


def _unboxed(box: str) -> str:
    """What tyro says in the first part of the box that it draws around an error, in one line, without pydantic's own trimmings."""
    rows = ["" if set(row) <= set("│─╰╯|+- ") else row.strip("│| ") for row in box.splitlines()[1:]]
    line = " ".join(takewhile(bool, dropwhile(lambda row: not row, rows))) or box.strip()
    return re.sub(r"\d+ validation errors? for \w+ (Value error, )?| \[type=.*", "", line)


def _check_flags(words: Sequence[str], default: settings.Settings) -> None:
    """`BadSetting` names the first flag that no setting has, and the nearest that one has."""
    known = [flag.replace("_", "-") for flag in settings.flags(default)]
    for word in words:
        flag = word.partition("=")[0]
        if flag in ("-h", "--help"):
            return
        name = flag[2:].replace("_", "-")
        if flag.startswith("--") and name not in known and name.removeprefix("no-") not in known:
            raise settings.BadSetting(f"unknown setting {flag!r}; closest known: {settings.closest(name, known, '--')}")


def _clip_flag(words: Sequence[str]) -> list[str]:
    """`ask clip.wav` means `ask --clip clip.wav`: the first word, or the last one where no flag that wants a word precedes it."""
    if words and not words[0].startswith("-"):
        return ["--clip", *words]
    alone = len(words) == 1 or not words[-2].startswith("--") or "=" in words[-2] or words[-2] in ("--strict", "--no-strict")
    if words and not words[-1].startswith("-") and alone:
        return [*words[:-1], "--clip", words[-1]]
    return list(words)


def _fail(message: str) -> int:
    print(f"undertone: {' '.join(message.split())}", file=sys.stderr)
    return 2
