"""`undertone demo`: the whole corridor on the embedded model, from speech to report."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from undertone import settings
from undertone.models.tiny import MIND
from undertone.recipes.examples import write_examples
from undertone.records import LayerScore, Score, read_rows
from undertone.run import open_run, write_atomic, write_rows


class Size(NamedTuple):
    """How much of everything: clips, fine-tuning steps, and clips that are analysed."""

    train: dict[str, int]
    dev: dict[str, int]
    test: dict[str, int]
    safety_speakers: int
    steps: int
    analysed: int


SIZES = {
    "small": Size(
        {"age": 200, "gender": 200, "emotion": 300, "content": 100},
        {"age": 20, "gender": 20, "emotion": 30, "content": 20},
        {"age": 40, "gender": 40, "emotion": 60, "content": 40},
        1, 60, 300,
    ),
    "default": Size(
        {"age": 900, "gender": 900, "emotion": 1500, "content": 400},
        {"age": 60, "gender": 60, "emotion": 90, "content": 60},
        {"age": 430, "gender": 430, "emotion": 1290, "content": 1000},
        3, 300, 900,
    ),
}  # fmt: skip
SIZES["full"] = SIZES["default"]

STRENGTHS = (0.25, 0.5, 0.75)
CONTROLS = ("text-only", "shuffled-audio", "oracle-label")


def demo(chosen: settings.Demo) -> Path:
    """Synthesise, analyse, fine-tune, evaluate, report; returns the report page. Finished stages are not repeated."""
    run = open_run(chosen.out, "demo", chosen.model_dump(mode="json"), chosen.seed)
    size, began = SIZES[chosen.size], time.monotonic()
    seeds = range(chosen.seed, chosen.seed + (3 if chosen.size == "full" else 1))
    for seed in seeds:
        corridor(run.folder / f"seed-{seed}", size, seed, chosen.size == "full", chosen.size != "small")
    folders = [run.folder / f"seed-{seed}" for seed in seeds]
    scores = [score for folder in folders for score in collect(folder)]
    write_rows(run.folder / "scores.jsonl", [*scores, run.score("cost", "seconds", "all", time.monotonic() - began, 1)])
    write_rows(run.folder / "layers.jsonl", read_rows(folders[0] / "analyze" / "layers.jsonl", LayerScore))
    write_atomic(run.folder / "selection.json", (folders[0] / "analyze" / "selection.json").read_text())
    write_examples(run.folder / "examples.jsonl", folders[0] / "data", [folders[0] / "eval" / name for name in ("vanilla", "pe-ft")])

    from undertone.recipes.report import report

    return report(settings.Report(run=run.folder))


def corridor(folder: Path, size: Size, seed: int, full: bool, thorough: bool) -> None:
    """One walk from speech to scores with one seed."""
    from undertone.recipes import analyze, synthesize

    data = folder / "data"
    say("speaking")
    synthesize.synthesize(
        settings.Synthesize(out=data, train=size.train, dev=size.dev, test=size.test, safety_speakers=size.safety_speakers, seed=seed)
    )
    say("analysing the vanilla model")
    analyze.analyze(settings.Analyze(data=data, out=folder / "analyze", limit=size.analysed, seed=seed))
    first, last = json.loads((folder / "analyze" / "selection.json").read_text())["adapt"]
    chosen, as_many = f"{first}-{last}", f"random:{last - first + 1}"

    head, none = settings.Adch(), settings.Adch(weight=0.0)
    methods = {"all-layer": ("all", none), "pe-ft": (chosen, head)}
    if full:
        methods |= {"selective": (chosen, none), "random-layers": (as_many, none)}
    tune = partial(settings.Finetune, data=data, steps=size.steps, check_every=max(1, size.steps // 5), seed=seed)
    say(f"fine-tuning {', '.join(methods)}")
    side_by_side([(run_finetune, tune(out=folder / "tune" / name, layers=layers, adch=adch)) for name, (layers, adch) in methods.items()])

    ask = partial(settings.Evaluate, data=data, seed=seed)
    asked = {"vanilla": ask(), "prompted": ask(system=MIND), "cascade": ask(cascade=True)}
    asked |= {name: ask(adapter=folder / "tune" / name / "adapter") for name in methods}
    tuned = partial(ask, adapter=folder / "tune" / "pe-ft" / "adapter", preference=False)
    asked |= {f"pe-ft@{strength}": tuned(strength=strength, suites=["child-safety"]) for strength in STRENGTHS if thorough}
    asked |= {f"pe-ft {control}": tuned(control=control, suites=["pa"]) for control in CONTROLS if thorough}
    say(f"asking {', '.join(asked)}")
    side_by_side(
        [
            (
                run_evaluate,
                one.model_copy(update={"out": folder / "eval" / name.replace(" ", "-"), "name": name.partition("@")[0].partition(" ")[0]}),
            )
            for name, one in asked.items()
        ]
    )


def side_by_side(stages: Sequence[tuple[Callable[[Any], None], Any]]) -> None:
    """Run stages in as many processes as there are pairs of hands; matrices this small gain more from processes than from threads."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(min(cores, len(stages)), get_context("spawn"), initializer=one_thread) as pool:
        for done in [pool.submit(stage, chosen) for stage, chosen in stages]:
            done.result()


def one_thread() -> None:
    """In a worker: one core each."""
    import torch

    torch.set_num_threads(1)


def run_finetune(chosen: settings.Finetune) -> None:
    """Stage for a worker process."""
    from undertone.recipes.finetune import finetune

    finetune(chosen)


def run_evaluate(chosen: settings.Evaluate) -> None:
    """Stage for a worker process."""
    from undertone.recipes.evaluate import evaluate

    evaluate(chosen)


def collect(folder: Path) -> list[Score]:
    """The scores of one walk: evaluations, and what each fine-tuning cost, under the method's name."""
    scores = [score for path in sorted((folder / "eval").glob("*/scores.jsonl")) for score in read_rows(path, Score)]
    for path in sorted((folder / "tune").glob("*/scores.jsonl")):
        scores += [score.model_copy(update={"run": path.parent.name}) for score in read_rows(path, Score)]
    return scores


def say(what: str) -> None:
    """One line a stage."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
