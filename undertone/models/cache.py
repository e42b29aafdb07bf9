"""Keys and values of what was read, with room behind them: a new token is written in its place, and nothing that went before is copied."""

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

ROOM = 64
"""Tokens for which there is room behind what has been read, and again each time that it is full."""


class Roomy(DynamicLayer):  # type: ignore[misc]
    """A layer whose `keys` and `values` (batch, head, token, width) are views of larger tensors; the layers of Transformers copy all of
    them for every token, and its static ones are attended to in their full length."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._held = key_states[:, :, :0], value_states[:, :, :0]
            self.keys, self.values = self._held
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        if end > self._held[0].shape[2]:
            self._hold(end + ROOM)
        for held, new in zip(self._held, (key_states, value_states), strict=True):
            held[:, :, start:end] = new
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only those rows of the batch."""
        end = self.keys.shape[2]
        self._held = self._held[0][indices], self._held[1][indices]
        self._show(end)

    def _hold(self, tokens: int) -> None:
        more = [old.new_empty(*old.shape[:2], tokens, old.shape[3]) for old in self._held]
        for new, old in zip(more, (self.keys, self.values), strict=True):
            new[:, :, : old.shape[2]] = old
        self._held = more[0], more[1]

    def _show(self, tokens: int) -> None:
        self.keys, self.values = (held[:, :, :tokens] for held in self._held)


def roomy_cache(config: Any) -> Cache:
    """An empty cache for a decoder of this configuration; layers that look back only so far keep Transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [Roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
