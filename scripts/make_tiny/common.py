"""What the three steps share: which texts are known, and one plain training loop."""

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from undertone.models import has_bfloat16
from undertone.speech.writers.grammar import Query, compose, phrasings, topics
from undertone.training import checkpoint

ATTENTION = "eager"
"""What trains fastest at these lengths; the fused one has no fast bfloat16 backward on CPUs."""


def is_known(query: Query, share: float = 0.85) -> bool:
    """Whether training sees what is asked: decided by the hash of verb and object, so that every phrasing of an unseen combination
    stays unseen."""
    return int(hashlib.sha256(query.intent.encode()).hexdigest(), 16) % 1000 < 1000 * share


def world() -> list[Query]:
    """All that training draws from: every verb with every object, sensible or not, in every phrasing, without the unseen combinations.

    With sensible combinations alone the models learn the combinations: they hear "find the skates" and answer "find the boots".
    """
    verbs = sorted({verb for topic in topics() for verb in topic.verbs})
    every = (compose(t, verb, thing, said) for t in topics() for verb in verbs for thing in t.objects for said in phrasings())
    return [query for query in every if is_known(query)]


def fit(
    modules: torch.nn.Module,
    loss: Callable[[int], torch.Tensor],
    *,
    steps: int,
    learning_rate: float,
    name: str,
    state: Path,
    clip: float = 1.0,
    parts: Sequence[float] = (),
) -> None:
    """AdamW with 5 % warm-up and linear decay, matrices multiplied in bfloat16 where the CPU is faster with it. Everything goes to `state`
    every 250 steps; a run that was killed goes on from there."""
    named = {key: value for key, value in modules.named_parameters() if value.requires_grad}
    chosen = list(named.values())
    optimizer = torch.optim.AdamW(chosen, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / warm, (steps - i) / (steps - warm)))
    done = checkpoint.load(state, named, optimizer).step if state.exists() else 0
    for _ in range(done):
        schedule.step()
    began, total = time.time(), 0.0
    modules.train()
    torch.set_flush_denormal(True)
    for step in range(done, steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16("cpu")):
            value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        share_gradients(chosen)
        torch.nn.utils.clip_grad_norm_(chosen, clip)
        optimizer.step()
        schedule.step()
        total += value.item()
        if (step + 1) % 50 == 0 and rank() == 0:
            detail = " ".join(f"{part:.3f}" for part in parts)
            rate = (step + 1 - done) / (time.time() - began)
            print(f"{name} {step + 1}/{steps} loss {total / 50:.4f} {rate:.2f} steps/s {detail}", flush=True)
            total = 0.0
        if ((step + 1) % 250 == 0 or step + 1 == steps) and rank() == 0:
            checkpoint.save(state, named, optimizer, checkpoint.Progress(step + 1, total, step + 1))
    wait()


def dice(seed: int, step: int) -> random.Random:
    """Random numbers of one step of this process, so that a run that goes on draws what it would have drawn."""
    return random.Random(f"{seed} {rank()} {step}")


def rank() -> int:
    """Number of this process; 0 where there is one."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def share_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Average gradients over processes, where torchrun started several; each draws its own batches."""
    if not dist.is_initialized():
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch._utils._flatten_dense_tensors(grads)
    dist.all_reduce(flat)
    for grad, mean in zip(grads, torch._utils._unflatten_dense_tensors(flat / dist.get_world_size(), grads), strict=True):
        grad.copy_(mean)


def word_table(seed: int, rows: int, width: int) -> torch.Tensor:
    """The embedding table, (rows, width), drawn once and never trained: steps 1 and 2 aim at the same one and can run side by side."""
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * width**-0.5
