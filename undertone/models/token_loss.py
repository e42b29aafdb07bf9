"""Cross-entropy behind an output head, a part of the positions at a time; behind a frozen head no logits are kept for the backward pass."""

from typing import Any

import torch
from torch import Tensor, nn

LOGITS = 1 << 26
"""Logits computed at once: at most three copies of them lie in memory, 0.7 GB in all."""


def cross_entropies(hidden: Tensor, targets: Tensor, head: nn.Module) -> Tensor:
    """(position,) cross-entropy in float32 of `targets` (position,) after `hidden` (position, width), whose logits `head` gives."""
    weight: Tensor = head.weight  # type: ignore[assignment]
    size = max(1, LOGITS // len(weight))
    if isinstance(head, nn.Linear) and not weight.requires_grad:
        return _BehindFrozenHead.apply(hidden, targets, weight, head.bias, size)  # type: ignore[no-untyped-call,no-any-return]
    parts = zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
    return torch.cat([nn.functional.cross_entropy(head(some).float(), true, reduction="none") for some, true in parts])


class _BehindFrozenHead(torch.autograd.Function):
    """The gradient's direction at each position, (softmax − one-hot) · weight, is found while the logits are there: (position, width) is
    kept instead of (position, vocabulary), as in Liger's fused loss (Hsu et al. 2024, arXiv 2410.10989)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None, size: int) -> Tensor:
        losses, directions = [], []
        for some, true in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
            found = nn.functional.linear(some, weight, bias).float().log_softmax(-1)
            losses.append(-found.gather(-1, true[:, None])[:, 0])
            if ctx.needs_input_grad[0]:
                found.exp_()[torch.arange(len(true), device=true.device), true] -= 1
                directions.append(found.to(weight.dtype) @ weight)
        if directions:
            ctx.save_for_backward(torch.cat(directions))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:  # type: ignore[override]
        (directions,) = ctx.saved_tensors
        return (gradient[:, None] * directions).to(directions.dtype), None, None, None, None
