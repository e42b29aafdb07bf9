"""Activation patching on minimal pairs: where does the voice decide the answer?

The audio states of one voice at layer L are put into the other voice's forward pass, and the shift of the preference between the two
right replies is read at the first token where they part. Both clips say the same words, so a shift can only come from the voice.
The clips differ in length: states are interpolated linearly over time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from undertone.analysis.activations import language_layers, recording
from undertone.models.base import Batch, Prompt, SpeechLM


class Contrast(NamedTuple):
    """A minimal pair as it is patched: the audio that gives, the audio that receives, and the right reply to each."""

    giver: Prompt
    receiver: Prompt
    giver_reply: str
    receiver_reply: str


class Shift(NamedTuple):
    """(layer, pair) shift in nats towards the giver's reply when patched at the language model's input and after each layer, and
    (pair,) the full distance between giver and receiver: what patching everything would do."""

    patched: Tensor
    full: Tensor


@torch.inference_mode()
def patch(model: SpeechLM, contrasts: Sequence[Contrast]) -> Shift:
    """Patch every pair at every layer; the unpatched passes are run once."""
    given = [_prefix(model, contrast) for contrast in contrasts]
    prefixes, tokens = [prefix for prefix, _ in given], torch.tensor([pair for _, pair in given], device=model.device)
    receiving = _forced(model, [c.receiver for c in contrasts], prefixes)
    giving = _forced(model, [c.giver for c in contrasts], prefixes)
    with recording(model) as seen:
        ahead = _preference(model, giving, tokens)
        sources = [_audio_states(model, giving, state) for state in seen]
    before = _preference(model, receiving, tokens)
    places: list[tuple[nn.Module, bool]] = [(model.blocks()[ref], False) for ref in language_layers(model)]
    places.insert(0, (places[0][0], True))
    shifts = []
    for (block, at_input), source in zip(places, sources, strict=True):
        with _replaced(model, receiving, block, source, at_input):
            shifts.append(_preference(model, receiving, tokens) - before)
    return Shift(torch.stack(shifts).cpu(), (ahead - before).cpu())


def _prefix(model: SpeechLM, contrast: Contrast) -> tuple[list[int], tuple[int, int]]:
    """The tokens that both replies begin with, and the two tokens where they part."""
    end = model.end_token_id
    one, two = ([*model.reply_ids(reply), end] for reply in contrast[2:])
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False))]
    if len(shared) >= min(len(one), len(two)):
        raise ValueError(f"both replies of a pair are the same: {contrast.giver_reply!r}")
    return shared, (one[len(shared)], two[len(shared)])


def _forced(model: SpeechLM, prompts: Sequence[Prompt], prefixes: Sequence[list[int]]) -> Batch:
    """The prompts followed by the shared beginning of their replies."""
    return model.encode(prompts, prefixes, close=False)


def _preference(model: SpeechLM, batch: Batch, tokens: Tensor) -> Tensor:
    """(pair,) log p(giver's token) − log p(receiver's token) at the last position."""
    scores = model.lm_head(model.hidden(batch)[:, -1]).float().log_softmax(-1).gather(-1, tokens)
    difference: Tensor = scores[:, 0] - scores[:, 1]
    return difference


def _audio_states(model: SpeechLM, batch: Batch, states: Tensor) -> list[Tensor]:
    mask = model.audio_mask(batch)
    return [row[where] for row, where in zip(states, mask, strict=True)]


@contextmanager
def _replaced(model: SpeechLM, batch: Batch, block: nn.Module, source: Sequence[Tensor], at_input: bool) -> Iterator[None]:
    """While open, the audio states at `block` are those of `source`, stretched to the receiver's length."""
    mask = model.audio_mask(batch)
    counts = mask.sum(-1).tolist()
    new = torch.cat([_stretch(states, count) for states, count in zip(source, counts, strict=True)])

    def put(states: Tensor) -> Tensor:
        return states.masked_scatter(mask[..., None], new.to(states.dtype))

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((put(args[0]), *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": put(kwargs["hidden_states"])})

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        return (put(output[0]), *output[1:]) if isinstance(output, tuple) else put(output)

    handle = block.register_forward_pre_hook(before, with_kwargs=True) if at_input else block.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def _stretch(states: Tensor, count: int) -> Tensor:
    """(tokens, width) → (count, width), linear over time."""
    return nn.functional.interpolate(states.T[None].float(), size=count, mode="linear", align_corners=True)[0].T
