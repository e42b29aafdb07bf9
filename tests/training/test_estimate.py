"""What `finetune --estimate` tells from a configuration is what a step on the real classes takes, at toy size on a CPU."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import STOCK, named, saved

from undertone.cli import main
from undertone.lookup import resolve
from undertone.models import FAMILIES
from undertone.models.base import Prompt, SpeechLM
from undertone.training.estimate import Step, cost, counting
from undertone.training.heads import Targets
from undertone.training.lora import adapt, choose_layers
from undertone.training.objectives import PeFt, Sizes

CLIPS, SECONDS, REPLY = 6, 3.0, "to fix the socket turn off the power first"


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


def adapted_by(model: SpeechLM) -> Any:
    layers = choose_layers("0-2", model)
    return adapt(model, layers, model.targets, rank=4, alpha=8, dropout=0.05, seed=0), layers[-1]


@pytest.mark.parametrize("family", STOCK)
def test_an_estimate_is_within_a_tenth_of_what_a_step_takes(family: str) -> None:
    kind = resolve(FAMILIES, family, "model family")
    model = kind.tiny()
    width = model.module.get_input_embeddings().weight.shape[1]
    if family == "qwen3_omni_moe":
        model.module.set_experts_implementation("eager")  # the other implementations multiply where PyTorch's counter does not look
    silence = torch.zeros(model.token_count(len(model.frames(torch.zeros(int(SECONDS * 16_000)).numpy()))), width)
    batch = model.encode([Prompt(audio=silence)] * CLIPS, [REPLY] * CLIPS)
    reply = int((batch.labels[0] != -100).sum())
    length = batch.input_ids.shape[1]
    step = Step(CLIPS, 1, SECONDS, length - reply - len(silence), reply)
    adapted, head = adapted_by(model)
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
        on_meta, _ = adapted_by(hollow)
    found = cost(hollow, on_meta, step)
    trained = sum(value.numel() for value in objective.parameters() if value.requires_grad)
    assert found.trained == trained
    assert found.parameters == sum(value.numel() for value in kind.tiny().module.parameters())
    assert found.flops == pytest.approx(flops, rel=0.1)
    assert found.activations == pytest.approx(most, rel=0.1)


@pytest.mark.parametrize("family", STOCK)
def test_the_command_needs_a_configuration_alone(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(family, tmp_path)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "config.json":
            path.unlink()
    targets = resolve(FAMILIES, family, "model family").targets
    assert main(["finetune", "--estimate", *named(family, folder), "--layers", "0-2", "--lora.targets", *targets]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("parameters", "trained", "memory", "FLOPs", family))
