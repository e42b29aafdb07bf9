"""A training step does little more than a frozen base asks for: 4·P operations a token, counted, never timed."""

import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.training.loop import Encoder
from undertone.training.lora import adapt, choose_layers
from undertone.training.objectives import PeFt

sys.path.insert(0, str(Path(__file__).parent))
import small


def test_a_step_does_four_times_the_weights_a_token() -> None:
    """The decoder's linear layers at every real token, the head at labelled ones; LoRA and what fills the row up may add an eighth."""
    model, rows = Qwen2_5Omni.tiny(0), small.rows(48)
    model.module.requires_grad_(False)
    layers = choose_layers("0-3", model)
    adapted = adapt(model, layers, ["q_proj", "v_proj"], rank=2, alpha=4, dropout=0.0, seed=0)
    objective, encode = PeFt(model, adapted, layers[-1], 0.5, 192), Encoder(model, small.heard)
    batch, truth = encode(rows)
    tokens = int(model.encode([Prompt(audio=small.heard(row.id)) for row in rows], [row.reply or "" for row in rows]).attention_mask.sum())
    with FlopCounterMode(display=False) as counter:
        objective(batch, truth, encode.sizes(rows)).loss.backward()
    body = sum(one.weight.numel() for one in model.text_model.layers.modules() if isinstance(one, torch.nn.Linear))  # type: ignore[union-attr]
    needed = 4 * (body * tokens + model.lm_head.weight.numel() * encode.sizes(rows).tokens)  # type: ignore[union-attr,operator]
    assert 0.9 * needed < counter.get_total_flops() < 1.125 * needed
