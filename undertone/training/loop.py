"""One training loop for both roads: AdamW, cosine, clipping, accumulation, dev checks, resume; Accelerate underneath."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from undertone.models.base import Batch, Prompt, SpeechLM
from undertone.records import CONTENT, Utterance
from undertone.training import checkpoint
from undertone.training.batches import cut, fewest
from undertone.training.checkpoint import Progress
from undertone.training.heads import Targets, targets
from undertone.training.objectives import Objective, Sizes
from undertone.training.ranks import ranks

if TYPE_CHECKING:
    from accelerate import PartialState


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
    max_tokens: int = 0

    def scale(self, step: int) -> float:
        """Cosine decay to zero after a linear warm-up."""
        warm = max(1, round(self.steps * self.warmup))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def part(self, processes: int) -> int:
        """Clips in one forward pass of one of `processes`: what fits into memory in training fits in validation."""
        return math.ceil(self.batch_size / processes / self.accumulate)


class Encode(Protocol):
    """Rows → what the objective takes besides the sizes; and sizes and lengths (tokens of each row) alone, counted without encoding."""

    @property
    def model(self) -> SpeechLM: ...

    @property
    def packed(self) -> bool: ...

    def __call__(self, rows: Sequence[Any]) -> tuple[Any, ...]: ...

    def sizes(self, rows: Sequence[Any]) -> Sizes: ...

    def lengths(self, rows: Sequence[Any]) -> list[int]: ...


class Draw(Protocol):
    """The rows of a step: a function of the step alone, so that resuming needs no sampler state."""

    def batch(self, step: int, size: int) -> Sequence[Any]: ...


class Encoder(NamedTuple):
    """Utterances → supervised batches, `packed` or padded, from audio embeddings that were made once (`heard`); `tokens` says of a clip how
    many these are, where that is known without opening them."""

    model: SpeechLM
    heard: Callable[[str], Tensor]
    system: str = ""
    packed: bool = True
    tokens: Callable[[str], int] | None = None

    def __call__(self, rows: Sequence[Utterance]) -> tuple[Batch, Targets]:
        """The clips with their right replies, and the true classes."""
        prompts = [Prompt(audio=self.heard(row.id), system=self.system) for row in rows]
        batch = self.model.encode(prompts, [row.reply or "" for row in rows])
        return batch.packed() if self.packed else batch, targets(rows)

    def lengths(self, rows: Sequence[Utterance]) -> list[int]:
        """Tokens of each clip with its prompt, its reply and the end."""
        count = self.tokens or (lambda name: len(self.heard(name)))
        around = len(self.model.prompt_ids(Prompt(audio=torch.zeros(1, 0), system=self.system), 1))
        return [around + count(row.id) + len(self.model.reply_ids(row.reply or "")) for row in rows]

    def sizes(self, rows: Sequence[Utterance]) -> Sizes:
        """Labelled tokens and clips with a category, counted without encoding audio: every process knows the whole batch's."""
        tokens = sum(len(self.model.reply_ids(row.reply or "")) + 1 for row in rows)
        return Sizes(tokens, sum(row.category != CONTENT for row in rows))


def train(
    objective: Objective,
    mixture: Draw,
    dev: Sequence[Any],
    encode: Encode,
    schedule: Schedule,
    folder: Path,
    log: Callable[[Mapping[str, float], int], None],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Progress:
    """Train `objective`; afterwards it holds the weights that were best on dev. Begun work in `folder` is taken up again."""
    from accelerate import Accelerator

    folder.mkdir(parents=True, exist_ok=True)
    together = ranks(encode.model.device)
    accelerator = Accelerator(cpu=encode.model.device.type == "cpu")
    if schedule.batch_size % accelerator.num_processes:
        raise ValueError(f"batch_size: {schedule.batch_size} clips do not divide among {accelerator.num_processes} processes")
    wrapped = accelerator.prepare_model(objective, device_placement=False)
    parameters = {name: value for name, value in objective.named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW(parameters.values(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    done = checkpoint.load(last, parameters, optimizer) if last.exists() else Progress(0, math.inf, 0)
    began, spent = time.monotonic(), done.seconds

    def save(*paths: Path) -> None:
        if together.is_main_process:
            for path in paths:
                checkpoint.save(path, parameters, optimizer, done)
        together.wait_for_everyone()

    def note(kind: str, values: Mapping[str, float], step: int) -> None:
        if together.is_main_process:
            log({f"{kind}/{name}": value for name, value in values.items()}, step)

    def check() -> Progress:
        checked = validate(objective, dev, encode, schedule.part(together.num_processes), schedule.max_tokens)
        note("dev", checked, done.step - 1)
        reached = next(iter(checked.values()))
        seconds = spent + time.monotonic() - began
        return Progress(done.step, min(done.best, reached), done.step if reached < done.best else done.best_step, seconds)

    objective.learner.train()
    for step in progress(range(done.step - (not done.checked), schedule.steps)):
        if step == done.step:
            note("train", _step(accelerator, wrapped, optimizer, mixture, encode, schedule, step), step)
            done = done._replace(step=step + 1, checked=False)
        if done.step % schedule.check_every == 0 or done.step == schedule.steps:
            # Saved before it is checked, too: a check that dies loses no step, and the next session begins with it.
            done = done._replace(seconds=spent + time.monotonic() - began)
            save(last)
            done = check()
            save(*[best] * (done.best_step == done.step), last)
    if best.exists():
        checkpoint.load(best, parameters, optimizer)
    return done


def _step(
    accelerator: Any, wrapped: Any, optimizer: torch.optim.Optimizer, mixture: Draw, encode: Encode, schedule: Schedule, step: int
) -> dict[str, float]:
    """One optimiser step on the whole batch, of which this process takes every n-th clip, in `accumulate` parts or in as many as
    `max_tokens` asks for."""
    rows = mixture.batch(step, schedule.batch_size)
    shares = [rows[i :: accelerator.num_processes] for i in range(accelerator.num_processes)]
    batches = _parts(encode, shares, accelerator.process_index, schedule.accumulate, schedule.max_tokens)
    sizes = encode.sizes(rows)
    # Dropout depends on the step alone, so a run that was killed goes on as if it had not been.
    torch.manual_seed(1_000_003 * step + accelerator.process_index)
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for part in batches:
        losses = wrapped(*encode(part), sizes)
        # Wrapped modules average gradients over processes; the sizes are those of the whole batch, so the average is undone here.
        accelerator.backward(losses.loss * accelerator.num_processes)
        for name, value in losses._asdict().items():
            sums[name] = sums.get(name, 0.0) + value.item()
    if not math.isfinite(sums["loss"]):
        raise RuntimeError(f"step {step}: the loss is not finite; lower learning_rate or clip")
    norm = accelerator.clip_grad_norm_(wrapped.parameters(), schedule.clip)
    for group in optimizer.param_groups:
        group["lr"] = schedule.learning_rate * schedule.scale(step)
    optimizer.step()
    return _added_up(sums, ranks(encode.model.device)) | {"gradient_norm": float(norm), "learning_rate": optimizer.param_groups[0]["lr"]}


def _parts(encode: Encode, shares: Sequence[Sequence[Any]], which: int, count: int, max_tokens: int) -> list[Sequence[Any]]:
    """The share number `which` in `count` parts, or in as many as keep those of every share within `max_tokens`."""
    if count == 1 and not max_tokens:
        return [shares[which]]
    lengths = [encode.lengths(rows) if max_tokens or rows is shares[which] else [] for rows in shares]
    count = fewest(lengths, max_tokens, encode.packed) if max_tokens else count
    return cut(shares[which], lengths[which], count, encode.packed)


@torch.no_grad()
def validate(objective: Objective, rows: Sequence[Any], encode: Encode, part: int, max_tokens: int = 0) -> dict[str, float]:
    """What the objective reports of rows that are not trained on, `part` of them at a time, or as many as `max_tokens` hold: the loss that
    chooses the checkpoint first. All processes call it together, each takes every n-th row."""
    together = ranks(encode.model.device)
    objective.learner.eval()
    mine = rows[together.process_index :: together.num_processes]
    sums = dict.fromkeys(objective.parts, 0.0)
    some = [mine[i : i + part] for i in range(0, len(mine), part)]
    for few in _parts(encode, [mine], 0, 1, max_tokens) if max_tokens and mine else some:
        for name, value in objective(*encode(few), Sizes(1, 1, 1))._asdict().items():
            sums[name] += value.item()
    objective.learner.train()
    return objective.report(_added_up(sums, together), encode.sizes(rows))


def _added_up(sums: dict[str, float], together: "PartialState") -> dict[str, float]:
    """The sums over all processes."""
    from accelerate.utils import reduce

    if together.num_processes == 1:
        return sums
    total = reduce(torch.tensor(list(sums.values()), dtype=torch.float64, device=together.device), "sum")
    return dict(zip(sums, total.tolist(), strict=True))
