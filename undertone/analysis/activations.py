"""Hidden states of every layer in one pass, pooled at once, so that memory does not grow with the clips' length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, Prompt, SpeechLM


class Pooled(NamedTuple):
    """What one pass leaves behind. `layers` names the first axis: the projector's output, then every language-model layer.

    `states` (layer, clip, width): mean over the audio positions (over the user's text where there is no audio).
    `lens` (layer, clip): is the final top-1 token among this layer's top-3, at the last position?
    """

    layers: tuple[LayerRef, ...]
    states: Tensor
    lens: Tensor


@torch.inference_mode()
def collect(
    model: SpeechLM, prompts: Sequence[Prompt], batch: int = 64, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Pooled:
    """Run the prompts, `batch` at a time, and keep pooled states and the logit lens only."""
    layers = (LayerRef("projector", 0), *language_layers(model))
    states, lens = [], []
    for start in progress(range(0, len(prompts), batch)):
        chosen = model.encode(prompts[start : start + batch])
        with recording(model) as seen:
            model.hidden(chosen)
        where = _pooled_positions(model, chosen)
        states.append(torch.stack([_mean(layer, where) for layer in seen]).cpu())
        lens.append(_agreement(model, [layer[:, -1] for layer in seen]).cpu())
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
    """Audio positions, or, in a batch without audio, all positions that are not padding."""
    audio = model.audio_mask(batch)
    return audio if bool(audio.any()) else batch.attention_mask.bool()


def _mean(states: Tensor, where: Tensor) -> Tensor:
    weights = where.to(states.dtype)
    return ((states * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)).float()


def _agreement(model: SpeechLM, last: Sequence[Tensor], top: int = 3) -> Tensor:
    """(layer, clip) bool: the final layer's top-1 among each layer's top-`top`, read through the final norm and the output head."""
    norm: nn.Module = model.text_model.norm  # type: ignore[assignment]
    final = model.lm_head(norm(last[-1])).argmax(-1)
    return torch.stack([(model.lm_head(norm(state)).topk(top).indices == final[:, None]).any(-1) for state in last])
