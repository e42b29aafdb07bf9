"""A study's claims, weighed: from replies, judgements and answers on disk to differences, p-values and verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.evaluation.comparison import LEVEL, Cell, Difference, Value, difference, holm, p_value, verdict
from undertone.evaluation.metrics import OF_A_VERDICT, Asked, exactly_right, preferred, suite_of
from undertone.evaluation.suites.voicebench import shares
from undertone.recipes.arms import ABROAD, ASK, Laid
from undertone.recipes.recognize import answers
from undertone.recipes.suite import answered_in
from undertone.records import CLAIMS, CONTENT, Judgement, Reply, Score, Utterance, read_rows
from undertone.reporting.study import NOT_WEIGHED, NOUGHT, ONE, OTHER
from undertone.run import Run
from undertone.settings.study import Claim, Grid
from undertone.speech.folder import read_folder

Seeds = Sequence[tuple[Path, Mapping[str, Laid]]]
"""Arms that were asked, seed by seed, each with the seed's data folder."""


class Side(NamedTuple):
    """What the trainings of an arm add to a cell, one list a training, and how many of its replies have no value."""

    trainings: list[list[Value]]
    unscored: int


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


REPLIED = (*OF_A_VERDICT, "exact", "preference")
"""Metrics that are means over replies; `wa` is one over voices that were recognised, `hs` one over VoiceBench's replies."""


def check(grid: Grid, resamples: int = 0) -> None:
    """ValueError names the first claim whose cell cannot be weighed: it is known before any training; or so few resamples that no p-value
    can be small enough."""
    if resamples and 2 * len(grid.claims) >= LEVEL * (resamples + 1):
        least = round(2 * len(grid.claims) / LEVEL)
        raise ValueError(f"bootstrap: {resamples} resamples decide none of {len(grid.claims)} claims (Holm); take {least} or more")
    for claim in grid.claims:
        for text in filter(None, (claim.cell, claim.than_cell)):
            if (metric := Cell.read(text).metric) not in (*REPLIED, "wa", "hs"):
                raise ValueError(f"claims: {claim.said!r}: {metric} is no mean over replies; compare {', '.join(REPLIED)}, wa, or hs")


def side(laid: Seeds, name: str, text: str) -> Side | None:
    """What every training of an arm adds to a cell; None where one was not run or not asked that."""
    trainings: list[list[Value]] = []
    unscored = 0
    cell = Cell.read(text)
    for data, arms in laid:
        one = arms.get(arms[name].twin or name) if name in arms else None
        abroad = cell.suite.startswith(OTHER)
        asked = one.asked(ABROAD if abroad else ASK) if one else None
        if cell.metric == "hs" and (bench := voicebench(one)):
            own, missing = bench
        elif cell.metric == "wa" and one and one.hear:
            own, missing = recognised(one.hear, read_folder(data).utterances), 0
        elif asked and cell.metric not in ("wa", "hs"):
            plain = cell._replace(suite=cell.suite.removeprefix(OTHER))
            own, missing = tallied(asked, read_folder(asked.data).utterances, plain)
        else:
            return None
        trainings.append(own)
        unscored += missing
    return Side(trainings, unscored) if any(trainings) or unscored else None


def voicebench(one: Laid | None) -> tuple[list[Value], int] | None:
    """What each reply adds to an arm's HS, and how many have none; None where VoiceBench was not asked."""
    asked = next((ask for ask in one.ask if ask.suite == "voicebench"), None) if one else None
    if asked is None:
        return None
    rows = answered_in(asked.out)
    found = [Value(value, text) for text, value in shares(rows)]
    return found, len(rows) - len(found)


def tallied(chosen: settings.Evaluate, rows: Sequence[Utterance], cell: Cell) -> tuple[list[Value], int]:
    """The values of an evaluation in `cell`, and how many of its replies have none."""
    by_id = {row.id: row for row in rows}
    replies = [reply for reply in read_rows(chosen.out / "replies.jsonl", Reply) if reply.utterance_id in by_id]
    verdicts = {one.utterance_id: one for one in read_rows(chosen.out / "judgements.jsonl", Judgement)}
    asked = [Asked(by_id[reply.utterance_id], reply, verdicts.get(reply.utterance_id)) for reply in replies]
    together = chosen.together == cell.suite
    own = [row for row in asked if (row.utterance.suite == "pa" if together else suite_of(row.utterance) == cell.suite)]
    own = [row for row in own if cell.group in ("all", row.utterance.value)]
    own = [row for row in own if (row.utterance.reply is not None if cell.metric == "exact" else row.utterance.category != CONTENT)]
    found = [Value(value, row.utterance.cluster) for row in own if (value := adds(row, cell.metric)) is not None]
    return found, len(own) - len(found)


def adds(row: Asked, metric: str) -> float | None:
    """What one reply adds to `metric`, one of `REPLIED`; None where it has none."""
    if metric in OF_A_VERDICT:
        judged = row.judgement.value if row.judgement else None
        return None if judged is None else OF_A_VERDICT[metric](judged)
    if metric == "exact":
        return float(exactly_right(row))
    return None if row.reply.preference is None else preferred(row.reply.preference)


def recognised(chosen: settings.Recognize, rows: Sequence[Utterance]) -> list[Value]:
    """Whether each voice was recognised; clusters are speakers."""
    said = {reply.utterance_id for reply in read_rows(chosen.out / "replies.jsonl", Reply)}
    found = answers(chosen, [row for row in rows if row.id in said], chosen.out / "replies.jsonl")
    return [Value(float(one.said == one.truth), one.cluster) for one in found]
