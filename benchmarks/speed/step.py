"""Where a training step's time goes: operations counted against the 4·P per trained token that a frozen base allows, the rate reached
against the machine's own matrix rate, and the profiler's table.

    python benchmarks/speed/step.py --size embedded
    python benchmarks/speed/step.py --size 60M --table 20

P are the weights of the decoder's linear layers, a forward and an activation's gradient each cost 2·P a token; the output head's weights
count at labelled positions only. Attention's products, LoRA's own and the tokens that fill a row up are what may come on top. The rate is
that useful work over the step's seconds; what it is compared with is the best of square products and of the model's own shapes.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from lesson import SIZES, TARGETS, read_lesson, write_lesson
from timing import flags, keep, rounds, row

HEAD = 0.5


class Work(NamedTuple):
    """A step, and what it has to do: operations of 4·P per trained token."""

    step: Callable[[], Any]
    needed: int
    tokens: int


def prepare(folder: Path) -> Work:
    """Forward and backward pass of the lesson's first batch, encoded anew each time as the loop does."""
    import torch

    from undertone.models import open_model
    from undertone.models.base import Prompt
    from undertone.training.features import FeatureStore
    from undertone.training.loop import Encoder
    from undertone.training.lora import adapt, choose_layers
    from undertone.training.objectives import PeFt

    lesson = read_lesson(folder)
    size, model = lesson.size, open_model(str(folder / "model"), device="cpu", dtype="float32")
    body = sum(one.weight.numel() for one in model.text_model.layers.modules() if isinstance(one, torch.nn.Linear))
    head = model.lm_head.weight.numel()
    store = FeatureStore(folder / "features", model)
    store.fill(lesson.clips, lesson.wave)
    layers = choose_layers(size.layers, model)
    adapted = adapt(model, layers, TARGETS, size.rank, size.alpha, dropout=0.0, seed=0)
    objective = PeFt(model, adapted, layers[-1], HEAD, model.text_model.config.hidden_size)
    encode, clips = Encoder(model, store.__getitem__), lesson.batch(0, size.batch)
    optimizer = torch.optim.AdamW([value for value in objective.parameters() if value.requires_grad], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        objective(*encode(clips), encode.sizes(clips)).loss.backward()
        optimizer.step()

    prompts = [Prompt(audio=store[clip.id]) for clip in clips]
    tokens = int(model.encode(prompts, [clip.reply or "" for clip in clips]).attention_mask.sum())
    return Work(step, 4 * (body * tokens + head * encode.sizes(clips).tokens), tokens)


def timed(folder: Path) -> Callable[[], Any]:
    """A side: the step alone."""
    work = prepare(folder)

    def run() -> dict[str, int]:
        work.step()
        return {"needed": work.needed, "tokens": work.tokens}

    return run


def counted(folder: Path) -> Callable[[], Any]:
    """A side: operations of the step, by kind."""
    from torch.utils.flop_counter import FlopCounterMode

    work = prepare(folder)

    def run() -> dict[str, int]:
        with FlopCounterMode(display=False) as counter:
            work.step()
        return {str(name): count for name, count in counter.get_flop_counts()["Global"].items()}

    return run


def table(folder: Path, lines: int) -> Callable[[], Any]:
    """A side: the profiler's table of three steps, by the time that operators take themselves."""
    from torch.profiler import ProfilerActivity, profile

    work = prepare(folder)

    def run() -> str:
        work.step()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(3):
                work.step()
        return str(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=lines, max_name_column_width=50))

    return run


def matrix_rate(folder: Path) -> Callable[[], Any]:
    """A side: float32 operations a second, the best of ten products each: square ones of 1,024, and tokens × width × feed-forward width."""
    import torch

    from undertone.models import open_model

    lesson = read_lesson(folder)
    config = open_model(str(folder / "model"), device="cpu", dtype="float32").text_model.config
    shapes = {"square": (1024, 1024, 1024), "own": (64 * lesson.size.batch, config.hidden_size, config.intermediate_size)}

    def run() -> dict[str, float]:
        found = {}
        for name, (rows, inner, columns) in shapes.items():
            one, other, took = torch.randn(rows, inner), torch.randn(inner, columns), []
            for _ in range(10):
                began = perf_counter()
                one @ other
                took.append(perf_counter() - began)
            found[name] = 2 * rows * inner * columns / min(took)
        return found

    return run


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--size", choices=SIZES, default="embedded", help="the model (%(default)s)")
    parser.add_argument("--batch", type=int, default=0, help="clips of the step (the size's)")
    parser.add_argument("--table", type=int, default=0, help="also print so many lines of the profiler's table")
    given = parser.parse_args()
    threads = given.threads or 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_lesson(given.size, Path(scratch), 1, given.batch).folder
        if given.table:
            print(rounds([partial(table, folder, given.table)], 1, threads, warm=0)[0].result)
        (one,) = rounds([partial(timed, folder)], given.pairs, threads, warm=2)
        (count,), (rate,) = (rounds([partial(side, folder)], 1, threads, warm=0) for side in (counted, matrix_rate))
    needed, total = one.result["needed"], sum(count.result.values())
    reached = needed / median(one.seconds)
    about = {"threads": threads, "tokens": one.result["tokens"], "seconds": median(one.seconds), "needed": needed, **count.result}
    about |= {"reached_per_second": reached, **{f"{name}_products_per_second": value for name, value in rate.result.items()}}
    keep(
        [
            row("step", "ours", given.size, "operations_over_4P", total / needed, 1, about),
            row("step", "ours", given.size, "share_of_matrix_rate", reached / max(rate.result.values()), len(one.seconds), about),
        ],
        given.results,
    )


if __name__ == "__main__":
    main()
