"""Heads, mixture, layer choice: the small parts of PE-FT."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from undertone.attributes import ATTRIBUTES
from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance
from undertone.training.batches import Mixture
from undertone.training.heads import Adch, mean_over, targets
from undertone.training.lora import adapt, choose_layers, load_adapter


def row(number: int, category: str) -> Utterance:
    voice = {"age": "child", "gender": "male", "emotion": "sad"}
    return Utterance(id=f"{category}-{number}", text="hm", file_name="x.flac", seconds=1, attributes=voice, speaker="s", source="t",
                     split="train", category=category, reply="yes")  # fmt: skip


def test_each_clip_goes_through_the_head_of_its_true_category() -> None:
    torch.manual_seed(0)
    adch, pooled = Adch(5), torch.randn(4, 5)
    rows = [row(0, "age"), row(1, "emotion"), row(2, "content"), row(3, "gender")]
    sums = adch(pooled, targets(rows))
    wanted_category = sum(F.cross_entropy(adch.category(pooled[i : i + 1]), torch.tensor([c])) for i, c in ((0, 0), (1, 2), (3, 1)))
    wanted_value = sum(
        F.cross_entropy(adch.values[head](pooled[i : i + 1]), torch.tensor([list(ATTRIBUTES.values())[head].names.index(name)]))
        for i, head, name in ((0, 0, "child"), (1, 2, "sad"), (3, 1, "male"))
    )
    torch.testing.assert_close(sums.category, wanted_category)
    torch.testing.assert_close(sums.attribute, wanted_value)


def test_heads_have_the_widths_of_the_table() -> None:
    assert [head.out_features for head in Adch(7).values] == [len(attribute.names) for attribute in ATTRIBUTES.values()]


def test_mean_over_ignores_what_is_masked() -> None:
    states = torch.arange(12.0).reshape(1, 4, 3)
    assert mean_over(states, torch.tensor([[False, True, False, True]])).tolist() == [[6.0, 7.0, 8.0]]


def test_mixture_keeps_its_shares_and_repeats_by_step_alone() -> None:
    rows = [row(i, c) for c, n in (("age", 10), ("gender", 7), ("emotion", 30), ("content", 5)) for i in range(n)]
    drawn = [Mixture(rows, 0.2, {"emotion": 2.0}, seed=3).batch(step, 20) for step in range(50)]
    count = Counter(one.category for batch in drawn for one in batch)
    assert all(len(batch) == 20 for batch in drawn)
    assert count == {"age": 200, "gender": 200, "emotion": 400, "content": 200}
    assert drawn[37] == Mixture(rows, 0.2, {"emotion": 2.0}, seed=3).batch(37, 20)
    assert {one.id for batch in drawn for one in batch} == {one.id for one in rows}
    with pytest.raises(ValueError, match="accent"):
        Mixture(rows, 0.2, {"accent": 1.0}, seed=0)


@pytest.mark.parametrize(("text", "wanted"), [("0-3", [0, 1, 2, 3]), ("7", [7]), ("0,2,5-6", [0, 2, 5, 6]), ("all", list(range(8)))])
def test_layers_are_read(text: str, wanted: list[int]) -> None:
    assert [layer.index for layer in choose_layers(text, Qwen2_5Omni.tiny())] == wanted


@pytest.mark.parametrize("text", ["0-8", "x", "", "random:9", "3-1"])
def test_layers_that_do_not_exist_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="layers"):
        choose_layers(text, Qwen2_5Omni.tiny())


def test_an_adapter_of_other_names_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = Qwen2_5Omni.tiny()
    adapt(model, choose_layers("0-1", model), ["q_proj"], 2, 4, 0.0, 0).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    moved = {name.replace("model.model.", "model.thinker.model."): value for name, value in weights.items()}
    save_file(moved, tmp_path / "adapter_model.safetensors")
    with pytest.raises(RuntimeError, match="4 of the adapter's 4 tensors find no place"):
        load_adapter(Qwen2_5Omni.tiny(), tmp_path)


def test_saved_adapter_opens_with_stock_peft_and_holds_no_heads(tmp_path: Path) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file

    model = Qwen2_5Omni.tiny()
    adapted = adapt(model, choose_layers("0-1", model), ["q_proj", "v_proj"], 2, 4, 0.0, 0)
    for name, value in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    adapted.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert saved
    assert all(".lora_" in name for name in saved)
    fresh = Qwen2_5Omni.tiny()
    stock = PeftModel.from_pretrained(fresh.module, tmp_path)
    loaded = {name: value for name, value in stock.named_parameters() if "lora_" in name}
    assert len(loaded) == len(saved)
    ours = Qwen2_5Omni.tiny()
    load_adapter(ours, tmp_path, strength=0.0)
    batch = ours.encode([Prompt(text="hello")])
    with torch.inference_mode():
        torch.testing.assert_close(ours.hidden(batch), Qwen2_5Omni.tiny().hidden(batch))
        assert not torch.allclose(fresh.hidden(batch), ours.hidden(batch), atol=1e-3)
