"""docs/families.md: one example a family, ten lines, run word for word on a toy checkpoint that lies where the name leads."""

import re
from pathlib import Path

import pytest
from checkpoints import STOCK, saved
from conftest import RATE, tone

from undertone.audio import write_flac
from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.training.lora import adapted_modules

PAGE = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## (\w+)\n.*?^```python\n(.*?)^```", PAGE, re.M | re.S))


def test_every_family_has_an_example() -> None:
    assert set(EXAMPLES) == set(STOCK)


@pytest.mark.parametrize("family", STOCK)
def test_an_example_runs(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, kind = EXAMPLES[family], resolve(FAMILIES, family, "model family")
    assert len([line for line in code.splitlines() if line]) <= 10, "the page promises ten lines"
    name = re.search(r'open_model\("(.*?)"', code)[1]  # type: ignore[index]
    section = PAGE.partition(f"## {family}\n")[2].partition("\n## ")[0]
    assert any(one == name or (one.endswith(f"/{name}") and one in section) for one in kind.checkpoints)
    monkeypatch.chdir(tmp_path)
    saved(family, tmp_path / name)
    write_flac(tmp_path / "clip.flac", tone(), RATE)
    there: dict[str, object] = {}
    exec(compile(code, family, "exec"), there)
    assert isinstance(there["model"], kind)
    assert len(adapted_modules(there["adapted"])) == (there["model"].layers // 2 + 1) * len(kind.targets)  # type: ignore[attr-defined]
