"""What a judge is: a name, and verdicts on replies (METHOD A.5): +1 suits the speaker, 0 neutral, −1 suits the contrast."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from undertone.records import Judgement, Reply, Utterance


class Judge(Protocol):
    """Judges replies. `name` tells apart everything that can change a verdict: judge, model, rubric."""

    name: str

    def judge(self, utterances: Sequence[Utterance], replies: Sequence[Reply]) -> list[Judgement]:
        """A judgement of each reply to each utterance, in order; `value` None where it cannot be scored, with the reason."""
        ...


class Case(NamedTuple):
    """An utterance and the reply to it."""

    utterance: Utterance
    reply: Reply

    def judged(self, judge: str, value: float | None, reason: str = "", raw: str = "") -> Judgement:
        """`judge`'s verdict on this case."""
        return Judgement(utterance_id=self.utterance.id, run=self.reply.run, judge=judge, value=value, reason=reason, raw=raw)


def cases(utterances: Sequence[Utterance], replies: Sequence[Reply]) -> list[Case]:
    """Utterances and replies side by side; ValueError where a reply belongs to another utterance."""
    for utterance, reply in zip(utterances, replies, strict=True):
        if reply.utterance_id != utterance.id:
            raise ValueError(f"the reply to utterance {reply.utterance_id!r} stands beside utterance {utterance.id!r}")
    return [Case(utterance, reply) for utterance, reply in zip(utterances, replies, strict=True)]
