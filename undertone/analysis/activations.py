"""Hidden states of every layer in one pass, pooled as the layers run: of a batch, what stays is one row a clip and layer."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from undertone.models.base import IGNORED, Batch, LayerRef, Prompt, SpeechLM
from undertone.models.passes import language_layers, watching

TOP = 3
"""Of a layer's most probable tokens so many may be the final one, for the logit lens to agree (METHOD A.2)."""


class Pooled(NamedTuple):
    """What one pass leaves behind. `layers` names the first axis: the projector's output, then every language-model layer.

    `states` (layer, clip, width): mean over the audio positions (over the whole prompt where there is no audio).
    `lens` (layer, clip): share of the positions that write the reply at which the final layer's top-1 token is among this layer's
    top-3. Without replies that is the prompt's last position, as in METHOD A.2; with replies, which are forced, every position that
    predicts a token of theirs [O]: replies that all begin alike make the first one say nothing. (layer, 0) where it was not asked for.
    """

    layers: tuple[LayerRef, ...]
    states: Tensor
    lens: Tensor


class Positions(NamedTuple):
    """Some positions of a batch as it is run: `place` (position,) among its rows' tokens in a row, and the `clip` (position,) of each,
    one of `clips`."""

    place: Tensor
    clip: Tensor
    clips: int

    @classmethod
    def of(cls, batch: Batch, where: Tensor, packed: bool) -> Self:
        """Those in `where` (clip, token) of the padded `batch`; `packed`: as they stand in `batch.packed()`."""
        flat = where.flatten()
        place = batch.attention_mask.flatten().cumsum(0)[flat] - 1 if packed else flat.nonzero()[:, 0]
        return cls(place, where.nonzero()[:, 0], len(where))

    def take(self, states: Tensor) -> Tensor:
        """(position, width) of `states` (row, token, width)."""
        return states.flatten(0, 1)[self.place]

    def mean(self, values: Tensor) -> Tensor:
        """(clip, …) float32 mean of `values` (position, …)."""
        total = values.new_zeros(self.clips, *values.shape[1:], dtype=torch.float32).index_add_(0, self.clip, values.float())
        count = torch.bincount(self.clip, minlength=self.clips).clamp(min=1)
        return total / count.view(-1, *[1] * (values.ndim - 1))


@torch.inference_mode()
def collect(
    model: SpeechLM,
    prompts: Sequence[Prompt],
    replies: Sequence[str] | None = None,
    batch: int = 64,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    packed: bool = True,
    lens: bool = True,
    layers: int | None = None,
) -> Pooled:
    """Run the prompts, `batch` at a time, and keep pooled states and the logit lens only.

    `packed` rows have no padding. With `layers`, the passes end behind so many of them, and there is no lens: it needs the final layer.
    """
    refs = (LayerRef("projector", 0), *language_layers(model)[:layers])
    states = torch.empty(len(refs), len(prompts), model.module.get_input_embeddings().embedding_dim)  # type: ignore[operator]
    shares = torch.empty(len(refs), len(prompts) if lens and layers is None else 0)
    for start in progress(range(0, len(prompts), batch)):
        some = slice(start, start + batch)
        chosen = model.encode(prompts[some], replies and replies[some])
        found = _pool(model, chosen, packed, lens and layers is None, layers)
        states[:, some], shares[:, some] = found.states, found.lens
    return Pooled(refs, states, shares)


def _pool(model: SpeechLM, batch: Batch, packed: bool, lens: bool, layers: int | None) -> Pooled:
    """Of one batch. No layer's states outlive the next one's: the lens keeps the tokens that they stand for."""
    norm: nn.Module = model.text_model.norm  # type: ignore[assignment]
    pooled, tokens = [], []
    heard = Positions.of(batch, _pooled_positions(model, batch), packed)
    writing = Positions.of(batch, _writing(batch), packed)

    def read(_: int, states: Tensor) -> None:
        pooled.append(heard.mean(heard.take(states)))
        if lens:
            tokens.append(model.lm_head(norm(writing.take(states))).topk(TOP).indices)

    with watching(model, read, layers):
        model.hidden(batch.packed() if packed else batch)
    agrees = [writing.mean((layer == tokens[-1][:, :1]).any(-1)) for layer in tokens]
    return Pooled((), torch.stack(pooled), torch.stack(agrees) if lens else torch.empty(len(pooled), 0))


def _pooled_positions(model: SpeechLM, batch: Batch) -> Tensor:
    """Audio positions, or, in a batch without audio, all positions of the prompts."""
    audio = model.audio_mask(batch)
    return audio if bool(audio.any()) else batch.attention_mask.bool() & (batch.labels == IGNORED)


def _writing(batch: Batch) -> Tensor:
    """(clip, token) bool: positions whose next token belongs to the reply; without replies, the last position."""
    writing = torch.zeros_like(batch.attention_mask, dtype=torch.bool)
    writing[:, :-1] = batch.labels[:, 1:] != IGNORED
    writing[:, -1] |= ~writing.any(-1)
    return writing
