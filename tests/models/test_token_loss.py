"""The cross-entropy behind a frozen head against PyTorch's own."""

import pytest
import torch
from torch import nn

from undertone.models import token_loss
from undertone.models.token_loss import cross_entropies


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("bias", [False, True])
def test_losses_and_gradients_are_pytorchs(dtype: torch.dtype, tolerance: float, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts of three positions, each with a gradient of its own from above."""
    monkeypatch.setattr(token_loss, "LOGITS", 3 * 50)
    dice = torch.Generator().manual_seed(0)
    head = nn.Linear(16, 50, bias=bias, dtype=dtype).requires_grad_(False)
    hidden = torch.randn(10, 16, generator=dice).to(dtype).requires_grad_()
    targets, above = torch.randint(50, (10,), generator=dice), torch.rand(10, generator=dice)
    plain = nn.functional.cross_entropy(head(hidden).float(), targets, reduction="none")
    losses = cross_entropies(hidden, targets, head)
    assert losses.equal(plain)
    found, expected = (torch.autograd.grad((one * above).sum(), hidden)[0] for one in (losses, plain))
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


def test_a_head_that_learns_has_its_gradient() -> None:
    head, hidden = nn.Linear(4, 7), torch.randn(3, 4)
    cross_entropies(hidden, torch.tensor([1, 2, 3]), head).sum().backward()
    assert head.weight.grad is not None
    assert head.weight.grad.abs().sum() > 0


def test_no_logits_are_kept() -> None:
    """What the backward pass is left with grows with the width, not with the vocabulary."""
    head, hidden = nn.Linear(4, 1000).requires_grad_(False), torch.randn(6, 4, requires_grad=True)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one.numel()) or one, lambda one: one):  # type: ignore[func-returns-value]
        cross_entropies(hidden, torch.arange(6), head).sum()
    assert sum(kept) == 6 * 4
