"""A PE-FT training run: ours, the features of all clips at hand, against what a user would otherwise take, on the same checkpoint, clips,
layers, rank, batches and schedule; the loss of every step must agree.

    python benchmarks/speed/training.py --size embedded
    python benchmarks/speed/training.py --size 60M --peers trainer trainer-trimmed
    python benchmarks/speed/training.py --size embedded --peers ms-swift --peer-python PEER/bin/python

`trainer` is Transformers' Trainer with PEFT and the official feature extractor (`peers/transformers_trainer.py`), padded to 300 s as the
official processor pads; `trainer-trimmed` is kinder, padded to the longest clip of the batch. `ms-swift` and `llama-factory` run in an
environment of their own; their files in `peers/` say how to make it. They know no auxiliary head, so against them ours trains without.

Times are of whole runs by each side's own loop, models opened before. What computing our features takes is in no time but in the details:
`store_seconds`, and `ratio_1_epoch`, `ratio_10_epochs` are the ratios where so many epochs bear it.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from lesson import SIZES, TARGETS, Lesson, read_lesson, write_lesson
from timing import Compared, Foreign, Side, flags, in_turn, keep, row, rows

from undertone.training.loop import Schedule

TOLERANCE = 1e-3
"""Relative difference of two losses of a step, in float32: the sums are added up in other orders, and training amplifies that."""

HEAD = 0.5
"""λ of the auxiliary head (METHOD A.3), where the peer can have one."""

HERE = Path(__file__).parent


def ours(folder: Path, schedule: Schedule, weight: float) -> Callable[[], Any]:
    """`train`, as `undertone finetune` calls it."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    from undertone.models import open_model
    from undertone.training.features import FeatureStore
    from undertone.training.loop import Encoder, train
    from undertone.training.lora import adapt, choose_layers
    from undertone.training.objectives import PeFt

    lesson, kept = read_lesson(folder), tempfile.TemporaryDirectory()
    size, model = lesson.size, open_model(str(folder / "model"), device="cpu", dtype="float32")
    store, began = FeatureStore(Path(kept.name), model), perf_counter()
    store.fill(lesson.clips, lesson.wave)
    took = perf_counter() - began
    layers = choose_layers(size.layers, model)
    adapted = adapt(model, layers, TARGETS, size.rank, size.alpha, dropout=0.0, seed=0)
    objective = PeFt(model, adapted, layers[-1], weight, model.text_model.config.hidden_size)
    fresh, heads = load_file(folder / "adapter" / "adapter_model.safetensors"), load_file(folder / "heads.safetensors")

    def run() -> dict[str, Any]:
        set_peft_model_state_dict(adapted, fresh)
        if objective.adch is not None:
            objective.adch.load_state_dict(heads)
        losses: list[float] = []

        def log(values: Any, step: int) -> None:
            losses.extend([values["train/loss"]] if "train/loss" in values else [])

        with tempfile.TemporaryDirectory(dir=kept.name) as states:
            train(objective, lesson, [], Encoder(model, store.__getitem__), schedule, Path(states), log)
        return {"losses": losses, "store_seconds": took}

    return run


def side(peer: str, lesson: Lesson, schedule: Schedule, python: Path | None) -> tuple[Side | Foreign, float]:
    """The peer's side, and the weight of the head on both."""
    from peers.transformers_trainer import transformers_trainer

    if peer in ("trainer", "trainer-trimmed"):
        return partial(transformers_trainer, lesson.folder, schedule, HEAD, peer == "trainer-trimmed"), HEAD
    if python is None:
        raise SystemExit(f"--peer-python: {peer} runs in an environment of its own; peers/{peer.replace('-', '_')}.py says how to make it")
    return Foreign(python, HERE / "peers" / f"{peer.replace('-', '_')}.py", (str(lesson.folder), *map(str, schedule))), 0.0


def agreement(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Largest relative difference of a step's losses; ValueError where the runs are not the same training."""
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours, peer, strict=True))
    if worst > TOLERANCE:
        raise ValueError(f"the losses differ by {worst:.2g}, allowed are {TOLERANCE:.0e}: {ours} against {peer}")
    return worst


def details(lesson: Lesson, found: Compared) -> dict[str, Any]:
    """Sizes, what the losses did, and the ratios where the features' cost is borne by one epoch and by ten."""
    seconds = [median(one.seconds) for one in found]
    clips, store = len(lesson.clips), found.ours.result["store_seconds"]
    worst = agreement(found.ours.result["losses"], found.peer.result["losses"])
    borne = {f"ratio_{n}_epoch{'s' * (n > 1)}": n * seconds[1] / (n * seconds[0] + store) for n in (1, 10)}
    mean = sum(clip.seconds for clip in lesson.clips) / clips
    return {
        **{name: value for name, value in lesson.size._asdict().items() if name != "queries"},
        "clip_seconds": round(mean, 2),
        "ours_clips_per_second": clips / seconds[0],
        "peer_clips_per_second": clips / seconds[1],
        "store_seconds": store,
        **borne,
        "first_loss": found.ours.result["losses"][0],
        "last_loss": found.ours.result["losses"][-1],
        "worst_loss_difference": worst,
        "peft": version("peft"),
        **found.peer.result.get("versions", {}),
    }


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--size", choices=SIZES, default="embedded", help="the model (%(default)s)")
    parser.add_argument("--peers", nargs="+", choices=("trainer", "trainer-trimmed", "ms-swift", "llama-factory"),
                        default=["trainer", "trainer-trimmed"], help="whom to compare with (%(default)s)")  # fmt: skip
    parser.add_argument("--peer-python", type=Path, help="python of the environment in which ms-swift or llama-factory is installed")
    parser.add_argument("--steps", type=int, default=0, help="steps of a run (the size's)")
    parser.add_argument("--batch", type=int, default=0, help="clips of a step (the size's)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lesson = write_lesson(given.size, Path(scratch), given.steps, given.batch)
        size = lesson.size
        schedule = Schedule(size.steps, size.batch, 1, size.learning_rate, 0.1, 0.0, 1.0, size.steps)
        for peer in given.peers:
            other, head = side(peer, lesson, schedule, given.peer_python)
            try:
                found = in_turn(partial(ours, lesson.folder, schedule, head), other, given.pairs, given.threads)
            except RuntimeError as error:
                keep([row("training", peer, given.size, "ratio", None, 0, {"error": str(error)})], given.results)
                continue
            keep(rows("training", peer, given.size, found, {"head": head, **details(lesson, found)}), given.results)


if __name__ == "__main__":
    main()
