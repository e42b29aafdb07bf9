"""What judges that ask a chat model share: a rubric file in, strict JSON out, every verdict kept on disk and never asked twice."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from undertone.answers import Answer, Answers, Question, Schema
from undertone.endpoint import Endpoint
from undertone.evaluation.judges.base import Case, cases
from undertone.records import Judgement, Reply, Utterance


class Ruling(Schema):
    """What the model answers; the reason comes first, so that it is weighed before the verdict falls. Judges narrow `verdict`."""

    why: str
    verdict: int

    @field_validator("verdict", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        # A Literal compares by ==, and so would take true for 1 and 7.0 for 7.
        if type(value) is not int:
            raise ValueError(f"a whole number is asked for, not {value!r}")
        return value


class ChatJudge(ABC):
    """Asks a model at an OpenAI-compatible endpoint, at temperature 0. Verdicts are kept in `journal`, under everything they depend on.

    An answer that is no verdict, or a request that fails for good, is unscored with the reason; an endpoint that cannot be reached
    from the start, or turns every request away, is an EndpointError. A judge names its `kind`, its `rubric` and the `form` of its answer.
    """

    kind: ClassVar[str]
    rubric: ClassVar[str]
    form: ClassVar[type[Ruling]]

    def __init__(self, endpoint: Endpoint, journal: Path) -> None:
        self.name = f"{self.kind}:{endpoint.model}:{self.rubric}:{sha256(rubric_text(self.rubric).encode()).hexdigest()[:12]}"
        self._answers = Answers(endpoint, journal)

    @abstractmethod
    def told(self, case: Case) -> Mapping[str, str]:
        """What the model is told of a case, field by field."""

    @abstractmethod
    def unfit(self, utterance: Utterance) -> str:
        """Why replies to this utterance cannot be judged; "" where they can."""

    def judge(self, utterances: Sequence[Utterance], replies: Sequence[Reply]) -> list[Judgement]:
        """A judgement of each reply, in order; unscored, and not asked for, where the utterance is unfit."""
        rows = cases(utterances, replies)
        unfit = [self.unfit(case.utterance) for case in rows]
        questions = [self._question(case) for case, reason in zip(rows, unfit, strict=True) if not reason]
        answers = iter(self._answers.to(questions, lenient=True))
        return [
            case.judged(self.name, None, reason) if reason else self._judgement(case, next(answers))
            for case, reason in zip(rows, unfit, strict=True)
        ]

    def _question(self, case: Case) -> Question[Ruling]:
        told = json.dumps(self.told(case), ensure_ascii=False)
        messages = ({"role": "system", "content": rubric_text(self.rubric)}, {"role": "user", "content": told})
        return Question(messages, self.form, temperature=0.0)

    def _judgement(self, case: Case, answer: Answer[Ruling]) -> Judgement:
        if answer.value is None:
            return case.judged(self.name, None, answer.reason, answer.raw)
        return case.judged(self.name, answer.value.verdict, answer.value.why, answer.raw)


@cache
def rubric_text(name: str) -> str:
    """The rubric called `name`. A new wording is a new file; its hash stands in the judge's name."""
    return files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
