"""A study's claims, weighed: from replies, judgements and answers on disk to differences, p-values and verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from undertone import settings
from undertone.evaluation.comparison import Cell, Difference, Value, difference, holm, p_value, verdict
from undertone.evaluation.metrics import OF_A_VERDICT, Asked, exactly_right, preferred, suite_of
from undertone.recipes.arms import Laid
from undertone.recipes.recognize import answers
from undertone.records import CLAIMS, CONTENT, Judgement, Reply, Score, Utterance, read_rows
from undertone.reporting.study import OTHER
from undertone.run import Run
from undertone.settings.study import Claim, Grid
from undertone.speech.folder import read_folder

Seeds = Sequence[tuple[Path, Mapping[str, Laid]]]
"""Arms that were asked, seed by seed, each with the seed's data folder."""


def weighed(grid: Grid, run: Run, laid: Seeds, resamples: int = 2000) -> Iterator[Score]:
    """One row a claim, its p-value adjusted for all claims that could be weighed."""
    found: list[tuple[Claim, Difference]] = []
    for claim in grid.claims:
        sides = [values(laid, claim.of, claim.cell), values(laid, claim.than, claim.than_cell or claim.cell) if claim.than else []]
        if sides[0] is not None and sides[1] is not None:
            found.append((claim, difference(sides[0], sides[1], claim.margin, resamples, run.seed)))
    adjusted = holm([p_value(apart, claim.lies, claim.margin) for claim, apart in found])
    for (claim, apart), p in zip(found, adjusted, strict=True):
        told = {"than": claim.than, "cell": claim.cell, "lies": claim.lies, "margin": claim.margin, "p": p, "trainings": len(laid)}
        told |= {"verdict": verdict(apart, claim.lies, claim.margin, p), "than_cell": claim.than_cell}
        told |= {"least": min(apart.trainings), "most": max(apart.trainings)}
        row = run._replace(name=claim.of).score
        yield row(CLAIMS, "difference", claim.said, apart.value, apart.n, low=apart.low, high=apart.high, details=told)


def values(laid: Seeds, name: str, text: str) -> list[list[Value]] | None:
    """What every training of an arm adds to a cell; None where one was not run or not asked that."""
    found: list[list[Value]] = []
    cell = Cell.read(text)
    for data, arms in laid:
        one = arms.get(arms[name].twin or name) if name in arms else None
        parts = one.ask if one else ()
        if cell.metric == "wa":
            own = recognised(one.hear, read_folder(data).utterances) if one and one.hear else []
        elif cell.suite.startswith(OTHER):
            plain = cell._replace(suite=cell.suite.removeprefix(OTHER))
            own = tallied(parts[1], read_folder(parts[1].data).utterances, plain) if len(parts) > 1 else []
        else:
            own = tallied(parts[0], read_folder(data).utterances, cell) if parts else []
        if not own:
            return None
        found.append(own)
    return found


def tallied(chosen: settings.Evaluate, rows: Sequence[Utterance], cell: Cell) -> list[Value]:
    """The values of an evaluation in `cell`, unscored replies left out."""
    by_id = {row.id: row for row in rows}
    replies = [reply for reply in read_rows(chosen.out / "replies.jsonl", Reply) if reply.utterance_id in by_id]
    verdicts = {one.utterance_id: one for one in read_rows(chosen.out / "judgements.jsonl", Judgement)}
    asked = [Asked(by_id[reply.utterance_id], reply, verdicts.get(reply.utterance_id)) for reply in replies]
    together = chosen.together == cell.suite
    own = [row for row in asked if (row.utterance.suite == "pa" if together else suite_of(row.utterance) == cell.suite)]
    own = [row for row in own if cell.group in ("all", row.utterance.value)]
    return [Value(value, row.utterance.cluster) for row in own if (value := adds(row, cell.metric)) is not None]


def adds(row: Asked, metric: str) -> float | None:
    """What one reply adds to `metric`; None where it has none. ValueError where the metric is no mean over replies."""
    if metric in OF_A_VERDICT:
        judged = row.judgement.value if row.judgement and row.utterance.category != CONTENT else None
        return None if judged is None else OF_A_VERDICT[metric](judged)
    if metric == "exact":
        return float(exactly_right(row)) if row.utterance.reply is not None else None
    if metric == "preference":
        return None if row.reply.preference is None else preferred(row.reply.preference)
    raise ValueError(f"{metric}: no mean over replies; compare {', '.join(OF_A_VERDICT)}, exact, preference, or wa of what was recognised")


def recognised(chosen: settings.Recognize, rows: Sequence[Utterance]) -> list[Value]:
    """Whether each voice was recognised; clusters are speakers."""
    said = {reply.utterance_id for reply in read_rows(chosen.out / "replies.jsonl", Reply)}
    found = answers(chosen, [row for row in rows if row.id in said], chosen.out / "replies.jsonl")
    return [Value(float(one.said == one.truth), one.cluster) for one in found]
