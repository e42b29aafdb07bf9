"""The language model in few bits: refused with the fix where it cannot be, and where bitsandbytes is there, still the same model."""

import sys

import pytest
import torch

from undertone.models import open_model, quantised
from undertone.models.base import Prompt
from undertone.models.passes import language_layers
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.training.features import fingerprint
from undertone.training.lora import adapt, adapted_modules


def test_bits_without_a_gpu_are_refused() -> None:
    with pytest.raises(ValueError, match="4 bits are for a GPU, and the device is cpu"):
        open_model("undertone-tiny", device="cpu", bits=4)


def test_bits_without_the_library_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ValueError, match=r"8 bits need bitsandbytes .*pip install 'undertone\[quant\]'"):
        quantised.check(8, "cuda")


@pytest.mark.parametrize("bits", [4, 8])
def test_layers_are_held_in_few_bits_and_train(bits: quantised.Bits) -> None:
    library = pytest.importorskip("bitsandbytes")
    place = "cuda" if torch.cuda.is_available() else "cpu"
    model = Qwen2_5Omni.tiny(seed=3)
    model.module.requires_grad_(False)
    before = fingerprint(model)
    batch = model.encode([Prompt(text="how do i fix the socket")], ["turn off the power"])
    expected = model.token_losses(batch)
    size = sum(value.nbytes for value in model.text_model.layers.parameters())  # type: ignore[union-attr,operator]
    quantised.quantise(model, library, bits, place)
    assert fingerprint(model) == before, "the tower has changed"
    assert sum(value.nbytes for value in model.text_model.layers.parameters()) < size * (bits + 4) / 32  # type: ignore[union-attr,operator]
    torch.testing.assert_close(model.token_losses(batch.to(place)).cpu(), expected, rtol=0.1, atol=0.1)

    layers = language_layers(model)[:2]
    adapted = adapt(model, layers, ["q_proj", "down_proj"], rank=2, alpha=4, dropout=0.0, seed=0)
    assert len(adapted_modules(adapted)) == 4
    model.token_losses(batch.to(place)).mean().backward()
    reached = {name for name, value in adapted.named_parameters() if value.grad is not None}
    assert {name.partition(".lora_")[0] for name in reached} == set(adapted_modules(adapted))
