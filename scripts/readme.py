"""Fills README.md between its marks: the tree, one line a file, from the files' own first lines."""

import ast
import re
import subprocess
from pathlib import Path

HOME = Path(__file__).parent.parent
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


def fill(readme: str, mark: str, text: str) -> str:
    """`readme` with `text` as a code block between <!-- mark --> and the next heading, whatever stood there before."""
    return put(readme, mark, f"```\n{text}\n```")


def put(readme: str, mark: str, text: str) -> str:
    """`readme` with `text` between <!-- mark --> and the next heading, whatever stood there before."""
    head, _, rest = readme.partition(f"<!-- {mark} -->")
    return f"{head}<!-- {mark} -->\n\n{text}\n\n{rest[rest.index('## ') :]}"


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
    page.write_text(put(filled, "suites", suites()), encoding="utf-8")
