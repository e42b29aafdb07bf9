"""The stock loops with nnsight in the place of forward hooks: the second peer of analysis.py.

    pip install --no-deps --target nnsight nnsight==0.8.1 greenlet cloudpickle websocket-client zstandard
    python benchmarks/speed/analysis.py --peer nnsight --nnsight nnsight

Torch and Transformers are the ones of this environment, so that both sides multiply with the same library.
"""

from typing import Any

import torch
from stock_analysis import Looking, Pass
from torch import Tensor

from undertone.models.base import Batch, SpeechLM


def looking(model: SpeechLM) -> Looking:
    """Traces of `model`, which is a Qwen2.5-Omni."""
    import nnsight

    wrapped: Any = nnsight.NNsight(model.module)
    layers = wrapped.model.language_model.layers

    def asked(batch: Batch) -> dict[str, Any]:
        return {"inputs_embeds": model.embed(batch), "attention_mask": batch.attention_mask, "use_cache": False}

    def whole(_: SpeechLM, batch: Batch) -> Pass:
        with wrapped.trace(**asked(batch)):
            states = nnsight.save([layers[0].input, *[layer.output for layer in layers]])
            logits = wrapped.lm_head.output.save()
        return Pass(torch.cat(states), logits[0])

    def patched(_: SpeechLM, batch: Batch, place: int, where: Tensor, new: Tensor) -> Tensor:
        with wrapped.trace(**asked(batch)):
            if place:
                layers[place - 1].output[0, where] = new
            else:
                layers[0].input[0, where] = new
            logits = wrapped.lm_head.output.save()
        return logits[0, -1]

    return Looking(whole, patched)
