"""Losses over the vocabulary in parts are those of all logits at once, and nothing as wide as the vocabulary is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from weakref import WeakSet

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from undertone.models import logits
from undertone.training.alignment import distillation

POSITIONS, WIDTH, VOCABULARY = 37, 16, 501


class Sizes(TorchDispatchMode):
    """The numbers in the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.largest = max([self.largest, *(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor))])
        return out


class Saved:
    """A tensor that is kept for the backward pass."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextmanager
def keeping() -> Iterator[WeakSet[Saved]]:
    """What autograd keeps of what is done while open, as long as it keeps it."""
    alive: WeakSet[Saved] = WeakSet()

    def keep(tensor: Tensor) -> Saved:
        alive.add(saved := Saved(tensor))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        yield alive


def drawn(positions: int = POSITIONS, vocabulary: int = VOCABULARY, learns: bool = False) -> tuple[Tensor, Tensor, nn.Linear]:
    dice = torch.Generator().manual_seed(0)
    head = nn.Linear(WIDTH, vocabulary, bias=False).requires_grad_(learns)
    nn.init.normal_(head.weight, generator=dice)
    return torch.randn(positions, WIDTH, generator=dice).requires_grad_(), torch.randint(vocabulary, (positions,), generator=dice), head


@pytest.mark.parametrize("learns", [False, True])
def test_parts_give_the_losses_and_gradients_of_the_whole(learns: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, targets, head = drawn(learns=learns)
    weights = torch.rand(POSITIONS)
    wanted = [hidden, *head.parameters()] if learns else [hidden]
    whole = F.cross_entropy(head(hidden), targets, reduction="none")
    monkeypatch.setattr(logits, "LOGITS", 5 * VOCABULARY)
    parts = logits.cross_entropy(hidden, targets, head)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-6)
    for ours, plain in zip(*(torch.autograd.grad((one * weights).sum(), wanted) for one in (parts, whole)), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


def test_two_kinds_of_loss_share_their_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, targets, head = drawn()
    top, ids = torch.randn(POSITIONS, 4), torch.randint(VOCABULARY, (POSITIONS, 4))

    def of(all_logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        return F.cross_entropy(all_logits, targets[part], reduction="none"), distillation(all_logits, top[part], ids[part], 2.0)

    whole = of(head(hidden), slice(None))
    monkeypatch.setattr(logits, "LOGITS", 5 * VOCABULARY)
    parts = logits.losses(hidden, head, of)
    for ours, plain in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
    slopes = [torch.autograd.grad(2 * one.sum() + 3 * other.sum(), hidden)[0] for one, other in (parts, whole)]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-5)


def test_memory_does_not_grow_with_vocabulary_times_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 400 positions × 2,000 tokens no tensor has more than 8,192 numbers, and what is kept grows with the positions alone."""
    monkeypatch.setattr(logits, "LOGITS", 1 << 13)
    found = []
    for positions, vocabulary in ((100, 1000), (400, 1000), (400, 2000)):
        hidden, targets, head = drawn(positions, vocabulary)
        with Sizes() as sizes, keeping() as alive:
            loss = logits.summed_cross_entropy(hidden, targets, head)
            saved = sum(one.tensor.numel() for one in alive)
            loss.backward()
        found.append((positions, vocabulary, sizes.largest, saved))
    for positions, vocabulary, largest, saved in found:
        assert largest <= max(1 << 13, vocabulary * WIDTH), "the head itself is the largest"
        assert 0 < saved <= 2 * positions * WIDTH


def test_nothing_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two operations a weight and position forward, two back."""
    monkeypatch.setattr(logits, "LOGITS", 5 * VOCABULARY)
    hidden, targets, head = drawn()
    with FlopCounterMode(display=False) as counted:
        logits.summed_cross_entropy(hidden, targets, head).backward()
    assert counted.get_total_flops() == 4 * POSITIONS * WIDTH * VOCABULARY


def test_no_position_has_no_loss() -> None:
    hidden, targets, head = drawn(positions=0)
    loss = logits.summed_cross_entropy(hidden, targets, head)
    loss.backward()
    assert (loss.item(), hidden.grad.shape) == (0.0, (0, WIDTH))  # type: ignore[union-attr]


@pytest.mark.skipif(not (torch.cuda.is_available() and find_spec("liger_kernel")), reason="no GPU, or the extra gpu is not installed")
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_ligers_kernels_give_the_same(dtype: torch.dtype, within: float) -> None:
    found = []
    for by in (logits.liger, lambda hidden, targets, head: logits.cross_entropy(hidden, targets, head).sum()):
        hidden, targets, head = drawn()
        hidden = hidden.detach().to("cuda", dtype).requires_grad_()
        loss = by(hidden, targets.cuda(), head.to("cuda", dtype))
        (loss / 7).backward()
        found.append((loss.float(), hidden.grad.float()))  # type: ignore[union-attr]
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=within, atol=within)
