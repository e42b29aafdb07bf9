"""Gradient checkpointing (Chen et al. 2016) of the language model alone: its layers are computed again in the backward pass, not kept.

PEFT's own way asks the input embeddings for gradients, and of an audio language model it takes the tower's first convolution for them: the
tower then runs forward twice and backward once for nothing. Here only decoder layers are marked, and what they are given is left alone.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from undertone.models.base import SpeechLM
from undertone.models.packing import attending_as
from undertone.models.passes import language_layers


def recompute(model: SpeechLM) -> None:
    """From now on every language-model layer keeps its input alone while the model is in training mode. ValueError where a layer is none of
    those of Transformers that can do so."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    blocks = model.blocks()
    layers: list[Any] = [blocks[ref] for ref in language_layers(model)]
    if not all(isinstance(layer, GradientCheckpointingLayer) for layer in layers):
        raise ValueError(f"recompute: the layers of {model.family} cannot be computed again; leave it out")
    decoder: Any = model.text_model

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        # By the time of the backward pass the usual attention is back, and a packed row must not be read with it.
        return nullcontext(), attending_as(decoder, decoder.config._attn_implementation)

    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False, context_fn=contexts)
