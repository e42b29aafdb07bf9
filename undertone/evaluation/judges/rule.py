"""The exact judge, for replies that come from a grammar: a reply is one of the two right ones or it is neutral."""

from collections.abc import Sequence

from undertone.evaluation.judges.base import Case, judgement
from undertone.records import Judgement
from undertone.text import normalise


class RuleJudge:
    """+1: the speaker's reply, −1: the contrast's, 0: anything else; case, punctuation and white space do not matter.

    Without a reply to compare with, or where both voices deserve the same one, nothing can be told: unscored.
    """

    name = "rule"

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """A judgement of each case, in order."""
        return [_verdict(case) for case in cases]


def _verdict(case: Case) -> Judgement:
    utterance, said = case.utterance, normalise(case.reply.text)
    if utterance.reply is None:
        return judgement(RuleJudge.name, case, None, "the utterance has no reply to compare with")
    right = normalise(utterance.reply)
    contrast = None if utterance.contrast_reply is None else normalise(utterance.contrast_reply)
    if right == contrast:
        return judgement(RuleJudge.name, case, None, "both voices have the same right reply")
    return judgement(RuleJudge.name, case, 1 if said == right else -1 if said == contrast else 0)
