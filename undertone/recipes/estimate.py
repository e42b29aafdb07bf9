"""`undertone finetune --estimate`: what a fine-tuning would take, from the checkpoint's configuration alone."""

import math

from undertone import settings
from undertone.models import open_hollow, place
from undertone.models.quantised import Saved, saved
from undertone.training.estimate import Cost, Step, cost
from undertone.training.lora import adapt, choose_layers
from undertone.training.recompute import recompute


def estimate(chosen: settings.Finetune) -> Cost:
    """Print parameters, trainable share, memory and FLOPs of an optimiser step on a GPU; neither weights nor data are read. ValueError for
    a family whose configuration alone does not make a model."""
    import torch

    # What an empty dtype means is settled for a GPU: that is where such models are trained.
    model = open_hollow(place(chosen.model), chosen.family, chosen.dtype or "bfloat16")
    layers = choose_layers(chosen.layers, model, chosen.seed)
    lora, fewer = chosen.lora, saved(model, chosen.bits) if chosen.bits else Saved()
    with torch.device("meta"):
        adapted = adapt(model, layers, lora.targets, lora.rank, lora.alpha, lora.dropout, chosen.seed)
    if chosen.recompute:
        recompute(model)
    step = Step(chosen.batch_size, chosen.accumulate, min(Step._field_defaults["seconds"], model.seconds_at_most))
    if chosen.max_tokens:
        clip = cost(model, adapted, step, bool(chosen.adch.weight), fewer).tokens / step.clips
        step = step._replace(parts=math.ceil(step.clips / max(1, chosen.max_tokens // clip)))
    found = cost(model, adapted, step, bool(chosen.adch.weight), fewer)
    print(said(chosen, model.family, step, found), end="")
    return found


def said(chosen: settings.Finetune, family: str, step: Step, found: Cost) -> str:
    """The estimate in words; GB are 10⁹ bytes."""
    share = 100 * found.trained / found.parameters
    rows = {
        "model": f"{chosen.model} ({family}{f', {chosen.bits} bits' * bool(chosen.bits)}), "
        f"layers {chosen.layers}, rank {chosen.lora.rank} on {', '.join(chosen.lora.targets)}",
        "parameters": f"{found.parameters:,}",
        "trained": f"{found.trained:,} ({share:.3f} %)",
        "step": f"{step.clips} clips of {step.seconds:g} s in {step.parts} parts, {step.prompt} tokens of prompt, {step.reply} of reply: "
        f"{found.tokens:,} tokens",
        "memory": f"{found.peak / 1e9:.2f} GB = {found.weights / 1e9:.2f} weights + {found.optimiser / 1e9:.2f} adapter and its moments + "
        f"{found.activations / 1e9:.2f} activations and gradients",
        "FLOPs": f"{found.flops:.3g} a step",
    }
    return "".join(f"{name:<12}{text}\n" for name, text in rows.items())
