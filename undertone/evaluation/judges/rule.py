"""The exact judge, for replies that come from a grammar: a reply is one of the two right ones or it is neutral."""

from collections.abc import Sequence

from undertone.evaluation.judges.base import Case, cases
from undertone.records import CONTENT, Judgement, Reply, Utterance
from undertone.text import normalise


class RuleJudge:
    """+1: the speaker's reply, −1: the contrast's, 0: anything else; case, punctuation and white space do not matter.

    Without both replies to compare with, or where both voices deserve the same one, nothing can be told: unscored. Content has one
    right reply whoever asks.
    """

    name = "rule"

    def judge(self, utterances: Sequence[Utterance], replies: Sequence[Reply]) -> list[Judgement]:
        """A judgement of each reply, in order."""
        return [_verdict(case) for case in cases(utterances, replies)]


def _verdict(case: Case) -> Judgement:
    utterance, said = case.utterance, normalise(case.reply.text)
    if utterance.reply is None:
        return case.judged(RuleJudge.name, None, "the utterance has no reply to compare with")
    if utterance.contrast_reply is None and utterance.category != CONTENT:
        return case.judged(RuleJudge.name, None, "the utterance has no contrast_reply, so a wrong reply and a neutral one look alike")
    right = normalise(utterance.reply)
    contrast = None if utterance.contrast_reply is None else normalise(utterance.contrast_reply)
    if right == contrast:
        return case.judged(RuleJudge.name, None, "both voices have the same right reply")
    return case.judged(RuleJudge.name, 1 if said == right else -1 if said == contrast else 0)
