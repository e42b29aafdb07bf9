"""What judges that ask a chat model share: a rubric file in, strict JSON out, every verdict kept on disk and never asked twice."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import field_validator

from undertone.answers import Answer, Answers, Question, Schema
from undertone.endpoint import BYTES_PER_TOKEN
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


HEAT = 0.5
"""Temperature where a verdict is drawn several times (FIELD: VoiceBench's own)."""
_ANSWER = 100
"""Tokens that a reason in one sentence and a verdict come to, at most, where a cost is estimated."""


class Cost(NamedTuple):
    """What judging would take: verdicts to buy, verdicts that were bought already, and about how many tokens the former cost."""

    requests: int
    kept: int
    tokens: int


class ChatJudge(ABC):
    """Asks a model at an OpenAI-compatible endpoint, at temperature 0, or several times (`draws`) at 0.5. Verdicts are kept by `answers`,
    under everything they depend on.

    An answer that is no verdict, or a request that fails for good, is unscored with the reason; an endpoint that cannot be reached
    from the start, or turns every request away, is an EndpointError. A judge names its `kind`, its `rubric` and the `form` of its answer,
    and whether the mean or the majority of several draws counts; a majority of none is unscored.
    """

    kind: ClassVar[str]
    rubric: ClassVar[str]
    form: ClassVar[type[Ruling]]
    settles: ClassVar[Literal["mean", "majority"]] = "majority"
    of_pa: ClassVar[bool] = True
    """Whether its verdicts are +1, 0 and −1 (METHOD A.5)."""

    def __init__(self, answers: Answers, draws: int = 1) -> None:
        several = f":n{draws}" if draws > 1 else ""
        digest = sha256(rubric_text(self.rubric).encode()).hexdigest()[:12]
        self.name = f"{self.kind}:{answers.endpoint.model}:{self.rubric}:{digest}{several}"
        self.draws = draws
        self._answers = answers

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
        fit = [case for case, reason in zip(rows, unfit, strict=True) if not reason]
        asked = [one for case in fit for one in self._questions(case)]
        given = self._answers.to(asked, lenient=True)
        if self.draws > 1 and (missing := [answer.reason for answer in given if answer.value is None]):
            said = "%d of %d draws gave no verdict (%s); of each reply the others count"
            logging.getLogger(__name__).warning(said, len(missing), len(given), missing[0])
        answers = iter(given)
        return [
            case.judged(self.name, None, reason) if reason else self._judgement(case, [next(answers) for _ in range(self.draws)])
            for case, reason in zip(rows, unfit, strict=True)
        ]

    def cost(self, utterances: Sequence[Utterance], replies: Sequence[Reply]) -> Cost:
        """What judging these replies would cost, from the length of what is sent; nothing is asked."""
        fit = [case for case in cases(utterances, replies) if not self.unfit(case.utterance)]
        asked = [one for case in fit for one in self._questions(case)]
        new = self._answers.missing(asked)
        return Cost(len(new), self._answers.bought(asked), sum(one.size() // BYTES_PER_TOKEN + _ANSWER for one in new))

    def _questions(self, case: Case) -> list[Question[Ruling]]:
        told = json.dumps(self.told(case), ensure_ascii=False)
        messages = ({"role": "system", "content": rubric_text(self.rubric)}, {"role": "user", "content": told})
        if self.draws == 1:
            return [Question(messages, self.form, temperature=0.0)]
        return [Question(messages, self.form, temperature=HEAT, draw=draw) for draw in range(self.draws)]

    def _judgement(self, case: Case, answers: Sequence[Answer[Ruling]]) -> Judgement:
        raw = answers[0].raw if self.draws == 1 else json.dumps([answer.raw for answer in answers], ensure_ascii=False)
        given = [answer.value for answer in answers if answer.value is not None]
        if not given:
            return case.judged(self.name, None, answers[0].reason, raw)
        value = settled([one.verdict for one in given], self.settles)
        few = f" ({len(given)} of {self.draws} draws)" if len(given) < self.draws else ""
        reason = given[0].why + few if value is not None else f"no majority among {', '.join(str(one.verdict) for one in given)}"
        return case.judged(self.name, value, reason, raw)


def settled(verdicts: Sequence[int], how: Literal["mean", "majority"]) -> float | None:
    """One verdict of several: their mean, or the one that more than half of them are, None where none is."""
    if how == "mean":
        return sum(verdicts) / len(verdicts)
    most = max(set(verdicts), key=verdicts.count)
    return most if 2 * verdicts.count(most) > len(verdicts) else None


@cache
def rubric_text(name: str) -> str:
    """The rubric called `name`. A new wording is a new file; its hash stands in the judge's name."""
    return files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
