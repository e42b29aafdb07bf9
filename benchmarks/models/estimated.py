"""`finetune --estimate` beside a step that is really taken, family by family, at toy size on a CPU in float32.

    python benchmarks/models/estimated.py

Rows go to benchmarks/results/estimate.jsonl: suite estimate, run = family, metrics flops_ratio and memory_ratio (estimated over measured).
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.models.base import Prompt, SpeechLM
from undertone.progress import bar
from undertone.records import Score
from undertone.run import Run, commit, write_rows
from undertone.training.estimate import Cost, Step, cost, counting
from undertone.training.heads import Targets
from undertone.training.lora import adapt, choose_layers
from undertone.training.objectives import PeFt, Sizes
from undertone.training.recompute import recompute

RESULTS = Path(__file__).parents[1] / "results" / "estimate.jsonl"
CLIPS, SECONDS, REPLY = 6, 3.0, "to fix the socket turn off the power first"


class Found(NamedTuple):
    """What the configuration tells, and what a step took: multiplications, bytes at most, weights that it trained, weights in all."""

    told: Cost
    flops: float
    most: int
    trained: int
    parameters: int


def compare(family: str, again: bool = False) -> Found:
    """One step of PE-FT on `CLIPS` clips, estimated on the meta device and taken on the CPU; `again`: layers are computed again."""
    kind = resolve(FAMILIES, family, "model family")
    model = kind.tiny()
    parameters = sum(value.numel() for value in model.module.parameters())
    width = model.module.get_input_embeddings().weight.shape[1]
    if family == "qwen3_omni_moe":
        model.module.set_experts_implementation("eager")  # the other implementations multiply where PyTorch's counter does not look
    silence = torch.zeros(model.token_count(len(model.frames(torch.zeros(int(SECONDS * 16_000)).numpy()))), width)
    batch = model.encode([Prompt(audio=silence)] * CLIPS, [REPLY] * CLIPS)
    reply = int((batch.labels[0] != -100).sum())
    step = Step(CLIPS, 1, SECONDS, batch.input_ids.shape[1] - reply - len(silence), reply)
    adapted, head = adapted_by(model, again)
    objective = PeFt(model, adapted, head, 0.5, width)
    objective.learner.train()
    truth = Targets(torch.arange(CLIPS) % 3, torch.zeros(CLIPS, dtype=torch.long))
    ready = batch.packed() if model.packs else batch

    def once() -> None:
        objective.zero_grad(set_to_none=True)
        objective(ready, truth, Sizes(CLIPS * reply, CLIPS)).loss.backward()

    flops, most = measured(once)
    hollow = kind.hollow(model.module.config, torch.float32)
    with torch.device("meta"):
        on_meta, _ = adapted_by(hollow, again)
    trained = sum(value.numel() for value in objective.parameters() if value.requires_grad)
    return Found(cost(hollow, on_meta, step), flops, most, trained, parameters)


def adapted_by(model: SpeechLM, again: bool) -> Any:
    """The model with LoRA in its first layers, and the last of them."""
    layers = choose_layers("0-2", model)
    adapted = adapt(model, layers, model.targets, rank=4, alpha=8, dropout=0.05, seed=0)
    if again:
        recompute(model)
    return adapted, layers[-1]


def measured(step: Callable[[], None]) -> tuple[float, int]:
    """(multiplications, bytes at most) of a step that is really run: what it allocates, by PyTorch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with counting() as counted:
        step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    events: Any = seen.profiler.kineto_results.events()  # type: ignore[union-attr]
    now = most = 0
    for event in sorted((one for one in events if one.name() == "[memory]"), key=lambda one: one.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return float(counted.get_total_flops()), most


def rows(family: str) -> list[Score]:
    """The two ratios of a family."""
    found = compare(family)
    told = {"told_bytes": found.told.activations, "took_bytes": found.most, "told_flops": found.told.flops, "took_flops": found.flops}
    score = Run(Path(), family, 0, commit()).score
    return [
        score("estimate", "flops_ratio", "all", found.told.flops / found.flops, 1, details=told | {"torch": torch.__version__}),
        score("estimate", "memory_ratio", "all", found.told.activations / found.most, 1, details=told | {"torch": torch.__version__}),
    ]


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    stock = [name for name in FAMILIES if name != "frozen_llm"]
    write_rows(RESULTS, [row for family in bar("a step each")(stock) for row in rows(family)])
