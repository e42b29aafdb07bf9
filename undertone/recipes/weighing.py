"""A study's claims, weighed: from replies, judgements and answers on disk to differences, p-values and verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.evaluation.comparison import Cell, Difference, Value, difference, holm, p_value, verdict
from undertone.evaluation.metrics import OF_A_VERDICT, Asked, exactly_right, preferred, suite_of
from undertone.recipes.arms import ABROAD, ASK, Laid
from undertone.recipes.recognize import answers
from undertone.records import CLAIMS, CONTENT, Judgement, Reply, Score, Utterance, read_rows
from undertone.reporting.study import NOT_WEIGHED, OTHER
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
    """One row a claim whose arms were asked, its p-value adjusted for all claims that could be weighed; of one that could not, for want of
    a value, the row says so."""
    check(grid)
    found: list[tuple[Claim, Difference | None, int]] = []
    for claim in grid.claims:
        ours = side(laid, claim.of, claim.cell)
        theirs = side(laid, claim.than, claim.than_cell or claim.cell) if claim.than else Side([], 0)
        if ours is not None and theirs is not None:
            able = all(ours.trainings) and all(theirs.trainings)
            apart = difference(ours.trainings, theirs.trainings, claim.margin, resamples, run.seed) if able else None
            found.append((claim, apart, ours.unscored + theirs.unscored))
    adjusted = iter(holm([p_value(apart, claim.lies, claim.margin) for claim, apart, _ in found if apart]))
    for claim, apart, unscored in found:
        told = {"than": claim.than, "cell": claim.cell, "lies": claim.lies, "margin": claim.margin, "than_cell": claim.than_cell}
        row = partial(run._replace(name=claim.of).score, CLAIMS, "difference", claim.said, unscored=unscored)
        if apart is None:
            yield row(None, 0, details=told | {"verdict": NOT_WEIGHED, "trainings": len(laid)})
            continue
        p = next(adjusted)
        told |= {"p": p, "verdict": verdict(apart, claim.lies, claim.margin, p), "trainings": len(laid)}
        told |= {"least": min(apart.trainings), "most": max(apart.trainings)}
        yield row(apart.value, apart.n, low=apart.low, high=apart.high, details=told)


REPLIED = (*OF_A_VERDICT, "exact", "preference")
"""Metrics that are means over replies; `wa` is one over voices that were recognised."""


def check(grid: Grid) -> None:
    """ValueError names the first claim whose cell cannot be weighed: it is known before any training."""
    for claim in grid.claims:
        for text in filter(None, (claim.cell, claim.than_cell)):
            if (metric := Cell.read(text).metric) not in (*REPLIED, "wa"):
                raise ValueError(f"claims: {claim.said!r}: {metric} is no mean over replies; compare {', '.join(REPLIED)}, or wa")


def side(laid: Seeds, name: str, text: str) -> Side | None:
    """What every training of an arm adds to a cell; None where one was not run or not asked that."""
    trainings: list[list[Value]] = []
    unscored = 0
    cell = Cell.read(text)
    for data, arms in laid:
        one = arms.get(arms[name].twin or name) if name in arms else None
        abroad = cell.suite.startswith(OTHER)
        asked = one.asked(ABROAD if abroad else ASK) if one else None
        if cell.metric == "wa" and one and one.hear:
            own, missing = recognised(one.hear, read_folder(data).utterances), 0
        elif asked and cell.metric != "wa":
            plain = cell._replace(suite=cell.suite.removeprefix(OTHER))
            own, missing = tallied(asked, read_folder(asked.data).utterances, plain)
        else:
            return None
        trainings.append(own)
        unscored += missing
    return Side(trainings, unscored) if any(trainings) or unscored else None


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
