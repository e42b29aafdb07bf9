"""`undertone study`: train every arm of a grid with every seed, ask all of them the same, fill the papers' tables, weigh their claims.

Finished trainings and replies are not made again; what differs between arms is what the grid says and nothing else.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from undertone import settings
from undertone.models import device_name
from undertone.recipes import pricing
from undertone.recipes.align import align
from undertone.recipes.arms import ABROAD, ALSO, Laid, lay_out
from undertone.recipes.evaluate import evaluate
from undertone.recipes.facts import established
from undertone.recipes.finetune import finetune
from undertone.recipes.ground import Ground, before_speaking, ground_of, refuse_mixture, share_out
from undertone.recipes.judging import asks_a_model
from undertone.recipes.recognize import recognize
from undertone.recipes.report import report
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.recipes.weighing import check, weighed
from undertone.records import Score, read_rows
from undertone.reporting.study import OTHER, page
from undertone.run import open_run, provenance, write_atomic, write_rows
from undertone.settings.study import Grid


def study(chosen: settings.Study) -> Path | None:
    """Run the grid; returns the report. Rows go to OUT/scores.jsonl, tables and claims to OUT/study.md. With `estimate_cost` it only prints
    what the judges would cost."""
    check(grid := settings.read_grid(chosen.grid), chosen.bootstrap, chosen.arms)
    if chosen.estimate_cost:
        estimate(chosen, grid)
        return None
    run = open_run(chosen.out, "study", chosen.model_dump(mode="json"), chosen.seeds[0], device_name(""), usual=chosen.usual())
    refuse_mixture(run.folder, provenance())
    lay_out(chosen, grid, before_speaking(run.folder, chosen, chosen.seeds[0]))  # a setting that nobody knows is known before hours of work
    laid: list[tuple[Ground, dict[str, Laid]]] = []
    for seed in chosen.seeds:
        ground = ground_of(chosen, grid, run.folder / f"seed-{seed}", seed)
        arms = lay_out(chosen, grid, ground)
        laid.append((ground, arms))
        share_out(ground, {one.train.data for one in arms.values() if one.train})
        own = [one for one in arms.values() if not one.twin]
        say(f"seed {seed}: training {', '.join(one.name for one in own if one.train)}")
        side_by_side(Stage(finetune if grid.recipe == "finetune" else align, one.train) for one in own if one.train)
        say(f"seed {seed}: asking {', '.join(one.name for one in own)}")
        judged = [ask for one in own for ask in one.ask if asks_a_model(ask)]
        for ask in judged:  # one after another: what one of them buys, the next one has
            evaluate(ask)
        asked = [Stage(evaluate, ask) for one in own for ask in one.ask if ask not in judged]
        side_by_side([*asked, *(Stage(recognize, one.hear) for one in own if one.hear)])
    refuse_mixture(run.folder)
    rows = [row for _, arms in laid for one in arms.values() for row in scores(one, arms)]
    rows += weighed(grid, run, [(ground.data, arms) for ground, arms in laid], chosen.bootstrap)
    rows += established(grid, run, laid)
    write_rows(run.folder / "scores.jsonl", rows)
    write_atomic(run.folder / "study.md", page(rows, grid, str(run.folder / "scores.jsonl")))
    print(f"study: {run.folder / 'study.md'}")
    for name in ("layers.jsonl", "selection.json"):  # of the first seed, for the page's curves
        if (found := laid[0][0].folder / "analyze" / name).exists():
            write_atomic(run.folder / name, found.read_bytes())
    return report(settings.Report(runs=[run.folder], out=run.folder / "report.html", title=f"Study {chosen.grid}"))


def estimate(chosen: settings.Study, grid: Grid) -> None:
    """Print what the judges of all arms and seeds would cost."""
    if not chosen.data:
        raise ValueError("estimate_cost: the texts of the test are not written yet; name a folder that holds them with data")
    grounds = [before_speaking(chosen.out / f"seed-{seed}", chosen, seed) for seed in chosen.seeds]
    laid = [one for ground in grounds for one in lay_out(chosen, grid, ground).values() if not one.twin]
    asked = [ask for one in laid for ask in one.ask]
    pricing.say_all(ask for ask in asked if ask.out.parent.name != ABROAD)
    if others := sum(ask.out.parent.name == ABROAD for ask in asked):
        print(f"not in it: the test in other voices, asked {others} times, whose texts are not written yet")


def scores(one: Laid, arms: Mapping[str, Laid]) -> Iterator[Score]:
    """The rows of an arm, or of its twin under its own name; where [also.NAME] scores what was scored, its suites begin with NAME."""
    source = arms[one.twin] if one.twin else one
    folders = [part.out for part in (source.train, *source.ask, source.hear) if part]
    known: set[tuple[str, str, str]] = set()
    for folder in folders:
        kind = folder.parent.name
        rows = list(read_rows(folder / "scores.jsonl", Score))
        further = kind == ABROAD or kind.startswith(ALSO)
        if further:  # an arm's cost is that of its own test
            rows = [row for row in rows if row.suite != "cost"]
        places = {(row.suite, row.metric, row.group) for row in rows}
        before = OTHER if kind == ABROAD else f"{kind.removeprefix(ALSO)}/" if further and places & known else ""
        known |= places if not before else set()
        yield from (row.model_copy(update={"run": one.name, "suite": before + row.suite}) for row in rows)
