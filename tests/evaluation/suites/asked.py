"""Items, replies and verdicts for the tests of suites."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from undertone.evaluation.suites.base import Answered, Item, Scoring
from undertone.records import Judgement, Reply, Score, Utterance
from undertone.run import Run

HOW = Scoring(Run(Path(), "r", 0, "c").score, 100, 0)


def item(number: int, suite: str, reply: str | None = None, facts: dict[str, Any] | None = None, **more: Any) -> Item:
    """An item; `more` changes fields of its utterance."""
    fields = {
        "id": f"i{number}",
        "text": f"question {number}",
        "file_name": "",
        "seconds": 1.0,
        "attributes": {},
        "speaker": f"s{number}",
        "source": "test",
        "split": "test",
        "reply": reply,
    }
    return Item(Utterance.model_validate(fields | more), suite, facts or {})


def answered(one: Item, said: str, verdict: float | None = None, judge: str = "") -> Answered:
    """The reply `said` to an item, with a verdict where a judge is named."""
    name = one.utterance.id
    judgement = Judgement(utterance_id=name, run="r", judge=judge, value=verdict, reason="so") if judge else None
    return Answered(one, Reply(utterance_id=name, run="r", text=said), judgement)


def found(scores: Iterable[Score]) -> dict[tuple[str, str, str], tuple[float | None, int, int]]:
    """(suite, metric, group) → value, n, unscored."""
    rows = list(scores)
    table = {(row.suite, row.metric, row.group): (row.value, row.n, row.unscored) for row in rows}
    assert len(table) == len(rows), "two scores of one name"
    return table
