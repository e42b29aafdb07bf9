"""What a judge is: a name, and verdicts on replies (METHOD A.5): +1 suits the speaker, 0 neutral, −1 suits the contrast."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from undertone.records import Judgement, Reply, Utterance


class Case(NamedTuple):
    """A reply and the utterance that it answers."""

    utterance: Utterance
    reply: Reply


class Judge(Protocol):
    """Judges replies. `name` tells apart everything that can change a verdict: judge, model, rubric."""

    name: str

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """A judgement of each case, in order; `value` None where it cannot be scored, with the reason."""
        ...


def judgement(judge: str, case: Case, value: float | None, reason: str = "", raw: str = "") -> Judgement:
    """`judge`'s verdict on `case`."""
    utterance, reply = case
    if reply.utterance_id != utterance.id:
        raise ValueError(f"reply to utterance {reply.utterance_id!r} is judged against utterance {utterance.id!r}")
    return Judgement(utterance_id=utterance.id, run=reply.run, judge=judge, value=value, reason=reason, raw=raw)
