"""The two judges of VoiceBench, by rubrics of ours: a rating from 1 to 5 of open replies, and whether an answer agrees with a reference."""

from collections.abc import Mapping
from typing import Literal, final

from undertone.evaluation.judges.base import Case
from undertone.evaluation.judges.chat import ChatJudge, Ruling
from undertone.records import Utterance


class Mark(Ruling):
    """A rating; the reason comes first, so that it is weighed before the verdict falls."""

    verdict: Literal[1, 2, 3, 4, 5]


class RightOrWrong(Ruling):
    """Right or wrong; the reason comes first, so that it is weighed before the verdict falls."""

    verdict: Literal[0, 1]


@final
class RatingJudge(ChatJudge):
    """5: right, complete and to the point; 1: no answer. Of several draws the mean counts, as in the official evaluator."""

    kind, rubric, form, settles = "voicebench_rating", "rubric_rating_v1", Mark, "mean"
    of_pa = False

    def told(self, case: Case) -> Mapping[str, str]:
        """The request and the reply."""
        return {"request": case.utterance.text, "reply": case.reply.text}

    def unfit(self, utterance: Utterance) -> str:
        """What was said must be known."""
        return "" if utterance.text else "nobody wrote down what was said"


@final
class AnswerJudge(ChatJudge):
    """1: the reply says what the reference says, 0: it does not. Of several draws the majority counts; a tie is unscored."""

    kind, rubric, form, settles = "voicebench_answer", "rubric_answer_v1", RightOrWrong, "majority"
    of_pa = False

    def told(self, case: Case) -> Mapping[str, str]:
        """The question, the reference and the reply."""
        return {"question": case.utterance.text, "reference": case.utterance.reply or "", "reply": case.reply.text}

    def unfit(self, utterance: Utterance) -> str:
        """Without a reference nothing can be compared."""
        return "" if utterance.reply else "the question has no reference answer"
