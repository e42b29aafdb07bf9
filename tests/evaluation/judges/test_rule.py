"""The exact judge."""

from pathlib import Path

import pytest
from judging import case, judged

from undertone.evaluation.judges import JUDGES, open_judge
from undertone.evaluation.judges.rule import RuleJudge


@pytest.mark.parametrize(
    ("said", "value"), [("Ask your mother!", 1), ("  ask YOUR mother", 1), ("heat the oven.", -1), ("ask your father", 0), ("", 0)]
)
def test_verdicts(said: str, value: int) -> None:
    (row,) = judged(RuleJudge(), [case(said)])
    assert row.value == value
    assert (row.utterance_id, row.run, row.judge) == ("u", "vanilla", "rule")


def test_the_same_reply_for_both_is_unscored_with_reason() -> None:
    (row,) = judged(RuleJudge(), [case("ask your mother", contrast_reply="Ask your mother.")])
    assert (row.value, row.reason) == (None, "both voices have the same right reply")


def test_no_right_reply_is_unscored_with_reason() -> None:
    (row,) = judged(RuleJudge(), [case("ask your mother", reply=None)])
    assert row.value is None
    assert "no reply" in row.reason


@pytest.mark.parametrize("said", ["ask your mother", "heat the oven", "hm"])
def test_no_reply_of_the_contrast_is_unscored_with_reason(said: str) -> None:
    (row,) = judged(RuleJudge(), [case(said, contrast_reply=None)])
    assert row.value is None, "neutral and wrong cannot be told apart, and +1 alone would make every score rise"
    assert "no contrast_reply" in row.reason


def test_attribute_free_replies_are_right_or_neutral() -> None:
    free = {"category": "content", "contrast": None, "contrast_reply": None, "reply": "two"}
    assert [row.value for row in judged(RuleJudge(), [case("Two.", **free), case("three", **free)])] == [1, 0]


def test_a_reply_to_another_utterance_is_an_error() -> None:
    utterance, reply = case("ask your mother")
    with pytest.raises(ValueError, match="'v' stands beside utterance 'u'"):
        judged(RuleJudge(), [type(case(""))(utterance, reply.model_copy(update={"utterance_id": "v"}))])


@pytest.mark.parametrize("name", JUDGES)
def test_every_row_of_the_table_opens(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "any")
    judge = open_judge(name, {"model": "m", "key_variable": "TEST_KEY", "base_url": "http://127.0.0.1:1/v1"}, tmp_path)
    assert judge.name.startswith(name)
