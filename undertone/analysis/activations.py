"""Hidden states of every layer in one pass, pooled at once, so that memory does not grow with the clips' length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from undertone.models.base import IGNORED, Batch, LayerRef, Prompt, SpeechLM
from undertone.training.heads import mean_over


class Pooled(NamedTuple):
    """What one pass leaves behind. `layers` names the first axis: the projector's output, then every language-model layer.

    `states` (layer, clip, width): mean over the audio positions (over the whole prompt where there is no audio).
    `lens` (layer, clip): share of the positions that write the reply at which the final layer's top-1 token is among this layer's
    top-3. Without replies that is the prompt's last position, as in METHOD A.2; with replies, which are forced, every position that
    predicts a token of theirs [O]: replies that all begin alike make the first one say nothing.
    """

    layers: tuple[LayerRef, ...]
    states: Tensor
    lens: Tensor


@torch.inference_mode()
def collect(
    model: SpeechLM,
    prompts: Sequence[Prompt],
    replies: Sequence[str] | None = None,
    batch: int = 64,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Pooled:
    """Run the prompts, `batch` at a time, and keep pooled states and the logit lens only."""
    layers = (LayerRef("projector", 0), *language_layers(model))
    states, lens = [], []
    for start in progress(range(0, len(prompts), batch)):
        chosen = model.encode(prompts[start : start + batch], replies and replies[start : start + batch])
        with recording(model) as seen:
            model.hidden(chosen)
        where = _pooled_positions(model, chosen)
        states.append(torch.stack([mean_over(layer, where) for layer in seen]).cpu())
        lens.append(_agreement(model, seen, _writing(chosen)).cpu())
    return Pooled(layers, torch.cat(states, 1), torch.cat(lens, 1))


def language_layers(model: SpeechLM) -> tuple[LayerRef, ...]:
    """The language model's layers in order."""
    return tuple(ref for ref in model.blocks() if ref.component == "language_model")


@contextmanager
def recording(model: SpeechLM) -> Iterator[list[Tensor]]:
    """While open, each forward pass fills the list anew: the language model's input, then the output of each of its layers,
    (batch, token, width) each."""
    seen: list[Tensor] = []
    blocks = [model.blocks()[ref] for ref in language_layers(model)]

    def first(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen[:] = [args[0] if args else kwargs["hidden_states"]]

    def each(_: nn.Module, __: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    handles = [blocks[0].register_forward_pre_hook(first, with_kwargs=True), *(block.register_forward_hook(each) for block in blocks)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


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


def _agreement(model: SpeechLM, seen: Sequence[Tensor], where: Tensor, top: int = 3) -> Tensor:
    """(layer, clip) share of the positions in `where` at which the final top-1 is among the layer's top-`top`, each layer read through
    the final norm and the output head."""
    norm: nn.Module = model.text_model.norm  # type: ignore[assignment]
    clip = where.nonzero()[:, 0]
    final = model.lm_head(norm(seen[-1][where])).argmax(-1)
    agrees = torch.stack([(model.lm_head(norm(layer[where])).topk(top).indices == final[:, None]).any(-1) for layer in seen]).float()
    total = agrees.new_zeros(len(seen), len(where)).index_add_(1, clip, agrees)
    return total / where.sum(-1)
