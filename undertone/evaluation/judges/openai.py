"""A chat model as judge, by our own rubric (`rubric_v1.txt`) for METHOD A.5. Every verdict is kept on disk and never asked twice."""

import json
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Literal

from undertone.answers import Answer, Answers, Question, Schema
from undertone.attributes import ATTRIBUTES
from undertone.endpoint import Endpoint
from undertone.evaluation.judges.base import Case, cases
from undertone.records import CONTENT, Judgement, Reply, Utterance

RUBRIC = "rubric_v1"


class Verdict(Schema):
    """What the model answers; the reason comes first, so that it is weighed before the verdict falls."""

    why: str
    verdict: Literal[-1, 0, 1]


class OpenAIJudge:
    """Asks a model at an OpenAI-compatible endpoint, at temperature 0. Verdicts are kept in `journal`, under everything they depend on.

    An answer that is no verdict, or a request that fails for good, is unscored with the reason; an endpoint that cannot be reached
    from the start, or turns every request away, is an EndpointError.
    """

    def __init__(self, endpoint: Endpoint, journal: Path) -> None:
        self.name = f"openai:{endpoint.model}:{RUBRIC}:{sha256(rubric().encode()).hexdigest()[:12]}"
        self._answers = Answers(endpoint, journal)

    def judge(self, utterances: Sequence[Utterance], replies: Sequence[Reply]) -> list[Judgement]:
        """A judgement of each reply, in order; unscored where the speaker makes no difference by design."""
        rows = cases(utterances, replies)
        unfit = [_unfit(case.utterance) for case in rows]
        questions = [_question(case) for case, reason in zip(rows, unfit, strict=True) if not reason]
        answers = iter(self._answers.to(questions, lenient=True))
        return [
            case.judged(self.name, None, reason) if reason else self._judgement(case, next(answers))
            for case, reason in zip(rows, unfit, strict=True)
        ]

    def _judgement(self, case: Case, answer: Answer[Verdict]) -> Judgement:
        if answer.value is None:
            return case.judged(self.name, None, answer.reason, answer.raw)
        return case.judged(self.name, answer.value.verdict, answer.value.why, answer.raw)


@cache
def rubric() -> str:
    """The rubric's text. A new wording is a new file; its hash stands in the judge's name."""
    return files(__package__).joinpath(f"{RUBRIC}.txt").read_text(encoding="utf-8")


def _unfit(utterance: Utterance) -> str:
    alone = utterance.category == CONTENT or utterance.contrast is None
    return "the utterance has no other speaker to compare with" if alone else ""


def _question(case: Case) -> Question[Verdict]:
    utterance, reply = case
    speaker = ATTRIBUTES[utterance.category]
    told = {
        "request": utterance.text,
        "speaker": f"the speaker {speaker.value(utterance.value).note}",
        "other_speaker": f"the speaker {speaker.value(utterance.contrast or '').note}",
        "reply": reply.text,
    }
    messages = ({"role": "system", "content": rubric()}, {"role": "user", "content": json.dumps(told, ensure_ascii=False)})
    return Question(messages, Verdict, temperature=0.0)
