"""The language model in 8 or 4 bits, by bitsandbytes on a GPU (Dettmers et al. 2022, 2023): LoRA trains on it as it is (QLoRA).

Tower and projector, embeddings and output layer stay in full precision, so that what is heard, and kept of it, is the same.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from undertone.models.base import SpeechLM
from undertone.models.passes import language_layers

Bits = Literal[4, 8]


def check(bits: Bits, device: str) -> Any:
    """The library, where it is there and `device` is one that it serves; ValueError with the fix where not."""
    if not device.startswith("cuda"):
        raise ValueError(
            f"bits: {bits} bits are for a GPU, and the device is {device}; set --device cuda where there is one, or leave bits out"
        )
    try:
        import bitsandbytes
    except ImportError as error:
        raise ValueError(f"bits: {bits} bits need bitsandbytes ({error}); pip install 'undertone[quant]'") from None
    return bitsandbytes


class Saved(NamedTuple):
    """Bytes that few bits save, and those that the largest linear takes when it is unpacked to be multiplied."""

    bytes: int = 0
    largest: int = 0


def saved(model: SpeechLM, bits: Bits) -> Saved:
    """What `bits` bits save of `model` as it was opened."""
    weights: list[Any] = [model.module.get_submodule(path).weight for path in linears(model)]
    return Saved(sum(one.nbytes - weight_bytes(one, bits) for one in weights), max(one.nbytes for one in weights))


def linears(model: SpeechLM) -> list[str]:
    """The linears that are held in few bits: all of the language model's layers."""
    return [path for layer in language_layers(model) for path in model.linears(layer)]


def quantise(model: SpeechLM, library: Any, bits: Bits, device: torch.device | str) -> None:
    """Put the linears of every language-model layer of `model`, which lies on the CPU, on `device` in `bits` bits, one by one, and what
    else is needed there as it is: on the GPU there is never more than the result."""
    for path in linears(model):
        where, _, name = path.rpartition(".")
        made = _linear(library, model.module.get_submodule(path), bits).to(device)
        setattr(model.module.get_submodule(where), name, made)
        if isinstance(known := getattr(model, "_names", None), dict):  # families know their linears by identity
            known[id(made)] = path
    for part in (model.text_model, model.lm_head, model.frozen_front()):
        part.to(device)
    # By these names PEFT knows which LoRA layer to put on.
    setattr(model.module, f"is_loaded_in_{bits}bit", True)


def weight_bytes(weight: torch.Tensor, bits: Bits) -> int:
    """What a linear's `weight` (out, in) takes in `bits` bits: in 8 with a float32 scale a row; in 4 with an 8-bit scale for 64 numbers,
    the scales themselves with a float32 for 256, and the two tables of 16 and 256 numbers."""
    numbers = weight.numel()
    if bits == 8:
        return numbers + 4 * weight.shape[0]
    scales = -(-numbers // 64)
    return -(-numbers // 2) + scales + 4 * -(-scales // 256) + 4 * (16 + 256 + 1)


def _linear(library: Any, old: nn.Module, bits: Bits) -> nn.Module:
    """`old` as the library's own linear; its weight is turned into so many bits on the way to the GPU."""
    weight, bias = old.weight, old.bias
    shape: dict[str, Any] = {"input_features": weight.shape[1], "output_features": weight.shape[0], "bias": bias is not None}  # type: ignore[index,union-attr]
    if bits == 8:
        made: nn.Module = library.nn.Linear8bitLt(**shape, has_fp16_weights=False, threshold=6.0, device="meta")
        made.weight = library.nn.Int8Params(weight.data, requires_grad=False, has_fp16_weights=False)  # type: ignore[union-attr,operator]
    else:
        made = library.nn.Linear4bit(**shape, compute_dtype=weight.dtype, quant_type="nf4", device="meta")
        made.weight = library.nn.Params4bit(weight.data, requires_grad=False, quant_type="nf4")  # type: ignore[union-attr,operator]
    if bias is not None:
        made.bias = nn.Parameter(bias.data, requires_grad=False)  # type: ignore[union-attr,operator,arg-type]
    return made
