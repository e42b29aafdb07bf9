"""An adapter is asked as it was trained, unless somebody asks otherwise, and then it is said."""

from pathlib import Path

import pytest
from conftest import RATE, tone

from undertone.audio import write_flac
from undertone.cli import main
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.recipes.adapters import as_trained, located
from undertone.settings import Ask, Evaluate
from undertone.training.lora import MadeWith, adapt, choose_layers, made_with, save_adapter

MADE = MadeWith("somebody/model-7b", "be kind", "0,1", "abc123")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    model = Qwen2_5Omni.tiny()
    for part in (model.module, model.tokenizer, model.extractor):
        part.save_pretrained(tmp_path / "model")
    save_adapter(adapt(model, choose_layers("0-1", model), ["q_proj"], 2, 4, 0.0, 0), tmp_path / "adapter", MADE)
    return tmp_path / "adapter"


def test_the_adapters_model_and_prompt_are_taken_where_none_is_named(adapter: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert made_with(adapter) == MADE
    for chosen in (Ask(adapter=adapter), Evaluate(adapter=adapter)):
        found = as_trained(chosen)
        assert (found.model, found.system) == (MADE.model, MADE.system)
    assert as_trained(Ask(model=MADE.model, system=MADE.system, adapter=adapter)).system == "be kind"
    assert not caplog.records
    found = as_trained(Ask(model="other/model", system="be brief", adapter=adapter))
    assert (found.model, found.system) == ("other/model", "be brief")
    assert [record.getMessage() for record in caplog.records] == [
        f"{adapter}: trained with model 'somebody/model-7b', asked with 'other/model'",
        f"{adapter}: trained with system 'be kind', asked with 'be brief'",
    ]
    (adapter / "undertone.json").unlink()
    assert as_trained(Ask(adapter=adapter)) == Ask(adapter=adapter), "another program's adapter says nothing of its model"


def test_ask_needs_the_adapter_alone(adapter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(adapter.parent)
    (adapter / "undertone.json").unlink()
    model = Qwen2_5Omni.tiny()
    save_adapter(adapt(model, choose_layers("0-1", model), ["q_proj"], 2, 4, 0.0, 0), adapter, MADE._replace(model=located("model")))
    write_flac(adapter.parent / "clip.flac", tone(), RATE)
    monkeypatch.chdir("/")
    assert main(["ask", "--adapter", str(adapter), "--max-new-tokens", "2", str(adapter.parent / "clip.flac")]) == 0
    assert "after: " in capsys.readouterr().out
