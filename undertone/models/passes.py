"""A forward pass of the language model, watched layer by layer: ended behind the last layer that is needed, or taken up at a later one.

A layer is called again with what its own decoder gave it (rotary embeddings, masks, packing), whatever that was: nothing is rebuilt here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NamedTuple

from torch import Tensor, nn

from undertone.models.base import Batch, LayerRef, SpeechLM
from undertone.models.packing import attending_within

STATES = "hidden_states"
"""What Transformers' decoder layers call their first argument."""


class Call(NamedTuple):
    """What a layer was called with: its `states` (batch, token, width), and everything else by place and by name."""

    states: Tensor
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class _Enough(Exception):
    """Ends a pass behind the last layer that is needed."""


def language_layers(model: SpeechLM) -> tuple[LayerRef, ...]:
    """The language model's layers in order."""
    return tuple(ref for ref in model.blocks() if ref.component == "language_model")


def decoder(model: SpeechLM) -> list[nn.Module]:
    """The modules of `language_layers`."""
    blocks = model.blocks()
    return [blocks[ref] for ref in language_layers(model)]


@contextmanager
def watching(model: SpeechLM, each: Callable[[int, Tensor], None], layers: int | None = None) -> Iterator[None]:
    """While open, `each` is handed what stands behind every layer as it runs: number 0, the language model's input, then the outputs of
    layer 0, 1 …, (batch, token, width).

    With `layers`, the first pass ends behind so many of them, and with it the block: what is written after that pass is not run.
    """
    blocks = decoder(model)[:layers]

    def first(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        each(0, _call(args, kwargs).states)
        if layers == 0:
            raise _Enough

    def behind(number: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            each(number, _states(output))
            if number == layers:
                raise _Enough

        return hook

    handles = [block.register_forward_hook(behind(number)) for number, block in enumerate(blocks, start=1)]
    handles.append(decoder(model)[0].register_forward_pre_hook(first, with_kwargs=True))
    try:
        with suppress(_Enough):  # how a pass ends early: the hook above raises it, and nobody else
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recording(model: SpeechLM) -> Iterator[list[Tensor]]:
    """While open, each forward pass fills the list anew: the language model's input, then the output of each of its layers,
    (batch, token, width) each."""
    seen: list[Tensor] = []

    def keep(number: int, states: Tensor) -> None:
        del seen[number:]
        seen.append(states)

    with watching(model, keep):
        yield seen


@contextmanager
def calls(model: SpeechLM) -> Iterator[list[Call]]:
    """While open, each forward pass fills the list anew: what every language-model layer was called with."""
    made: list[Call] = []

    def note(number: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            del made[number:]
            made.append(_call(args, kwargs))

        return hook

    handles = [block.register_forward_pre_hook(note(number), with_kwargs=True) for number, block in enumerate(decoder(model))]
    try:
        yield made
    finally:
        for handle in handles:
            handle.remove()


def resume(model: SpeechLM, batch: Batch, made: Sequence[Call], layer: int, states: Tensor) -> Tensor:
    """`model.hidden(batch)` from layer number `layer` on, which is given `states` (batch, token, width); the layers below do not run.

    `made` is what a whole pass over the same batch called the layers with. With as many as there are layers, only the final norm runs.
    """
    with attending_within(model.text_model) if batch.packing is not None else nullcontext():
        for block, call in zip(decoder(model)[layer:], made[layer:], strict=True):
            states = _states(block(states, *call.args, **call.kwargs))
    norm: nn.Module = model.text_model.norm  # type: ignore[assignment]
    return norm(states)  # type: ignore[no-any-return]


def _call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    if args:
        return Call(args[0], args[1:], kwargs)
    return Call(kwargs[STATES], (), {name: value for name, value in kwargs.items() if name != STATES})


def _states(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output  # type: ignore[no-any-return]
