"""What a fine-tuning takes, told from a configuration alone: the step itself is run on the meta device, where tensors have shapes and no
content, and its multiplications and its memory are counted as it runs.
"""

import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from undertone.models.base import SpeechLM
from undertone.models.logits import cross_entropy
from undertone.models.packing import Packing, attending_within
from undertone.models.quantised import Saved
from undertone.training.heads import Adch

NOTHING = Saved()


class Step(NamedTuple):
    """What an optimiser step is made of: `clips` in `parts` forward passes, each `seconds` long, with `prompt` tokens around the audio and
    `reply` tokens behind it."""

    clips: int
    parts: int
    seconds: float = 5.0
    prompt: int = 32
    reply: int = 64


class Cost(NamedTuple):
    """`parameters` of what is loaded of a checkpoint, and of what is `trained`; bytes of the frozen `weights` that lie on the device in
    training, of the adapter with AdamW's two moments (`optimiser`), and of all else that is alive at a step's worst moment, gradients too
    (`activations`); `tokens` and `flops` of a step, a multiplication and an addition counting as two."""

    parameters: int
    trained: int
    weights: int
    optimiser: int
    activations: int
    tokens: int
    flops: float

    @property
    def peak(self) -> int:
        """Bytes in all."""
        return self.weights + self.optimiser + self.activations


class Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While open, counts the bytes of all tensors that are made: those alive `now`, and the `most` there ever were."""

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._seen = {one.untyped_storage()._cdata: 0 for one in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, Tensor):
                self._note(one.untyped_storage())
        return made

    def _note(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._seen.pop(key, 0)


@contextmanager
def fused() -> Iterator[None]:
    """While open, attention is a fused kernel, as it is on a GPU: on the meta device PyTorch takes one that keeps all scores. Also in the
    backward pass, where layers are computed again in a thread that knows no modes of this one."""
    usual = nn.functional.scaled_dot_product_attention

    def attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **how: Any) -> Tensor:
        kernel: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return kernel(query, key, value, 0.0, bool(how.get("is_causal")), scale=how.get("scale"))[0]  # type: ignore[no-any-return]

    nn.functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = usual


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[2] * (width + value[3])  # type: ignore[no-any-return]


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 5 * _attention(query, key, value) // 2


def counting() -> FlopCounterMode:
    """PyTorch's own counter, taught the attention of CPUs, which it leaves out."""
    aten: Any = torch.ops.aten
    kinds = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    return FlopCounterMode(display=False, custom_mapping=kinds)


def cost(model: SpeechLM, adapted: nn.Module, step: Step, head: bool = True, saved: Saved = NOTHING) -> Cost:
    """What `step` takes of a hollow `model` (`Stock.hollow`) with an adapter on it; `head`: with the auxiliary head of METHOD A.3, whose
    parameters are counted and whose few multiplications are not. Clips are alike, so padded rows are packed ones without filling.

    `saved` is what fewer bits save (`models.quantised`). A model that was told to compute its layers again (`training.recompute`) is
    counted so."""
    width = model.module.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
    of_head = sum(value.numel() for value in Adch(width).parameters()) if head else 0
    trained = [value for value in adapted.parameters() if value.requires_grad]
    elsewhere = [model.forgettable, *map(model.module.get_submodule, model.unused)]
    away = {id(value) for part in elsewhere for value in part.parameters()}
    held = [value for value in adapted.parameters() if not value.requires_grad and id(value) not in away]
    clips = math.ceil(step.clips / step.parts)
    length = step.prompt + step.reply + model.token_count(len(model.frames(_silence(model, step.seconds))))
    flops, most = _pass(model, adapted, clips, length, step.reply, model.packs)
    bytes_trained = sum(value.numel() * value.element_size() for value in trained) + 4 * of_head
    return Cost(
        parameters=sum(value.numel() for value in adapted.parameters()) - sum(value.numel() for value in trained),
        trained=sum(value.numel() for value in trained) + of_head,
        weights=sum(value.nbytes for value in held) - saved.bytes,
        # Gradients are made within the pass, and counted there.
        optimiser=3 * bytes_trained,
        activations=most + saved.largest,
        tokens=step.clips * length,
        flops=flops * step.clips / clips,
    )


def _silence(model: SpeechLM, seconds: float) -> Any:
    import numpy as np

    return np.zeros(int(seconds * model.sample_rate), np.float32)


def _pass(model: SpeechLM, adapted: nn.Module, clips: int, length: int, reply: int, packed: bool) -> tuple[float, int]:
    """(multiplications, bytes) of one pass forward and back over `clips` of `length` tokens, of which `reply` are learnt."""
    table = model.module.get_input_embeddings().weight  # type: ignore[operator]
    packing = (Packing.of(torch.ones(clips, length)) if packed else _without_filling(clips, length)).to("meta")
    for part in model.text_model.modules():
        if hasattr(part, "gate_up_proj") and getattr(part, "num_experts", False):
            part.forward = MethodType(_experts, part)  # type: ignore[method-assign]
    adapted.train()

    def once(gradient: bool) -> None:
        row = table.new_empty(1, len(packing.back), table.shape[1], requires_grad=gradient)
        with attending_within(model.text_model):
            out = model.text_model(inputs_embeds=row, use_cache=False, packing=packing, position_ids=packing.position)
        learnt = out.last_hidden_state[0, : clips * reply]
        targets = torch.empty(len(learnt), dtype=torch.long, device="meta")
        cross_entropy(learnt, targets, model.lm_head).sum().backward()  # type: ignore[no-untyped-call]

    with counting() as counted, fused():
        once(False)
    adapted.zero_grad(set_to_none=True)
    # The usual checkpoints free what they compute again some time later; their older form, which wants a gradient to begin with, at once.
    again: list[Any] = [layer for layer in model.text_model.modules() if hasattr(layer, "_gradient_checkpointing_func")]
    for layer in again:
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=True)
    with Alive([*adapted.parameters(), *adapted.buffers()]) as alive, fused():
        once(bool(again))
    return float(counted.get_total_flops()), alive.most


def _without_filling(clips: int, length: int) -> Packing:
    token = torch.arange(clips * length)
    none = token[:0]
    return Packing(token // length, (token % length)[None], token.view(clips, length), none, token, none)


def _experts(self: Any, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """As many rows through an expert as the router sends through all: which ones is data, and there is none here."""
    rows = hidden.repeat_interleave(chosen.shape[-1], 0)
    gate, up = nn.functional.linear(rows, self.gate_up_proj[0]).chunk(2, dim=-1)
    made = nn.functional.linear(self.act_fn(gate) * up, self.down_proj[0]) * weights.reshape(-1, 1)
    return made.view(len(hidden), chosen.shape[-1], -1).sum(1)
