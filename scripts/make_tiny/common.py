"""What the three steps share: which texts are known, and one plain training loop."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model

from undertone.speech.writers.grammar import Query


def known(queries: Iterable[Query], share: float = 0.85) -> list[Query]:
    """The queries that training sees: `share` of them, chosen by the hash of what is asked, so that every phrasing of an unseen
    combination of verb and object stays unseen."""
    return [query for query in queries if int(hashlib.sha256(query.intent.encode()).hexdigest(), 16) % 1000 < 1000 * share]


def fit(
    parameters: Iterable[torch.nn.Parameter],
    loss: Callable[[int], torch.Tensor],
    *,
    steps: int,
    learning_rate: float,
    name: str,
    modules: torch.nn.Module,
    state: Path,
    clip: float = 1.0,
    parts: Sequence[float] = (),
) -> None:
    """AdamW with 5 % warm-up and linear decay; weights go to `state` every 500 steps and are taken up from there."""
    chosen: Sequence[torch.nn.Parameter] = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.AdamW(chosen, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / warm, (steps - i) / (steps - warm)))
    began, total = time.time(), 0.0
    modules.train()
    torch.set_flush_denormal(True)
    for step in range(steps):
        value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(chosen, clip)
        optimizer.step()
        schedule.step()
        total += value.item()
        if (step + 1) % 100 == 0:
            detail = " ".join(f"{part:.3f}" for part in parts)
            print(f"{name} {step + 1}/{steps} loss {total / 100:.4f} {(step + 1) / (time.time() - began):.2f} steps/s {detail}", flush=True)
            total = 0.0
        if (step + 1) % 500 == 0:
            save_model(modules, str(state))


def word_table(seed: int, rows: int, width: int) -> torch.Tensor:
    """The embedding table, (rows, width), drawn once and never trained: steps 1 and 2 aim at the same one and can run side by side."""
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * width**-0.5


__all__ = ["fit", "known", "load_model", "word_table"]
