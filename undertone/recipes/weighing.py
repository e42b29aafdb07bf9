"""A study's claims, weighed: from replies, judgements and answers on disk to differences, p-values and verdicts."""

from collections.abc import Iterator, Sequence
from functools import partial

from undertone.evaluation.comparison import LEVEL, Cell, Difference, difference, holm, p_value, verdict
from undertone.recipes.tallying import REPLIED, Seeds, Side, side
from undertone.records import CLAIMS, Score
from undertone.reporting.study import NOT_WEIGHED, NOUGHT, ONE
from undertone.run import Run
from undertone.settings.study import Claim, Grid


def weighed(grid: Grid, run: Run, laid: Seeds, resamples: int = 2000) -> Iterator[Score]:
    """One row a claim whose arms were asked, its p-value adjusted for all claims that could be weighed; of one that could not the row says
    why."""
    check(grid)
    found: list[tuple[Claim, Difference | str, int]] = []
    for claim in grid.claims:
        ours = side(laid, claim.of, claim.cell)
        theirs = side(laid, claim.than, claim.than_cell or claim.cell) if claim.than else Side([], 0)
        if ours is not None and theirs is not None:
            apart = vain(claim, laid, ours, theirs) or difference(ours.trainings, theirs.trainings, claim.margin, resamples, run.seed)
            found.append((claim, apart, ours.unscored + theirs.unscored))
    adjusted = iter(holm([p_value(apart, claim.lies, claim.margin) for claim, apart, _ in found if isinstance(apart, Difference)]))
    for claim, apart, unscored in found:
        told = {"than": claim.than, "cell": claim.cell, "lies": claim.lies, "margin": claim.margin, "than_cell": claim.than_cell}
        row = partial(run._replace(name=claim.of).score, CLAIMS, "difference", claim.said, unscored=unscored)
        if isinstance(apart, str):
            yield row(None, 0, details=told | {"verdict": apart, "trainings": len(laid)})
            continue
        p = next(adjusted)
        told |= {"p": p, "verdict": verdict(apart, claim.lies, claim.margin, p), "trainings": len(laid)}
        told |= {"least": min(apart.trainings), "most": max(apart.trainings)}
        yield row(apart.value, apart.n, low=apart.low, high=apart.high, details=told)


def vain(claim: Claim, laid: Seeds, ours: Side, theirs: Side) -> str:
    """Why the two sides cannot be weighed, a verdict of its own; empty: they can."""
    if not (all(ours.trainings) and all(theirs.trainings)):
        return NOT_WEIGHED
    if claim.cell == (claim.than_cell or claim.cell) and claim.than:
        both = [{arms[name].twin or name for name in (claim.of, claim.than)} for _, arms in laid]
        if all(len(one) == 1 for one in both):
            return ONE
    exact = Cell.read(claim.cell).metric == "exact" and claim.than
    right = any(value.value for one in (*ours.trainings, *theirs.trainings) for value in one)
    return NOUGHT if exact and not right else ""


def check(grid: Grid, resamples: int = 0, arms: Sequence[str] = ()) -> None:
    """ValueError names the first claim whose cell cannot be weighed: it is known before any training; or so few resamples that no p-value
    of the claims about `arms` (none: all) can be small enough."""
    claims = sum({claim.of, claim.than} <= {*(arms or grid.arms), ""} for claim in grid.claims)
    if resamples and 2 * claims >= LEVEL * (resamples + 1):
        enough = round(2 * claims / LEVEL)
        raise ValueError(f"bootstrap: {resamples} resamples decide none of {claims} claims (Holm); take {enough} or more")
    for claim in grid.claims:
        for text in filter(None, (claim.cell, claim.than_cell)):
            if (metric := Cell.read(text).metric) not in (*REPLIED, "wa", "hs"):
                raise ValueError(f"claims: {claim.said!r}: {metric} is no mean over replies; compare {', '.join(REPLIED)}, wa, or hs")
