"""`undertone demo`: the whole corridor on the embedded model, from speech to report."""

import json
from functools import partial
from pathlib import Path

from undertone import settings
from undertone.evaluation.controls import CONTROLS
from undertone.models import device_name
from undertone.models.tiny import MIND
from undertone.recipes.analyze import analyze
from undertone.recipes.arms import Laid
from undertone.recipes.evaluate import evaluate
from undertone.recipes.examples import write_examples
from undertone.recipes.finetune import finetune
from undertone.recipes.frozen_road import frozen_road
from undertone.recipes.report import report
from undertone.recipes.sizes import SIZES, Size
from undertone.recipes.stages import Stage, listen, say, side_by_side
from undertone.recipes.synthesize import synthesize
from undertone.recipes.watch import Watch
from undertone.recipes.weighing import weighed
from undertone.records import LayerScore, Score, read_rows
from undertone.run import open_run, write_atomic, write_rows

STRENGTHS = (0.25, 0.5, 0.75)
CONTROLLED = 240
"""Clips of each category that a control is asked."""


def demo(chosen: settings.Demo) -> Path:
    """Synthesise, analyse, fine-tune, evaluate, report; returns the report page. Finished stages are not repeated."""
    out = chosen.out or Path("runs/demo" if chosen.road == "pe-ft" else "runs/demo-frozen")
    run = open_run(out, "demo", chosen.model_dump(mode="json"), chosen.seed, device_name(""), usual=chosen.usual())
    size = SIZES[chosen.size]
    seeds = range(chosen.seed, chosen.seed + size.seeds)
    folders = [run.folder / f"seed-{seed}" for seed in seeds]
    with Watch(run.folder / "watch.json") as watch:
        walk = corridor if chosen.road == "pe-ft" else frozen_road
        asked = [(folder / "data", walk(folder, size, seed, chosen.size)) for folder, seed in zip(folders, seeds, strict=True)]
    claims = weighed(settings.read_grid(chosen.road.replace("-", "_")), run, asked) if size.seeds > 1 else ()
    took = [run.score("cost", name, "whole", value, 1) for name, value in watch.seen._asdict().items()]
    write_rows(run.folder / "scores.jsonl", [score for folder in folders for score in collect(folder)] + [*took, *claims])
    if chosen.road == "pe-ft":
        write_rows(run.folder / "layers.jsonl", read_rows(folders[0] / "analyze" / "layers.jsonl", LayerScore))
        write_atomic(run.folder / "selection.json", (folders[0] / "analyze" / "selection.json").read_text())
    before, after = ("vanilla", "pe-ft") if chosen.road == "pe-ft" else ("semantic", "aligned")
    write_examples(run.folder / "examples.jsonl", [folders[0] / "eval" / name for name in (before, after)])
    return report(settings.Report(runs=[run.folder], out=run.folder / "report.html"))


def corridor(folder: Path, size: Size, seed: int, name: str) -> dict[str, Laid]:
    """One walk from speech to scores with one seed; returns what was asked."""
    data = folder / "data"
    say("speaking")
    synthesize(
        settings.Synthesize(out=data, train=size.train, dev=size.dev, test=size.test, safety_speakers=size.safety_speakers, seed=seed)
    )
    say("listening: the frozen tower hears every clip once")
    listen(data)

    say("analysing the vanilla model")
    analyze(settings.Analyze(data=data, out=folder / "analyze", limit=size.analysed, patch_pairs=24, seed=seed))
    first, last = json.loads((folder / "analyze" / "selection.json").read_text())["adapt"]

    trained = methods(first, last, name)
    say(f"fine-tuning {', '.join(trained)}")
    # Of what was tried on dev topics (docs/log.md), this carries over best to new ones; with little dropout topics are learnt by heart.
    tune = partial(
        settings.Finetune,
        data=data,
        lora=settings.Lora(rank=8, dropout=0.5, targets=["q_proj", "k_proj", "v_proj", "o_proj"]),
        learning_rate=5e-3,
        mixture={"gender": 2.0},
        replay=0.2,
        steps=size.steps,
        check_every=max(1, size.steps // 3),
        seed=seed,
    )
    side_by_side(
        Stage(finetune, tune(out=folder / "tune" / method, name=method, layers=layers, adch=adch))
        for method, (layers, adch) in trained.items()
    )

    ask = partial(settings.Evaluate, data=data, seed=seed)
    adapters = {method: folder / "tune" / method / "adapter" for method in trained}
    vanilla = folder / "eval" / "vanilla"
    asked = {"vanilla": ask(), "prompted": ask(system=MIND), "cascade": ask(cascade=True)}
    after = {method: ask(adapter=adapter, against=vanilla) for method, adapter in adapters.items()}
    if name != "small":
        tuned = partial(ask, adapter=adapters["pe-ft"], metrics=["pa", "exact"])
        after |= {f"pe-ft@{strength}": tuned(strength=strength, suites=["child-safety"]) for strength in STRENGTHS}
        after |= {f"pe-ft {control}": tuned(control=control, suites=["pa"], limit=CONTROLLED) for control in CONTROLS}
    every = {
        run: one.model_copy(update={"out": folder / "eval" / run.replace(" ", "-"), "name": run.partition(" ")[0]})
        for run, one in (asked | after).items()
    }
    for runs in (asked, after):
        say(f"asking {', '.join(runs)}")
        side_by_side(Stage(evaluate, every[run]) for run in runs)
    return {run: Laid(run, None, (one,), None) for run, one in every.items()}


def methods(first: int, last: int, size: str) -> dict[str, tuple[str, settings.Adch]]:
    """What is fine-tuned where the analysis chose the layers `first` to `last`: name → layers, head."""
    # The published λ of 0.5 costs this small model right replies to children; 0.1 was chosen on dev topics (docs/log.md).
    chosen, head, none = f"{first}-{last}", settings.Adch(weight=0.1), settings.Adch(weight=0.0)
    compared = {"all-layer": ("all", none), "pe-ft": (chosen, head)}
    further = {"selective": (chosen, none), "random-layers": (f"random:{last - first + 1}", none)}
    return compared | further if size == "full" else compared


def collect(folder: Path) -> list[Score]:
    """The scores of one walk: evaluations, and what each fine-tuning cost."""
    return [
        score
        for kind in ("eval", "tune", "align", "recognize")
        for path in sorted(folder.glob(f"{kind}/*/scores.jsonl"))
        for score in read_rows(path, Score)
    ]
