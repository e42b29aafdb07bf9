"""A chat model as judge of empathy, 1 to 10 (METHOD B.4), by our own rubric (`rubric_empathy_v1.txt`): none is published [O]."""

from collections.abc import Mapping
from typing import Literal, final

from undertone.attributes import ATTRIBUTES
from undertone.evaluation.judges.base import Case
from undertone.evaluation.judges.chat import ChatJudge, Ruling
from undertone.records import Utterance

EMOTION = "emotion"
"""The attribute that the judge is told."""


class Rating(Ruling):
    """What the model answers; the reason comes first, so that it is weighed before the verdict falls."""

    verdict: Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@final
class EmpathyJudge(ChatJudge):
    """10: the reply hears how the speaker feels and answers it; 1: it does not, or is none. Unscored where nobody knows the emotion."""

    kind, rubric, form, settles = "empathy", "rubric_empathy_v1", Rating, "mean"
    of_pa = False

    def told(self, case: Case) -> Mapping[str, str]:
        """The words, how they were spoken, and the reply."""
        utterance, reply = case
        felt = ATTRIBUTES[EMOTION].value(utterance.attributes[EMOTION])
        return {"request": utterance.text, "speaker": f"the speaker {felt.note}", "reply": reply.text}

    def unfit(self, utterance: Utterance) -> str:
        """What has no emotion."""
        return "" if EMOTION in utterance.attributes else "the utterance's emotion is not known"
