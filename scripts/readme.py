"""Fills README.md between its marks: the tree, one line a file, from the files' own first lines."""

import ast
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

HOME = Path(__file__).parent.parent
sys.path.insert(0, str(HOME))
from undertone.models import FAMILIES  # noqa: E402 - of this checkout, whatever is installed

SHOWN = ("undertone/**/*.py", "scripts/**/*.py", "configs/**/*.toml", "examples/*.py", "docs/**/*.md")
"""What the tree lists; tests/ mirrors the package."""


def tree(home: Path) -> str:
    """Every file that git keeps of `SHOWN` and that says what it is, with its first sentence."""
    kept = subprocess.run(["git", "ls-files"], cwd=home, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [path for pattern in SHOWN for path in sorted(home.glob(pattern)) if str(path.relative_to(home)) in kept]
    return "\n".join(f"{path.relative_to(home)!s:<52} {said}" for path in files if (said := first_sentence(opening(path))))


def opening(path: Path) -> str:
    """What a file says of itself: the docstring of a module, the first comment of a settings file, a page's text below its heading."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    if path.suffix == ".toml":
        return "\n".join(line.removeprefix("# ") for line in text.split("\n\n")[0].splitlines() if line.startswith("#"))
    return next((part for part in text.split("\n\n") if not part.startswith("#")), "")


def first_sentence(text: str) -> str:
    """Up to the first full stop or the end of the paragraph."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s(?=[A-Z`])", paragraph)[0].rstrip(".")


def families(home: Path) -> str:
    """The families of the table in code, each with what its class says of itself."""
    rows = ["| family | written for | METHOD A.3 adapts | batches | |", "| --- | --- | --- | --- | --- |"]
    for name, address in FAMILIES.items():
        path, said = family(home, *address.split(":"))
        names = ", ".join(f"`{one}`" for one in said.get("checkpoints", ())) or "its own checkpoints"
        targets = ", ".join(said.get("targets", ("q_proj", "v_proj")))
        kind = "packed" if said.get("packs", True) else "padded"
        rows.append(f"| `{name}` | {names} | {targets} | {kind} | {first_sentence(opening(path))} |")
    return "\n".join(rows)


def family(home: Path, module: str, name: str) -> tuple[Path, dict[str, Any]]:
    """The file that holds class `name` of `module`, and what is written down in the class's body."""
    place = home / module.replace(".", "/")
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    found = ((path, node) for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body)
    path, kind = next((path, node) for path, node in found if isinstance(node, ast.ClassDef) and node.name == name)
    said = {}
    for line in kind.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            with suppress(ValueError):  # what is computed is not for this table
                said[line.targets[0].id] = ast.literal_eval(line.value)
    return path, said


def fill(readme: str, mark: str, text: str, fence: str = "```") -> str:
    """`readme` with `text` as a code block between <!-- mark --> and the next heading, whatever stood there before."""
    head, _, rest = readme.partition(f"<!-- {mark} -->")
    block = f"{fence}\n{text}\n{fence}" if fence else text
    return f"{head}<!-- {mark} -->\n\n{block}\n\n{rest[rest.index('## ') :]}"


def suites() -> str:
    """The suites that `undertone evaluate --suite` knows, from the one table that names them: a row each."""
    from undertone.evaluation.suites import SUITES
    from undertone.lookup import resolve

    rows = ["| suite | what it shows | reads | gives | judged |", "| --- | --- | --- | --- | --- |"]
    for name in SUITES:
        kind = resolve(SUITES, name, "suite")
        said = first_sentence(kind.__doc__ or "").partition(": ")[2]
        rows.append(f"| `{name}` | {said} | {kind.reads} | {kind.gives} | {'yes' if kind.judges else 'no'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    page = HOME / "README.md"
    filled = fill(page.read_text(encoding="utf-8"), "tree", tree(HOME))
    filled = fill(filled, "families", families(HOME), fence="")
    page.write_text(fill(filled, "suites", suites(), fence=""), encoding="utf-8")
