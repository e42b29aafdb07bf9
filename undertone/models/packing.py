"""Several prompts in one row, without padding: every linear layer sees real tokens only, and attention stays within each prompt.

Attention is computed on the prompts side by side, padded on the right: under a causal mask no token ever looks at what stands behind it, so
padding needs no mask of its own, and the row pays for it in attention alone, the least part of a step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

NAME = "undertone_packed"
"""What the attention is called among those of Transformers; a name that has no mask there, and needs none."""

ROW, CLIP = 256, 16
"""Rows are filled up to a multiple of so many tokens, and clips in attention: matrix libraries compile for every shape and keep what they
compiled, so rows of ever new lengths cost memory without end."""


@dataclass(frozen=True)
class Packing:
    """Where the tokens of the row belong: `clip` (token,) number and `position` (1, token) in it; `spread` (clip, longest) the token that
    stands at each place of each clip, any token behind its end, where the places `empty` (place,) among clip · longest are; `back`
    (token,) each token's place among clip · longest. What fills the row up behind the last clip, the tokens `filling` (token,), stands at
    place 0 of clip 0, where nobody looks for it."""

    clip: Tensor
    position: Tensor
    spread: Tensor
    empty: Tensor
    back: Tensor
    filling: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Self:
        """Of the prompts whose tokens `mask` (clip, token) marks."""
        lengths = mask.sum(-1)
        clips, total = len(mask), int(lengths.sum())
        longest = int(lengths.max()) + -int(lengths.max()) % CLIP
        places = torch.arange(longest, device=mask.device)
        inside = places < lengths[:, None]
        starts = lengths.cumsum(0) - lengths
        clip = torch.arange(clips, device=mask.device)[:, None].expand(-1, longest)[inside]
        spread = (starts[:, None] + places).clamp(max=total - 1)
        of_tokens = (clip, places.expand(clips, -1)[inside], inside.flatten().nonzero()[:, 0])
        clip, position, back = (nn.functional.pad(one, (0, -total % ROW)) for one in of_tokens)
        empty, filling = (~inside).flatten().nonzero()[:, 0], torch.arange(total, len(back), device=mask.device)
        return cls(clip, position[None], spread, empty, back, filling)

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


@contextmanager
def attending_within(decoder: nn.Module) -> Iterator[None]:
    """While open, the attention of `decoder` is that of packed rows; it takes the `packing` that the decoder is called with."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    with attending_as(decoder, NAME):
        yield


@contextmanager
def attending_as(decoder: nn.Module, name: str) -> Iterator[None]:
    """While open, the attention of `decoder` is the one that Transformers knows as `name`."""
    config: Any = decoder.config
    usual = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = usual


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _: Tensor | None, *, packing: Packing, scaling: float, **__: Any
) -> tuple[Tensor, None]:
    """(1, token, head, width) from queries, keys and values (1, head, token, width)."""
    clips, longest = packing.spread.shape
    places = packing.spread.flatten()

    def side_by_side(row: Tensor) -> Tensor:
        # Tokens first: that is how they lie in memory, a token's heads in one piece.
        moved: Tensor = _Moved.apply(row[0].transpose(0, 1), places, packing.back, packing.filling)  # type: ignore[no-untyped-call]
        return moved.view(clips, longest, row.shape[1], -1).transpose(1, 2)

    query, key, value = side_by_side(query), side_by_side(key), side_by_side(value)
    shared = query.shape[1] // key.shape[1]
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        # The fused attention of PyTorch's CPU build has no fast bfloat16 backward.
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
        scores = query @ key.transpose(-1, -2) * scaling
        ahead = torch.ones(longest, longest, dtype=torch.bool, device=query.device).triu(1)
        mixed = scores.masked_fill(ahead, -torch.inf).softmax(-1, dtype=torch.float32).to(value.dtype) @ value
    else:
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=shared > 1)
    rows = mixed.transpose(1, 2).reshape(clips * longest, query.shape[1], -1)
    return _Moved.apply(rows, packing.back, places, packing.empty)[None], None  # type: ignore[no-untyped-call]


class _Moved(torch.autograd.Function):
    """`index_select` of rows whose gradient is one, too: every row that counts is taken once, so its gradient stands where it went
    (`home`), and those that do not count (`idle`) have none. PyTorch's own adds up row by row, for a row might be taken twice."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, home: Tensor, idle: Tensor) -> Tensor:
        ctx.save_for_backward(home, idle)
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        home, idle = ctx.saved_tensors
        return gradient.index_select(0, home).index_fill_(0, idle, 0), None, None, None
