"""Claims of a study that are counted and not weighed: nothing is drawn, so they have no interval and no p."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from undertone.recipes.arms import Laid
from undertone.recipes.ground import Ground
from undertone.records import CLAIMS, Score, read_rows
from undertone.run import Run
from undertone.settings.study import Fact, Grid

NEAR = 1
"""How many layers off a published depth still is that depth."""


def established(grid: Grid, run: Run, laid: Sequence[tuple[Ground, Mapping[str, Laid]]]) -> Iterator[Score]:
    """One row a fact of which anything is known."""
    for fact in grid.facts:
        found = at_depth(fact, [ground for ground, _ in laid]) if fact.layer else always(fact, laid)
        if found:
            told, holds = found
            verdict = "supported" if all(holds) else "undecided" if fact.layer and any(holds) else "not supported"
            score = partial(run._replace(name=fact.layer or fact.metric).score, CLAIMS, "share", fact.said)
            yield score(sum(holds) / len(holds), len(holds), details={"counted": told, "verdict": verdict, "trainings": len(laid)})


def always(fact: Fact, laid: Sequence[tuple[Ground, Mapping[str, Laid]]]) -> tuple[str, list[bool]] | None:
    """Whether the metric is 1 in every training."""
    folders = [one.train.out for _, arms in laid for one in arms.values() if one.train and not one.twin]
    rows = [row for folder in folders for row in read_rows(folder / "scores.jsonl", Score) if row.metric == fact.metric]
    holds = [row.value == 1 for row in rows]
    return (f"{sum(holds)} of {len(holds)} trainings", holds) if holds else None


def at_depth(fact: Fact, grounds: Sequence[Ground]) -> tuple[str, list[bool]] | None:
    """Whether the layer that the analysis chose lies where it was published, as a share of the depth, to the next layer. One base that is
    analysed with other voices is no second base."""
    found = [(int(one.layers[fact.layer]), int(one.layers["depth"])) for one in grounds if {fact.layer, "depth"} <= one.layers.keys()]
    holds = [abs(layer - fact.at * depth) <= NEAR for layer, depth in found]
    told = ", ".join(f"layer {layer} of {depth}" for layer, depth in dict.fromkeys(found))
    return (f"{told}; published {fact.at:.2f} of the depth", holds) if found else None
