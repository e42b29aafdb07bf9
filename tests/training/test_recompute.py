"""Layers that are computed again in the backward pass: the same losses and gradients, less kept, the tower still heard once."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.models.base import Batch, Prompt, SpeechLM
from undertone.models.passes import language_layers
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.training.heads import Targets
from undertone.training.lora import adapt
from undertone.training.objectives import PeFt, Sizes
from undertone.training.recompute import recompute

SIZES = Sizes(8, 2)


def prompts(model: SpeechLM) -> Batch:
    """Two clips with replies, as waves: the tower has to hear them."""
    waves = [0.1 * torch.randn(int(16_000 * seconds), generator=torch.Generator().manual_seed(i)) for i, seconds in enumerate((0.7, 1.9))]
    return model.encode([Prompt(audio=wave.numpy()) for wave in waves], ["turn off the power", "no"])


def objective(model: SpeechLM, dropout: float = 0.0) -> PeFt:
    model.module.requires_grad_(False)
    layers = language_layers(model)[:2]
    linears = {name.rpartition(".")[2] for name in model.linears(layers[0])} & {"q_proj", "v_proj", "qkv_proj"}
    adapted = adapt(model, layers, sorted(linears), rank=2, alpha=4, dropout=dropout, seed=0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if ".lora_B." in name:
                value.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    torch.manual_seed(1)
    made = PeFt(model, adapted, layers[-1], 0.5, model.module.get_input_embeddings().weight.shape[1])  # type: ignore[operator]
    made.train()
    return made


def step(made: PeFt, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The loss and the gradients of all that is trained; dropout drawn alike each time."""
    torch.manual_seed(7)
    loss = made(batch, Targets(torch.tensor([0, 2]), torch.tensor([1, 3])), SIZES).loss
    return loss.detach(), list(torch.autograd.grad(loss, [value for value in made.parameters() if value.requires_grad]))


@contextmanager
def counting(model: SpeechLM) -> Iterator[dict[str, int]]:
    """How often the tower and the last language-model layer run forward."""
    counts = {"tower": 0, "layer": 0}

    def count(name: str) -> None:
        counts[name] += 1

    # A hook on the layer itself stays outside of what is computed again, and that ends where nothing more is needed.
    inside = model.blocks()[language_layers(model)[-1]].mlp
    tower = next(iter(model.blocks().values()))
    handles = [
        tower.register_forward_pre_hook(lambda *_: count("tower")),
        inside.register_forward_pre_hook(lambda *_: count("layer")),
    ]
    yield counts
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_the_same_and_the_tower_runs_once(family: str, packed: bool) -> None:
    model: SpeechLM = resolve(FAMILIES, family, "model family").tiny(seed=3)
    if packed and not model.packs:
        pytest.skip("is never packed")
    made = objective(model, dropout=0.2)
    batch = prompts(model).packed() if packed else prompts(model)
    with counting(model) as usual:
        loss, gradients = step(made, batch)
    recompute(model)
    with counting(model) as again:
        other, others = step(made, batch)
    assert usual["layer"] == 1
    assert again["layer"] == 2, "nothing was computed again"
    assert again["tower"] == usual["tower"] > 0
    torch.testing.assert_close(other, loss, rtol=0, atol=0)
    for one, two in zip(others, gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)


def test_less_is_kept_for_the_backward_pass() -> None:
    def kept() -> int:
        held: dict[int, int] = {}

        def pack(value: torch.Tensor) -> torch.Tensor:
            held[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            made(batch, Targets(torch.tensor([0, 2]), torch.tensor([1, 3])), SIZES)
        return sum(held.values())

    model = Qwen2_5Omni.tiny(seed=3)
    made, batch = objective(model), prompts(model).packed()
    usual = kept()
    recompute(model)
    assert kept() < usual / 2


def test_asking_is_untouched() -> None:
    model = Qwen2_5Omni.tiny(seed=3)
    before = model.reply([Prompt(text="how do i fix the socket")], 8)
    recompute(model)
    assert model.reply([Prompt(text="how do i fix the socket")], 8) == before
