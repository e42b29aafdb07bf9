"""Losses over the vocabulary, some positions at a time: memory does not grow with vocabulary × tokens, and nothing is computed twice.

A position's gradient is the gradient of its loss times a number that the rest of the step decides later. Before a frozen head it is
therefore computed with the loss, and the logits are gone at once (Hsu et al. 2024, arXiv 2410.10989, section 3.2).
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOGITS = 1 << 26
"""Logits computed at once where only their losses are wanted: at most three copies of them lie in memory, 0.7 GB in all."""

Loss = Callable[[Tensor, slice], tuple[Tensor, ...]]
"""Float32 logits (some, vocabulary), and which positions they are of → a loss of each kind, each (some,)."""


def losses(hidden: Tensor, head: nn.Module, of: Loss) -> tuple[Tensor, ...]:
    """Each kind's (position,) of `hidden` (position, width), through `head`, as many positions at once as make `LOGITS` logits."""
    size = max(1, LOGITS // len(head.weight))  # type: ignore[arg-type]
    parts = [slice(i, i + size) for i in range(0, max(1, len(hidden)), size)]
    learns = any(value.requires_grad for value in head.parameters())
    if len(parts) > 1 and torch.is_grad_enabled() and hidden.requires_grad and not learns:
        return _Slopes.apply(hidden, head, of, parts)  # type: ignore[no-untyped-call,no-any-return]
    found = [of(head(hidden[part]).float(), part) for part in parts]
    return tuple(torch.cat(kind) for kind in zip(*found, strict=True))


def cross_entropy(hidden: Tensor, targets: Tensor, head: nn.Module) -> Tensor:
    """(position,) cross-entropy of `targets` (position,) after `hidden` (position, width)."""
    return losses(hidden, head, lambda logits, part: (F.cross_entropy(logits, targets[part], reduction="none"),))[0]


def summed_cross_entropy(hidden: Tensor, targets: Tensor, head: nn.Module) -> Tensor:
    """The sum of `cross_entropy`, on a GPU by Liger's kernels where they are installed (extra gpu)."""
    if len(hidden) and hidden.is_cuda and isinstance(head, nn.Linear) and find_spec("liger_kernel"):
        return liger(hidden, targets, head)
    return cross_entropy(hidden, targets, head).sum()


def liger(hidden: Tensor, targets: Tensor, head: nn.Linear) -> Tensor:
    """As `summed_cross_entropy`, by `liger_kernel`."""
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy  # type: ignore[import-not-found]

    return liger_fused_linear_cross_entropy(hidden, head.weight, targets, head.bias, reduction="sum")  # type: ignore[no-any-return]


class _Slopes(torch.autograd.Function):
    """Losses, and at once the gradient of each at its position: what is kept is as wide as the hidden states, not as the vocabulary."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: nn.Module, of: Loss, parts: Sequence[slice]) -> tuple[Tensor, ...]:
        found, slopes = [], []
        for part in parts:
            with torch.enable_grad():
                some = hidden[part].detach().requires_grad_()
                kinds = of(head(some).float(), part)
                sums = [kind.sum() for kind in kinds]
            slopes.append([_slope(some, one, keep=one is not sums[-1]) for one in sums])
            found.append([kind.detach() for kind in kinds])
            del kinds, sums  # and with them the graph that holds the logits
        context.save_for_backward(*(torch.cat(kind) for kind in zip(*slopes, strict=True)))
        return tuple(torch.cat(kind) for kind in zip(*found, strict=True))

    @staticmethod
    def backward(context: Any, *above: Tensor) -> tuple[Tensor, None, None, None]:
        slopes = context.saved_tensors
        total = sum(up[:, None] * slope for up, slope in zip(above, slopes, strict=True))
        return total.to(slopes[0].dtype), None, None, None  # type: ignore[union-attr]


def _slope(of: Tensor, total: Tensor, keep: bool) -> Tensor:
    """The gradient of `total` at `of`; not by `autograd.grad`, under which PyTorch's FLOP counter gives up."""
    total.backward(retain_graph=keep)  # type: ignore[no-untyped-call]
    slope, of.grad = of.grad, None
    assert slope is not None
    return slope
