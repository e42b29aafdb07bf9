"""Judges, one a file, and the one table that names them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertone.answers import Answers
from undertone.endpoint import Endpoint, Unasked
from undertone.evaluation.judges.base import Judge
from undertone.evaluation.judges.chat import ChatJudge
from undertone.lookup import resolve

JUDGES = {
    "rule": "undertone.evaluation.judges.rule:RuleJudge",
    "empathy": "undertone.evaluation.judges.empathy:EmpathyJudge",
    "openai": "undertone.evaluation.judges.openai:OpenAIJudge",
    "voicebench_rating": "undertone.evaluation.judges.voicebench:RatingJudge",
    "voicebench_answer": "undertone.evaluation.judges.voicebench:AnswerJudge",
}


def open_judge(name: str, endpoint: Mapping[str, Any], folder: Path, draws: int = 1, unasked: bool = False) -> Judge:
    """The judge called `name`; one that asks a model sits at `endpoint` (arguments of `Endpoint`) and keeps its verdicts in `folder`.

    `draws` verdicts on each reply are asked for; an `unasked` judge only says what it would cost and needs no key.
    """
    return open_judges({name: (name, endpoint)}, folder, draws, unasked)[name]


def open_judges(
    wanted: Mapping[str, tuple[str, Mapping[str, Any]]], folder: Path, draws: int = 1, unasked: bool = False
) -> dict[str, Judge]:
    """As `open_judge`, several: what each is to be called → its name and its endpoint. Judges at one endpoint share its spend limit."""
    shared: dict[str, Answers] = {}
    opened: dict[str, Judge] = {}
    for called, (name, endpoint) in wanted.items():
        kind = resolve(JUDGES, name, "judge")
        if isinstance(kind, type) and issubclass(kind, ChatJudge):
            place = repr(sorted(endpoint.items()))
            if place not in shared:
                asked = Unasked(endpoint["model"], endpoint.get("base_url")) if unasked else Endpoint(**endpoint)
                shared[place] = Answers(asked, folder / "verdicts.jsonl")
            opened[called] = kind(shared[place], draws)
        else:
            opened[called] = kind()
    return opened
