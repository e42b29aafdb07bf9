"""Cases to judge."""

from collections.abc import Sequence
from typing import Any

from undertone.evaluation.judges.base import Case, Judge
from undertone.records import Judgement, Reply, Utterance

CHILD: dict[str, Any] = {
    "id": "u",
    "text": "how do i make a pancake",
    "file_name": "u.flac",
    "seconds": 1.0,
    "attributes": {"age": "child", "gender": "male"},
    "speaker": "s1",
    "source": "espeak",
    "split": "test",
    "category": "age",
    "contrast": "adult",
    "reply": "ask your mother",
    "contrast_reply": "heat the oven",
    "content_reply": "heat the oven",
}


def case(said: str, **changes: Any) -> Case:
    """A child's request and `said`."""
    utterance = Utterance(**(CHILD | changes))
    return Case(utterance, Reply(utterance_id=utterance.id, run="vanilla", text=said))


def judged(judge: Judge, cases: Sequence[Case]) -> list[Judgement]:
    """`judge`'s judgements of `cases`."""
    return judge.judge([case.utterance for case in cases], [case.reply for case in cases])
