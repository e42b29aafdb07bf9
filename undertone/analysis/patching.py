"""Activation patching on minimal pairs: where does the voice decide the answer?

The audio states of one voice at layer L are put into the other voice's forward pass, and the shift of the preference between the two
right replies is read at the first token where they part. Both clips say the same words, so a shift can only come from the voice.
The clips differ in length: states are interpolated linearly over time.

Below L a patched pass is the unpatched one, so it begins there: all places of a model of n layers take n (n + 1) / 2 layer calls
instead of n (n + 1).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from undertone.analysis.activations import Positions
from undertone.models.base import Batch, Prompt, SpeechLM
from undertone.models.passes import STATES, calls, decoder, recording, resume


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


class Forced(NamedTuple):
    """Prompts followed by the shared beginning of their replies: the `batch` as it is run, where its `audio` stands (row, token), how
    many audio tokens each clip has, and the positions at which each is left to go on."""

    batch: Batch
    audio: Tensor
    counts: list[int]
    last: Positions

    def put(self, states: Tensor, source: Sequence[Tensor]) -> Tensor:
        """`states` (row, token, width) with the audio of `source`, clip by clip (token, width), stretched to the own length."""
        new = torch.cat([_stretch(clip, count) for clip, count in zip(source, self.counts, strict=True)])
        return states.masked_scatter(self.audio[..., None], new.to(states.dtype))


@torch.inference_mode()
def patch(model: SpeechLM, contrasts: Sequence[Contrast], packed: bool = True) -> Shift:
    """Patch every pair at every layer; the unpatched passes are run once, and patched ones start from them.

    `packed=False` is the slow path that this equals: padded rows, and every patched pass from the first layer on.
    """
    given = [_prefix(model, contrast) for contrast in contrasts]
    prefixes, tokens = [prefix for prefix, _ in given], torch.tensor([pair for _, pair in given], device=model.device)
    giving = _forced(model, [c.giver for c in contrasts], prefixes, packed)
    receiving = _forced(model, [c.receiver for c in contrasts], prefixes, packed)
    with recording(model) as seen:
        ahead = _preference(model, giving, model.hidden(giving.batch), tokens)
    sources = [torch.split(states[giving.audio], giving.counts) for states in seen]
    with recording(model) as seen, calls(model) as made:
        before = _preference(model, receiving, model.hidden(receiving.batch), tokens)
    shifts = []
    for layer, source in enumerate(sources):
        if packed:
            hidden = resume(model, receiving.batch, made, layer, receiving.put(seen[layer], source))
        else:
            with _replaced(model, receiving, layer, source):
                hidden = model.hidden(receiving.batch)
        shifts.append(_preference(model, receiving, hidden, tokens) - before)
    return Shift(torch.stack(shifts).cpu(), (ahead - before).cpu())


def _prefix(model: SpeechLM, contrast: Contrast) -> tuple[list[int], tuple[int, int]]:
    """The tokens that both replies begin with, and the two tokens where they part."""
    end = model.end_token_id
    one, two = ([*model.reply_ids(reply), end] for reply in contrast[2:])
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False))]
    if len(shared) >= min(len(one), len(two)):
        raise ValueError(f"both replies of a pair are the same: {contrast.giver_reply!r}")
    return shared, (one[len(shared)], two[len(shared)])


def _forced(model: SpeechLM, prompts: Sequence[Prompt], prefixes: Sequence[list[int]], packed: bool) -> Forced:
    batch = model.encode(prompts, prefixes, close=False)
    counts = model.audio_mask(batch).sum(-1).tolist()
    last = torch.zeros_like(batch.attention_mask, dtype=torch.bool)
    last[:, -1] = True
    run = batch.packed() if packed else batch
    return Forced(run, model.audio_mask(run), counts, Positions.of(batch, last, packed))


def _preference(model: SpeechLM, forced: Forced, hidden: Tensor, tokens: Tensor) -> Tensor:
    """(pair,) log p(giver's token) − log p(receiver's token) behind the last positions of `hidden` (row, token, width)."""
    scores = model.lm_head(forced.last.take(hidden)).float().log_softmax(-1).gather(-1, tokens)
    difference: Tensor = scores[:, 0] - scores[:, 1]
    return difference


@contextmanager
def _replaced(model: SpeechLM, forced: Forced, layer: int, source: Sequence[Tensor]) -> Iterator[None]:
    """While open, the audio states that go into layer number `layer`, or out of the last one, are those of `source`."""
    blocks = decoder(model)

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (forced.put(args[0], source), *args[1:]), kwargs
        return args, {**kwargs, STATES: forced.put(kwargs[STATES], source)}

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        return (forced.put(output[0], source), *output[1:]) if isinstance(output, tuple) else forced.put(output, source)

    at_input = layer == 0
    handle = blocks[0].register_forward_pre_hook(before, with_kwargs=True) if at_input else blocks[layer - 1].register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def _stretch(states: Tensor, count: int) -> Tensor:
    """(tokens, width) → (count, width), linear over time."""
    return nn.functional.interpolate(states.T[None].float(), size=count, mode="linear", align_corners=True)[0].T
