"""Both roads on the same tests: PE-FT and its vanilla model are asked what the frozen road was asked, on simulated and on recorded voices.

    python benchmarks/frozen/roads.py --demo runs/demo --frozen runs/demo-frozen --recorded runs/ravdess --ravdess RAVDESS …

Rows go to OUT/scores.jsonl, and OUT/report.html shows them beside the frozen road's own: runs vanilla, pe-ft (trained on simulated voices
only) and pe-ft-recorded (fine-tuned to name the corpus' labels, all of them, fold by fold). Finished parts are not repeated.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from recorded import FOLDS, by_sex, costs_of, pooled, suites

from undertone import settings
from undertone.evaluation.recognition import recognition_scores
from undertone.recipes.evaluate import evaluate
from undertone.recipes.finetune import finetune
from undertone.recipes.frozen_road import SUITE
from undertone.recipes.recognize import preference, recognize
from undertone.recipes.report import report
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.records import Score, read_rows
from undertone.run import Run, commit, write_rows

RECORDED = "pe-ft-recorded"


def simulated(given: argparse.Namespace) -> list[Score]:
    """PE-FT on the frozen road's own test: styles, speakers, texts and topics that neither road was trained on."""
    data, tuned = given.frozen / "seed-0" / "data", adapter(given, "pe-ft", "", 0)
    ask = partial(settings.Evaluate, data=data, suites=["pa", "content"], together=SUITE, metrics=["pa", "preference", "exact", "rouge"])
    name = partial(settings.Recognize, data=data, suite=SUITE)
    vanilla = given.out / "vanilla" / "evaluate"
    say("asking vanilla and pe-ft on simulated voices")
    scores = evaluate(ask(out=vanilla, name="vanilla"))
    scores += evaluate(ask(out=given.out / "pe-ft" / "evaluate", name="pe-ft", adapter=tuned, against=vanilla))
    scores += recognize(name(out=given.out / "vanilla" / "recognize", name="vanilla"))
    scores += recognize(name(out=given.out / "pe-ft" / "recognize", name="pe-ft", adapter=tuned))
    return [row for row in scores if row.suite in (SUITE, "content")]


def recorded(given: argparse.Namespace, corpus: str, data: Path, attribute: str) -> Iterator[Score]:
    """What the models of the first road say of a corpus, all folds' test speakers scored together."""
    shared = {"corpus": corpus, "data": data, "features": given.out / f".features-{corpus}"}
    where = argparse.Namespace(**vars(given) | {"corpus": corpus, "data": data, "attribute": attribute, "seed": 0})
    tune = partial(
        settings.Finetune, naming=attribute, layers=given.layers, lora=settings.Lora(rank=8, dropout=0.5), learning_rate=5e-3,
        adch=settings.Adch(weight=0.1), steps=given.steps, check_every=given.steps // 4, name=RECORDED, **shared,
    )  # fmt: skip
    say(f"fine-tuning on {corpus}")
    stages = [Stage(finetune, tune(out=given.out / f"{RECORDED}-{corpus}-{fold}" / "tune", fold=fold)) for fold in FOLDS]
    side_by_side(stages)
    for suite in suites(corpus, attribute):
        yield from costs_of([one.chosen.out for one in stages], suite, Run(given.out, RECORDED, 0, commit()))
    for suite, among in suites(corpus, attribute).items():
        for name in ("vanilla", "pe-ft", RECORDED):
            ask = partial(settings.Recognize, attribute=attribute, among=among, bootstrap=0, suite=suite, name=name, **shared)
            asked = [
                ask(
                    fold=fold,
                    adapter=adapter(given, name, corpus, fold),
                    out=given.out / f"{name}-{corpus}-{fold}" / suite.replace("/", "-"),
                )
                for fold in FOLDS
            ]
            side_by_side(Stage(recognize, one) for one in asked)
            score = partial(Run(given.out, name, 0, commit()).score, details={"corpus": corpus})
            said = pooled(where, asked)
            found = [*recognition_scores(said.named, score, 2000, 0, attribute), *by_sex(where, said.named, score)]
            how = settings.Recognize(attribute=attribute, bootstrap=2000)
            found += preference(said.leans, [row.cluster for row in said.named], score, how)
            yield from (one.model_copy(update={"suite": suite}) for one in found)


def adapter(given: argparse.Namespace, name: str, corpus: str, fold: int) -> Path | None:
    """What is put on the vanilla model to make it the run `name`."""
    if name == "vanilla":
        return None
    tune = given.demo / "seed-0" / "tune" / "pe-ft" if name == "pe-ft" else given.out / f"{RECORDED}-{corpus}-{fold}" / "tune"
    return Path(tune / "adapter")


def frozen(given: argparse.Namespace) -> list[Score]:
    """The other road's rows of the same suites."""
    files = [given.frozen / "scores.jsonl", *(folder / "scores.jsonl" for folder in given.recorded)]
    rows = [row for path in files for row in read_rows(path, Score)]
    wanted = ("aligned", "cascade", "untagged", "words-only", "oracle", "classifier", "semantic", "statistics")
    return [row for row in rows if row.run in wanted and (row.suite.startswith("frozen") or row.suite == "content")]


def costs(given: argparse.Namespace) -> list[Score]:
    """What the trainings of both roads on simulated voices took, as the demos in `costs` say; of the same two unless others are named."""
    rows = [row for folder in given.costs or (given.demo, given.frozen) for row in read_rows(folder / "scores.jsonl", Score)]
    return [row for row in rows if row.run in ("pe-ft", "aligned") and row.suite == "cost"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--frozen", type=Path, default=Path("runs/demo-frozen"))
    parser.add_argument("--recorded", type=Path, nargs="*", default=[], help="folders of recorded.py")
    parser.add_argument("--costs", type=Path, nargs="*", default=[], help="demos whose costs are told; empty: of --demo and --frozen")
    parser.add_argument("--ravdess", type=Path)
    parser.add_argument("--speechocean762", type=Path)
    parser.add_argument("--layers", default="0-5")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/roads"))
    chosen = parser.parse_args()
    found = [*simulated(chosen), *frozen(chosen), *costs(chosen)]
    if chosen.ravdess:
        found += recorded(chosen, "ravdess", chosen.ravdess, "emotion")
    if chosen.speechocean762:
        found += recorded(chosen, "speechocean762", chosen.speechocean762, "age")
    write_rows(chosen.out / "scores.jsonl", list({(row.run, row.suite, row.metric, row.group): row for row in found}.values()))
    print(report(settings.Report(runs=[chosen.out], out=chosen.out / "report.html", title="Two roads, the same tests")))
