"""What replies, verdicts and answers on disk add to a cell of a study: the values of each training, and how many replies have none."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from undertone import settings
from undertone.evaluation.comparison import Cell, Value
from undertone.evaluation.metrics import OF_A_VERDICT, Asked, exactly_right, preferred, suite_of
from undertone.evaluation.suites.voicebench import shares
from undertone.recipes.arms import ABROAD, ASK, Laid
from undertone.recipes.items import answered_in
from undertone.recipes.recognize import answers
from undertone.records import CONTENT, Judgement, Reply, Utterance, read_rows
from undertone.reporting.study import OTHER
from undertone.speech.folder import read_folder

Seeds = Sequence[tuple[Path, Mapping[str, Laid]]]
"""Arms that were asked, seed by seed, each with the seed's data folder."""

REPLIED = (*OF_A_VERDICT, "exact", "preference")
"""Metrics that are means over replies; `wa` is one over voices that were recognised, `hs` one over VoiceBench's replies."""


class Side(NamedTuple):
    """What the trainings of an arm add to a cell, one list a training, and how many of its replies have no value."""

    trainings: list[list[Value]]
    unscored: int


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
