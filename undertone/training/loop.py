"""One training loop for PE-FT and its baselines: AdamW, cosine, clipping, accumulation, dev checks, resume; Accelerate underneath."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from undertone.models.base import Batch, Prompt, SpeechLM
from undertone.records import CONTENT, Utterance
from undertone.training import checkpoint
from undertone.training.batches import Mixture
from undertone.training.checkpoint import Progress
from undertone.training.heads import targets
from undertone.training.objectives import Losses, PeFt, Sizes


class Schedule(NamedTuple):
    """The optimisation's numbers, as METHOD A.3 lists them."""

    steps: int
    batch_size: int
    accumulate: int
    learning_rate: float
    warmup: float
    weight_decay: float
    clip: float
    check_every: int

    def scale(self, step: int) -> float:
        """Cosine decay to zero after a linear warm-up."""
        warm = max(1, round(self.steps * self.warmup))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


class Encoder(NamedTuple):
    """Utterances → supervised batches, from audio embeddings that were made once (`heard`)."""

    model: SpeechLM
    heard: Callable[[str], Tensor]
    system: str = ""

    def __call__(self, rows: Sequence[Utterance]) -> Batch:
        """The clips with their right replies."""
        prompts = [Prompt(audio=self.heard(row.id), system=self.system) for row in rows]
        return self.model.encode(prompts, [row.reply or "" for row in rows])

    def sizes(self, rows: Sequence[Utterance]) -> Sizes:
        """Labelled tokens and clips with a category, counted without encoding audio: every process knows the whole batch's."""
        tokens = sum(len(self.model.reply_ids(row.reply or "")) + 1 for row in rows)
        return Sizes(tokens, sum(row.category != CONTENT for row in rows))


def train(
    objective: PeFt,
    mixture: Mixture,
    dev: Sequence[Utterance],
    encode: Encoder,
    schedule: Schedule,
    folder: Path,
    log: Callable[[Mapping[str, float], int], None],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Progress:
    """Train `objective`; afterwards it holds the weights that were best on dev. Begun work in `folder` is taken up again."""
    from accelerate import Accelerator

    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(cpu=encode.model.device.type == "cpu")
    if schedule.batch_size % accelerator.num_processes:
        raise ValueError(f"batch_size: {schedule.batch_size} clips do not divide among {accelerator.num_processes} processes")
    wrapped = accelerator.prepare_model(objective, device_placement=False)
    parameters = {name: value for name, value in objective.named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW(parameters.values(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    done = checkpoint.load(last, parameters, optimizer) if last.exists() else Progress(0, math.inf, 0)
    began, spent = time.monotonic(), done.seconds
    objective.adapted.train()
    for step in progress(range(done.step, schedule.steps)):
        sums = _step(accelerator, wrapped, optimizer, mixture, encode, schedule, step)
        if accelerator.is_main_process:
            log({f"train/{name}": value for name, value in sums.items()}, step)
        if (step + 1) % schedule.check_every == 0 or step + 1 == schedule.steps:
            checked = validate(objective, dev, encode, schedule.batch_size)
            better = checked["sft"] < done.best
            seconds = spent + time.monotonic() - began
            done = Progress(step + 1, min(done.best, checked["sft"]), step + 1 if better else done.best_step, seconds)
            if accelerator.is_main_process:
                log({f"dev/{name}": value for name, value in checked.items()}, step)
                for path in [best] * better + [last]:
                    checkpoint.save(path, parameters, optimizer, done)
            accelerator.wait_for_everyone()
    if best.exists():
        checkpoint.load(best, parameters, optimizer)
    return done


def is_main() -> bool:
    """Whether this process is the one that writes, of all that train together; to be asked after `train`."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _step(
    accelerator: Any, wrapped: Any, optimizer: torch.optim.Optimizer, mixture: Mixture, encode: Encoder, schedule: Schedule, step: int
) -> dict[str, float]:
    """One optimiser step on the whole batch, of which this process takes every n-th clip, in `accumulate` parts."""
    rows = mixture.batch(step, schedule.batch_size)
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    batches = [part for i in range(schedule.accumulate) if (part := mine[i :: schedule.accumulate])]
    sizes = encode.sizes(rows)
    # Dropout depends on the step alone, so a run that was killed goes on as if it had not been.
    torch.manual_seed(1_000_003 * step + accelerator.process_index)
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {"loss": 0.0, "sft": 0.0, "category": 0.0, "attribute": 0.0}
    for part in batches:
        losses: Losses = wrapped(encode(part), targets(part), sizes)
        # Wrapped modules average gradients over processes; the sizes are those of the whole batch, so the average is undone here.
        accelerator.backward(losses.total * accelerator.num_processes)
        for name, value in zip(sums, losses[:4], strict=True):
            sums[name] += value.item()
    if not math.isfinite(sums["loss"]):
        raise RuntimeError(f"step {step}: the loss is not finite; lower learning_rate or clip")
    norm = accelerator.clip_grad_norm_(wrapped.parameters(), schedule.clip)
    for group in optimizer.param_groups:
        group["lr"] = schedule.learning_rate * schedule.scale(step)
    optimizer.step()
    total = accelerator.reduce(torch.tensor(list(sums.values()), device=accelerator.device), "sum").tolist()
    return dict(zip(sums, total, strict=True)) | {"gradient_norm": float(norm), "learning_rate": optimizer.param_groups[0]["lr"]}


@torch.no_grad()
def validate(objective: PeFt, rows: Sequence[Utterance], encode: Encoder, batch: int) -> dict[str, float]:
    """The loss per labelled token (`sft`) of clips that are not trained on and, with an ADCH, its accuracy on those of a category."""
    objective.adapted.eval()
    tokens, paired = encode.sizes(rows)
    sums: dict[str, float] = {}
    for i in range(0, len(rows), batch):
        part = rows[i : i + batch]
        losses = objective(encode(part), targets(part), Sizes(1, 1))
        for name, value in losses._asdict().items():
            sums[name] = sums.get(name, 0.0) + value.item()
    objective.adapted.train()
    result = {"sft": sums["sft"] / max(1, tokens)}
    if objective.adch is not None and paired:
        result["category_accuracy"] = sums["category_right"] / paired
        result["attribute_accuracy"] = sums["attribute_right"] / paired
    return result
