"""The documentation is run: Python blocks of every guide, command lines of every page, messages of the page of errors."""

import re
import shlex
from pathlib import Path

import pytest

from undertone import cli

HOME = Path(__file__).parent.parent
PAGES = [HOME / "README.md", *sorted((HOME / "docs").rglob("*.md"))]
GUIDES = sorted((HOME / "docs" / "guides").glob("*.md"))
COMMAND = re.compile(r"^ {4}(?:PYTHONPATH=\. )?undertone ((?:.*\\\n)*.*)", re.M)


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def blocks(page: Path) -> list[tuple[int, str]]:
    """Python blocks and the lines that they begin at."""
    text = page.read_text(encoding="utf-8")
    return [(text[: found.start(1)].count("\n"), found[1]) for found in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)]


@pytest.mark.parametrize("page", GUIDES, ids=names(GUIDES))
def test_blocks_of_a_guide_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    assert found, f"{page} shows no code"
    namespace: dict[str, object] = {"__name__": "guide"}
    for line, code in found:
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_commands_of_every_page_are_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(HOME / "configs")
    seen = 0
    for page in PAGES:
        for found in COMMAND.finditer(page.read_text(encoding="utf-8")):
            command, *words = shlex.split(found[1].replace("\\\n", " "), comments=True)
            words = [word for word in words if word not in cli.INSTEAD]
            if "--config" in words and not Path(file := words[words.index("--config") + 1]).exists():
                Path(file).parent.mkdir(parents=True, exist_ok=True)
                Path(file).touch()  # a file that the reader has by then
            if "--help" not in words:
                cli.parse(cli.COMMANDS[command][0], words, command)
                seen += 1
    assert seen > 10


def test_messages_of_the_page_of_errors_are_in_the_code() -> None:
    code = " ".join(path.read_text(encoding="utf-8") for path in sorted((HOME / "undertone").rglob("*.py")))
    messages = re.findall(r"^### `(.*)`$", (HOME / "docs" / "errors.md").read_text(encoding="utf-8"), re.M)
    assert len(messages) > 20
    for message in messages:
        fixed = [part.strip() for part in message.split("…") if len(part.strip(" '():;,")) > 3]
        assert fixed, message
        for part in fixed:
            assert part in code, f"nothing says {part!r} any more ({message})"
