"""A fine-tuning small enough for a test, runnable as a program: `python small.py FOLDER STEPS [DIE_AFTER]`."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.records import Utterance
from undertone.training.batches import Mixture
from undertone.training.loop import Encoder, Schedule, train
from undertone.training.lora import adapt, choose_layers
from undertone.training.objectives import PeFt

VOICES = (("age", "child"), ("age", "adult"), ("gender", "male"), ("gender", "female"), ("emotion", "sad"), ("content", ""))


def rows(count: int = 24, split: str = "u") -> list[Utterance]:
    made = []
    for i in range(count):
        category, value = VOICES[i % len(VOICES)]
        voice = {"age": "adult", "gender": "male", "emotion": "neutral"} | ({category: value} if value else {})
        made.append(
            Utterance(
                id=f"{split}{i}", text="hm", file_name="x.flac", seconds=1, attributes=voice, speaker="s", source="t", split="train",
                category=category, reply=f"to fix the socket {value}",
            )
        )  # fmt: skip
    return made


def heard(name: str) -> torch.Tensor:
    number = int(name[1:])
    return torch.randn(5 + number % 7, 192, generator=torch.Generator().manual_seed(number))


def run(
    folder: Path,
    steps: int,
    batch: int,
    accumulate: int = 1,
    die_after: int = 10**9,
    dropout: float = 0.1,
    hear: Callable[[str], torch.Tensor] = heard,
    rate: float = 1e-3,
    clip: float = 1.0,
    packed: bool = True,
    max_tokens: int = 0,
) -> list[Mapping[str, float]]:
    """Train and return what was logged per step. Clips of the dev split are called d0, d1 …"""
    torch.set_num_threads(1)
    model = Qwen2_5Omni.tiny(0)
    model.module.requires_grad_(False)
    layers = choose_layers("0-1", model)
    adapted = adapt(model, layers, ["q_proj", "v_proj"], rank=2, alpha=4, dropout=dropout, seed=0)
    torch.manual_seed(1)
    objective = PeFt(model, adapted, layers[-1], 0.5, 192)
    logged: list[Mapping[str, float]] = []

    def log(values: Mapping[str, float], step: int) -> None:
        logged.append({"step": step, **values})
        if step >= die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    schedule = Schedule(steps, batch, accumulate, rate, 0.1, 0.0, clip, 2, max_tokens)
    train(objective, Mixture(rows(), 0.25, {}, 0), rows(8, "d"), Encoder(model, hear, packed=packed), schedule, folder, log)
    if int(os.environ.get("RANK", 0)) == 0:
        adapted.save_pretrained(folder / "adapter")
    return logged


if __name__ == "__main__":
    numbers = {"die_after": int(sys.argv[4]), "max_tokens": int(os.environ.get("MAX_TOKENS", 0))}
    out = run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), dropout=float(sys.argv[5]), **numbers)
    if int(os.environ.get("RANK", 0)) == 0:
        import json

        from accelerate import PartialState

        (Path(sys.argv[1]) / "log.json").write_text(json.dumps(out))
        (Path(sys.argv[1]) / "processes").write_text(str(PartialState().num_processes))
