"""A chat model as judge, by our own rubric (`rubric_v1.txt`) for METHOD A.5: does the reply suit the speaker or the other one?"""

from collections.abc import Mapping
from typing import Literal, final

from undertone.attributes import ATTRIBUTES
from undertone.evaluation.judges.base import Case
from undertone.evaluation.judges.chat import ChatJudge, Ruling
from undertone.records import CONTENT, Utterance


class Verdict(Ruling):
    """What the model answers; the reason comes first, so that it is weighed before the verdict falls."""

    verdict: Literal[-1, 0, 1]


@final
class OpenAIJudge(ChatJudge):
    """+1 suits the speaker, 0 neutral, −1 suits the contrast; unscored where the speaker makes no difference by design."""

    kind, rubric, form = "openai", "rubric_v1", Verdict

    def told(self, case: Case) -> Mapping[str, str]:
        """The words, both speakers and the reply."""
        utterance, reply = case
        speaker = ATTRIBUTES[utterance.category]
        return {
            "request": utterance.text,
            "speaker": f"the speaker {speaker.value(utterance.value).note}",
            "other_speaker": f"the speaker {speaker.value(utterance.contrast or '').note}",
            "reply": reply.text,
        }

    def unfit(self, utterance: Utterance) -> str:
        """Content, and what has no contrast."""
        alone = utterance.category == CONTENT or utterance.contrast is None
        return "the utterance has no other speaker to compare with" if alone else ""
