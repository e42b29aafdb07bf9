"""PE-FT end to end on a tiny checkpoint of every family on a stock class: the loss falls, the adapter opens with stock PEFT and with ours,
and merged weights answer as unmerged ones do.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import STOCK, named, saved
from conftest import RATE, tone
from peft import PeftModel
from safetensors.torch import load_file

from undertone.audio import write_flac
from undertone.cli import main
from undertone.lookup import resolve
from undertone.models import FAMILIES, open_model
from undertone.models.base import Prompt, SpeechLM
from undertone.records import Score, read_rows
from undertone.training.loop import Encoder
from undertone.training.lora import adapted_modules, load_adapter

REPLIES = {"female": "to fix the socket turn off the power", "male": "no"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips in two voices, a manifest of messages and audios as other trainers take it."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for i in range(12):
        gender, other = ("female", "male")[i % 2], ("male", "female")[i % 2]
        name, split = f"{i}.flac", ("train", "dev", "test")[i // 2 % 3]
        write_flac(folder / name, tone(220.0 + i if gender == "female" else 110.0 + i, 0.5 + 0.1 * (i % 3)), RATE)
        rows.append({
            "messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": REPLIES[gender]}], "audios": [name],
            "text": "how do i fix the socket", "gender": gender, "speaker": f"s{split}{i}", "split": split, "pair": f"p{i // 2}",
            "category": "gender", "contrast": other, "rejected_response": REPLIES[other],
        })  # fmt: skip
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "train.jsonl"


def logits(model: SpeechLM) -> torch.Tensor:
    noise = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
    with torch.inference_mode():
        return model.lm_head(model.hidden(model.encode([Prompt(audio=noise, text="hello")])))  # type: ignore[no-any-return]


def opened(family: str, folder: Path) -> SpeechLM:
    return open_model(str(folder), "generic" if family == "generic" else "", dtype="float32")


@pytest.mark.parametrize("family", STOCK)
def test_a_fine_tuning_end_to_end(family: str, data: Path, tmp_path: Path) -> None:
    folder, out = saved(family, tmp_path / "model"), tmp_path / "run"
    targets = resolve(FAMILIES, family, "model family").targets
    how = ["--data", str(data), "--out", str(out), "--steps", "8", "--batch-size", "4", "--check-every", "4", "--learning-rate", "1e-2"]
    how += ["--layers", "1-2", "--dtype", "float32", "--lora.dropout", "0", "--lora.targets", *targets, "--replay", "0"]
    assert main(["finetune", *named(family, folder), *how]) == 0
    model = opened(family, folder)
    before = logits(model)
    adapted = load_adapter(model, out / "adapter")
    assert len(adapted_modules(adapted)) == 2 * len(targets)
    ours = logits(model)
    assert not torch.allclose(ours, before, atol=1e-3), "the adapter changes nothing"
    adapted.merge_adapter()
    torch.testing.assert_close(logits(model), ours, rtol=1e-5, atol=1e-5)
    stock = opened(family, folder)
    PeftModel.from_pretrained(stock.module, out / "adapter").eval()  # type: ignore[arg-type]
    assert logits(stock).equal(ours)
    replies = dev_scalars(out, "sft")
    assert replies[-1] < replies[0]
    assert dev_scalars(out, "category_accuracy")[-1] == 1.0, "the head knows what is asked"
    assert any(row.suite == "adch" for row in read_rows(out / "scores.jsonl", Score))
    trained = next(row for row in read_rows(out / "scores.jsonl", Score) if row.metric == "trainable_parameters")
    assert trained.value > 0


def test_a_fine_tuning_in_bfloat16(data: Path, tmp_path: Path) -> None:
    folder, out = saved("qwen2_5_omni", tmp_path / "model"), tmp_path / "run"
    how = ["--data", str(data), "--out", str(out), "--steps", "8", "--batch-size", "4", "--check-every", "4", "--learning-rate", "1e-2"]
    assert main(["finetune", *named("qwen2_5_omni", folder), *how, "--layers", "1-2", "--dtype", "bfloat16", "--replay", "0"]) == 0
    replies = dev_scalars(out, "sft")
    assert replies[-1] < replies[0]
    model = open_model(str(folder), dtype="bfloat16")
    before = logits(model)
    load_adapter(model, out / "adapter")
    assert not torch.allclose(logits(model), before, atol=1e-2)


def dev_scalars(out: Path, name: str) -> list[float]:
    """What the run logged as `name` of its dev split, check by check."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(out / "logs"))
    found.Reload()
    return [event.value for event in found.Scalars(f"dev/{name}")]


@pytest.mark.parametrize(("family", "packs"), [("generic", False), ("voxtral", True)])
def test_rows_are_packed_where_the_family_can_be_told_where_a_clip_ends(
    family: str, packs: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Encoder] = []

    def kept(*parts: object) -> Encoder:
        made.append(Encoder(*parts))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr("undertone.recipes.finetune.Encoder", kept)
    how = ["--data", str(data), "--out", str(tmp_path / "run"), "--steps", "1", "--batch-size", "2", "--layers", "1"]
    assert main(["finetune", *named(family, saved(family, tmp_path / "model")), *how]) == 0
    assert [one.packed for one in made] == [packs]


def test_experts_take_an_adapter_too(tmp_path: Path, data: Path) -> None:
    folder, out = saved("qwen3_omni_moe", tmp_path / "model"), tmp_path / "run"
    how = ["--data", str(data), "--out", str(out), "--steps", "2", "--batch-size", "4", "--layers", "1-2", "--dtype", "float32"]
    targets = ["--lora.targets", "q_proj", "gate_up_proj", "down_proj"]
    assert main(["finetune", *named("qwen3_omni_moe", folder), *how, *targets]) == 2, "experts take no dropout"
    assert main(["finetune", *named("qwen3_omni_moe", folder), *how, *targets, "--lora.dropout", "0"]) == 0
    model = opened("qwen3_omni_moe", folder)
    before = logits(model)
    adapted = load_adapter(model, out / "adapter")
    assert {name.removeprefix("base_model.model.") for name in adapted_modules(adapted)} == {
        f"model.language_model.layers.{layer}.{part}"
        for layer in (1, 2)
        for part in ("self_attn.q_proj", "mlp.experts.gate_up_proj", "mlp.experts.down_proj")
    }
    ours = logits(model)
    assert not ours.equal(before)
    adapted.merge_adapter()
    torch.testing.assert_close(logits(model), ours, rtol=1e-5, atol=1e-5)


def test_a_clip_that_is_too_long_for_the_tower_is_turned_away(data: Path, tmp_path: Path) -> None:
    folder, out = saved("qwen2_audio", tmp_path / "model"), tmp_path / "run"
    shutil.copytree(data.parent, tmp_path / "data")
    write_flac(tmp_path / "data" / "0.flac", tone(220.0, 4.5), RATE)
    how = ["--data", str(tmp_path / "data" / "train.jsonl"), "--out", str(out), "--steps", "1", "--batch-size", "2", "--layers", "1"]
    assert main(["finetune", *named("qwen2_audio", folder), *how]) == 0
    rejected = (out / "rejected.jsonl").read_text()
    assert "lasts 4.5 s, qwen2_audio hears 4 s at most; cut it" in rejected
    assert rejected.count("\n") == 1


def test_recomputed_layers_train_to_the_same_adapter_which_goes_out_with_its_story(data: Path, tmp_path: Path) -> None:
    folder = saved("qwen2_5_omni", tmp_path / "model")
    how = ["--data", str(data), "--steps", "3", "--batch-size", "4", "--layers", "1-2", "--dtype", "float32", "--replay", "0"]
    for name, more in (("kept", []), ("again", ["--recompute"])):
        assert main(["finetune", *named("qwen2_5_omni", folder), *how, "--out", str(tmp_path / name), *more]) == 0
    kept, again = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("kept", "again"))
    assert kept.keys() == again.keys()
    for name, value in kept.items():
        torch.testing.assert_close(again[name], value, rtol=1e-4, atol=1e-6)
    assert main(["export", "--adapter", str(tmp_path / "again" / "adapter"), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "README.md").read_text()
    for said in ("3 steps of 4 clips", "LoRA: rank 16, alpha 32, dropout 0.05", "Layers adapted: 1,2", "| Trainable parameters |"):
        assert said in page, page
