"""The examples are run as they are, and stay short."""

import runpy
import sys
from pathlib import Path

import pytest

from undertone.audio import read_sound
from undertone.models import EMBEDDED, open_model
from undertone.models.passes import language_layers
from undertone.models.tiny import WEIGHTS
from undertone.training.lora import adapt

HOME = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(HOME.glob("*.py"))

SAYS = {
    "before_and_after": ["before, child:", "before, adult:"],
    "finetune_plainly": ["best loss"],
    "judge_by_rule": ["+1  Please wait", "-1  turn off", "+0  i do not know", "pa_score 0.00", "pa_rate 0.33"],
    "probe_layers": ["projector.0", "language_model.7", "shuffled labels"],
    "read_own_csv": ["anna, child", "bert, adult", "rejected lost.flac: no such file"],
    "speak_a_pair": ["child.flac", "adult.flac", "minimal pair: yes"],
}


def run(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(HOME / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def test_examples_are_short_and_known() -> None:
    assert {path.stem for path in EXAMPLES} == set(SAYS)
    assert all(len(path.read_text(encoding="utf-8").splitlines()) < 40 for path in EXAMPLES)


@pytest.mark.parametrize("name", [name for name in SAYS if name != "before_and_after"])
def test_an_example_says_what_it_promises(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(name, capsys, monkeypatch, str(tmp_path))
    for words in SAYS[name]:
        assert words in said
    if name == "speak_a_pair":
        assert all(read_sound(tmp_path / f"{age}.flac", 16_000).seconds > 0.5 for age in ("child", "adult"))
    if name == "finetune_plainly":
        assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


@pytest.mark.skipif(not (WEIGHTS / EMBEDDED).exists(), reason="the embedded weights are not in this checkout")
def test_before_and_after_an_adapter(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(EMBEDDED)
    adapt(model, language_layers(model)[:2], ["q_proj"], rank=2, alpha=4, dropout=0.0, seed=0).save_pretrained(tmp_path)
    before = run("before_and_after", capsys, monkeypatch)
    assert all(words in before for words in SAYS["before_and_after"])
    after = run("before_and_after", capsys, monkeypatch, str(tmp_path))
    # A fresh adapter is zero: what follows it is what went before.
    assert after.partition(" after, child: ")[2].splitlines()[0] == after.partition("before, child: ")[2].splitlines()[0]
