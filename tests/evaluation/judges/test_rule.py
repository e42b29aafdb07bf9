"""The exact judge."""

import pytest

from tests.evaluation.judges.cases import case
from undertone.evaluation.judges import JUDGES
from undertone.evaluation.judges.rule import RuleJudge
from undertone.lookup import resolve


@pytest.mark.parametrize(
    ("said", "value"), [("Ask your mother!", 1), ("  ask YOUR mother", 1), ("heat the oven.", -1), ("ask your father", 0), ("", 0)]
)
def test_verdicts(said: str, value: int) -> None:
    (judged,) = RuleJudge().judge([case(said)])
    assert judged.value == value
    assert (judged.utterance_id, judged.run, judged.judge) == ("u", "vanilla", "rule")


def test_the_same_reply_for_both_is_unscored_with_reason() -> None:
    (judged,) = RuleJudge().judge([case("ask your mother", contrast_reply="Ask your mother.")])
    assert (judged.value, judged.reason) == (None, "both voices have the same right reply")


def test_no_right_reply_is_unscored_with_reason() -> None:
    (judged,) = RuleJudge().judge([case("ask your mother", reply=None)])
    assert judged.value is None
    assert "no reply" in judged.reason


def test_attribute_free_replies_are_right_or_neutral() -> None:
    free = {"category": "content", "contrast": None, "contrast_reply": None, "reply": "two"}
    assert [judged.value for judged in RuleJudge().judge([case("Two.", **free), case("three", **free)])] == [1, 0]


def test_a_reply_to_another_utterance_is_an_error() -> None:
    utterance, reply = case("ask your mother")
    with pytest.raises(ValueError, match="'v' is judged against utterance 'u'"):
        RuleJudge().judge([type(case(""))(utterance, reply.model_copy(update={"utterance_id": "v"}))])


@pytest.mark.parametrize("name", JUDGES)
def test_every_row_of_the_table_opens(name: str) -> None:
    assert callable(resolve(JUDGES, name, "judge").judge)
