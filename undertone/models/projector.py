"""From a speech encoder's states to a language model's embeddings, one token per 80 ms (METHOD B.2): strided convolution (or attention
pooling), rotary Transformer, linear."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from undertone.models.chosen import Chosen

TOKEN = 80
"""Milliseconds that a token stands for."""

Pooling = Literal["convolution", "attention"]


class Projector(nn.Module):
    """States (clip, state, width) of `milliseconds` each → tokens (clip, token, llm_width); `settings` rebuild it without its weights.

    With `note_tokens`, so many tokens stand before them that are made of the clip as a whole, mean and spread of its states: a note on
    the speaker in the language model's own space, where a written one would stand [O]. With `chooses`, attributes and their values, the
    note is `Chosen` instead, from a profile of the clip that is `profile` wide.

    `scale`: the root mean square of the language model's embedding table, so that a fresh projector speaks as loud as words do.
    """

    def __init__(
        self,
        width: int,
        llm_width: int,
        milliseconds: int,
        hidden: int = 192,
        layers: int = 2,
        heads: int = 4,
        pooling: Pooling = "convolution",
        dropout: float = 0.1,
        note_tokens: int = 0,
        chooses: Mapping[str, Sequence[str]] | None = None,
        profile: int = 0,
    ) -> None:
        super().__init__()
        self.settings: Mapping[str, Any] = {
            "hidden": hidden, "layers": layers, "heads": heads, "pooling": pooling, "dropout": dropout, "note_tokens": note_tokens,
            **({"chooses": chooses, "profile": profile} if chooses else {}),
        }  # fmt: skip
        self.note_tokens, self._llm_width = note_tokens, llm_width
        self.stride = TOKEN // milliseconds
        self.pool: nn.Module = nn.Conv1d(width, hidden, self.stride, self.stride) if pooling == "convolution" else _Pool(width, hidden)
        self.layers = nn.ModuleList(_Layer(hidden, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, llm_width)
        self.note: nn.Module | None = None
        if chooses:
            self.note = Chosen(profile, llm_width, note_tokens, chooses)
        elif note_tokens:
            self.note = _note(2 * width, hidden, note_tokens * llm_width)
        self.register_buffer("scale", torch.tensor(1.0))

    def count(self, states: int) -> int:
        """How many tokens a clip of so many states becomes."""
        return self.note_tokens - (-states // self.stride)

    def forward(self, states: Tensor, lengths: Tensor, whole: Tensor) -> Tensor:
        """Tokens (clip, token, llm_width); `lengths` (clip,) counts each clip's states, what lies behind them is not looked at. `whole` is
        what the note is made of."""
        words = self.words(states, lengths)
        return words if self.note is None else torch.cat([self.noted(whole).to(words.dtype), words], dim=1)

    def noted(self, whole: Tensor) -> Tensor:
        """The note's tokens (clip, note token, llm_width): of `whole` (clip, 2 · width), mean and spread of each clip's states, or (clip,
        profile) where they are chosen."""
        assert self.note is not None
        if isinstance(self.note, Chosen):
            return self.note(self.note.choose(whole))  # type: ignore[no-any-return]
        made: Tensor = self.note(whole)
        return made.reshape(len(whole), self.note_tokens, self._llm_width) * self.scale  # type: ignore[operator]

    def words(self, states: Tensor, lengths: Tensor) -> Tensor:
        """The words' tokens (clip, token, llm_width)."""
        there = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        states = nn.functional.pad(states * there[..., None], (0, 0, 0, -states.shape[1] % self.stride))
        if isinstance(self.pool, _Pool):
            inside = nn.functional.pad(there, (0, states.shape[1] - there.shape[1])).reshape(len(states), -1, self.stride)
            x = self.pool(states.reshape(len(states), -1, self.stride, states.shape[2]), inside)
        else:
            x = self.pool(states.transpose(1, 2)).transpose(1, 2)
        counts = -(-lengths // self.stride)
        mask = (torch.arange(x.shape[1], device=x.device) < counts[:, None])[:, None, None]
        turn = _rotation(x.shape[1], self.layers[0].width, x.device)  # type: ignore[arg-type]
        for layer in self.layers:
            x = layer(x, mask, turn)
        return self.out(self.norm(x)) * self.scale  # type: ignore[no-any-return]


def _note(width: int, hidden: int, out: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, out))


def pooled(states: Tensor, lengths: Tensor) -> Tensor:
    """(clip, 2 · width) float32 mean and spread of the first `lengths` (clip,) of each clip's `states` (clip, state, width)."""
    weights = (torch.arange(states.shape[1], device=states.device) < lengths[:, None])[..., None].float()
    count = weights.sum(1).clamp(min=1)
    mean = (states.float() * weights).sum(1) / count
    spread = ((states.float() - mean[:, None]).square() * weights).sum(1) / count
    return torch.cat([mean, (spread + 1e-6).sqrt()], dim=-1)


class _Pool(nn.Module):
    """Attention pooling: the weighted mean of a window's states, weights by a learned score."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.score, self.value = nn.Linear(width, 1), nn.Linear(width, hidden)

    def forward(self, windows: Tensor, inside: Tensor) -> Tensor:
        """(clip, window, hidden) of `windows` (clip, window, state, width); states that are not `inside` have no weight."""
        scores = self.score(windows)[..., 0].masked_fill(~inside, -1e4)
        return (scores.softmax(-1)[..., None] * self.value(windows)).sum(-2)  # type: ignore[no-any-return]


class _Layer(nn.Module):
    """A pre-norm Transformer layer with rotary positions (Su et al. 2021), every token seeing all of its clip."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.width, self.dropout = heads, hidden // heads, dropout
        self.before, self.between = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.o = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.feed = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * hidden, hidden))

    def forward(self, x: Tensor, mask: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        q, k, v = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = (_turned(q, turn) @ _turned(k, turn).transpose(-1, -2)) * self.width**-0.5
        weights = nn.functional.dropout(scores.masked_fill(~mask, -1e4).softmax(-1), self.dropout, self.training)
        x = x + self.o((weights @ v).transpose(1, 2).flatten(2))
        return x + self.feed(self.between(x))  # type: ignore[no-any-return]


def _rotation(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (position, width) of rotary positions."""
    speeds = 10_000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    angles = torch.outer(torch.arange(length, device=device), speeds).repeat(1, 2)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * turn[0].to(x.dtype) + torch.cat([-second, first], -1) * turn[1].to(x.dtype)
