"""Dropout with cheap dice is dropout."""

import pytest
import torch
from torch import nn

from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.training.dropout import Dropout
from undertone.training.lora import adapt, choose_layers


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_so_many_are_dropped_and_the_rest_stands_for_them(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    value = torch.ones(401, 503, dtype=dtype, requires_grad=True)
    made = Dropout(p)(value)
    dropped = (made == 0).float().mean().item()
    assert dropped == pytest.approx(p, abs=4 * (p * (1 - p) / value.numel()) ** 0.5 + 1 / 65_536)
    kept = made[made != 0]
    assert torch.equal(kept, torch.full_like(kept, 1 / (1 - p)))
    made.sum().backward()
    assert value.grad is not None
    assert torch.equal(value.grad, made.detach())


def test_neighbours_are_drawn_apart() -> None:
    """Four draws come from one 64-bit number: they must not know of one another, nor of their place."""
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(1000, 400)) != 0).float()
    for lag in (1, 2, 3, 4, 8):
        assert abs(torch.corrcoef(torch.stack([kept[:, :-lag].flatten(), kept[:, lag:].flatten()]))[0, 1]) < 0.01
    assert (kept.view(-1, 4).mean(0) - 0.5).abs().max() < 0.01


def test_a_seed_fixes_it_and_asking_drops_nothing() -> None:
    value, drop = torch.randn(7, 33), Dropout(0.3)
    torch.manual_seed(5)
    first = drop(value)
    second = drop(value)
    torch.manual_seed(5)
    assert torch.equal(first, drop(value))
    assert not torch.equal(first, second)
    assert drop.eval()(value) is value


def test_an_adapter_has_it_everywhere_and_saves_as_before() -> None:
    model = Qwen2_5Omni.tiny(0)
    adapted = adapt(model, choose_layers("0-1", model), ["q_proj", "v_proj"], rank=2, alpha=4, dropout=0.25, seed=0)
    drops = [part for part in adapted.modules() if isinstance(part, nn.Dropout) and part.p == 0.25]
    assert len(drops) == 4
    assert all(isinstance(part, Dropout) for part in drops)
    assert adapted.peft_config["default"].lora_dropout == 0.25
