"""Fills README.md between its marks: the tree, one line a file, from the files' own first lines."""

import ast
import re
from pathlib import Path

HOME = Path(__file__).parent.parent
SKIPPED = {"__init__.py"}


def tree(package: Path) -> str:
    """Every module of `package` with the first sentence of its docstring."""
    lines = []
    for path in sorted(package.rglob("*.py"), key=lambda path: (len(path.relative_to(package).parts) > 1, path)):
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if said and path.name not in SKIPPED:
            name = str(path.relative_to(package.parent))
            lines.append(f"{name:<52} {first_sentence(said)}")
    return "\n".join(lines)


def first_sentence(text: str) -> str:
    """Up to the first full stop or the end of the paragraph."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s(?=[A-Z`])", paragraph)[0].rstrip(".")


def fill(readme: str, mark: str, text: str) -> str:
    """`readme` with `text` as a code block between <!-- mark --> and the next heading, whatever stood there before."""
    head, _, rest = readme.partition(f"<!-- {mark} -->")
    return f"{head}<!-- {mark} -->\n\n```\n{text}\n```\n\n{rest[rest.index('## ') :]}"


if __name__ == "__main__":
    page = HOME / "README.md"
    page.write_text(fill(page.read_text(encoding="utf-8"), "tree", tree(HOME / "undertone")), encoding="utf-8")
