"""The judges of VoiceBench: strict, once or several times, and what several draws come to."""

import json
from pathlib import Path
from typing import Any

import pytest
from judging import case
from judging import judged as verdicts
from server import KEY, Server

from undertone.answers import Answers, Question
from undertone.endpoint import Backoff, Endpoint, EndpointError
from undertone.evaluation.judges import open_judge
from undertone.evaluation.judges.chat import ChatJudge, rubric_text, settled
from undertone.evaluation.judges.voicebench import AnswerJudge, Mark, RatingJudge

CASE = case("mix flour and eggs")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def judge(kind: type[ChatJudge], server: Server, folder: Path, draws: int = 1) -> ChatJudge:
    endpoint = Endpoint("j", server.url, key_variable="TEST_KEY", backoff=Backoff(0.01, 0.02), timeout=5.0, attempts=4, concurrency=1)
    return kind(Answers(endpoint, folder / "verdicts.jsonl"), draws)


def by_draw(*said: Any) -> Any:
    """The verdict of each draw."""
    return lambda body: {"why": f"draw {body.get('seed', 0)}", "verdict": said[body.get("seed", 0)]}


def test_a_rating_is_told_request_and_reply_under_our_rubric(tmp_path: Path) -> None:
    with Server(write=by_draw(4)) as server:
        (judgement,) = verdicts(judge(RatingJudge, server, tmp_path), [CASE])
        body = server.served[0].body
    assert judgement.value == 4
    assert judgement.judge.startswith("voicebench_rating:j:rubric_rating_v1:")
    assert (body["temperature"], body.get("seed")) == (0, None)
    assert body["messages"][0]["content"] == rubric_text("rubric_rating_v1")
    assert json.loads(body["messages"][1]["content"]) == {"request": "how do i make a pancake", "reply": "mix flour and eggs"}


def test_an_answer_is_told_the_reference(tmp_path: Path) -> None:
    with Server(write=by_draw(1)) as server:
        (judgement,) = verdicts(judge(AnswerJudge, server, tmp_path), [CASE])
        told = json.loads(server.served[0].body["messages"][1]["content"])
    assert judgement.value == 1
    assert told == {"question": "how do i make a pancake", "reference": "ask your mother", "reply": "mix flour and eggs"}


def test_without_a_reference_or_a_request_nothing_is_asked(tmp_path: Path) -> None:
    with Server() as server:
        (wrong,) = verdicts(judge(AnswerJudge, server, tmp_path), [case("x", reply=None)])
        (mute,) = verdicts(judge(RatingJudge, server, tmp_path), [case("x", text="")])
        assert not server.served
    assert (wrong.value, wrong.reason) == (None, "the question has no reference answer")
    assert (mute.value, mute.reason) == (None, "nobody wrote down what was said")


@pytest.mark.parametrize("said", [0, 6, 4.5, "4", None, True, "[[4]]"])
def test_what_is_no_rating_is_unscored(said: Any, tmp_path: Path) -> None:
    with Server(write=by_draw(said)) as server:
        (judgement,) = verdicts(judge(RatingJudge, server, tmp_path), [CASE])
    assert judgement.value is None
    assert judgement.reason.startswith("verdict: ")


def test_three_ratings_are_their_mean_and_one_that_is_none_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Server(write=by_draw(5, 3, 3)) as server:
        (judgement,) = verdicts(judge(RatingJudge, server, tmp_path / "a", 3), [CASE])
        assert {row.body["temperature"] for row in server.served} == {0.5}
    assert judgement.value == pytest.approx(11 / 3)
    assert judgement.judge.endswith(":n3")
    assert len(json.loads(judgement.raw)) == 3
    with Server(write=by_draw(5, "none", 4)) as server:
        (judgement,) = verdicts(judge(RatingJudge, server, tmp_path / "b", 3), [CASE])
    assert judgement.value == 4.5
    assert judgement.reason == "draw 0 (2 of 3 draws)"
    assert "1 of 3 draws gave no verdict (verdict: " in caplog.text


def test_the_majority_of_three_counts_and_a_tie_of_what_is_left_is_unscored(tmp_path: Path) -> None:
    with Server(write=by_draw(0, 1, 1)) as server:
        (judgement,) = verdicts(judge(AnswerJudge, server, tmp_path / "a", 3), [CASE])
    assert judgement.value == 1
    with Server(write=by_draw(0, "broken", 1)) as server:
        (judgement,) = verdicts(judge(AnswerJudge, server, tmp_path / "b", 3), [CASE])
    assert (judgement.value, judgement.reason) == (None, "no majority among 0, 1")


def test_one_draw_and_three_are_bought_apart_and_none_twice(tmp_path: Path) -> None:
    with Server(["429", "half", "", "500"], write=by_draw(5, 4, 3)) as server:
        for _ in range(2):
            assert verdicts(judge(RatingJudge, server, tmp_path, 3), [CASE])[0].value == 4
            assert verdicts(judge(RatingJudge, server, tmp_path), [CASE])[0].value == 5
        assert sorted(server.sold().values()) == [1, 1, 1, 1]


def test_majorities_and_means() -> None:
    assert settled([1, 1, -1], "majority") == 1
    assert settled([1, 0, -1], "majority") is None
    assert settled([2, 3], "mean") == 2.5


def test_a_judge_that_only_says_what_it_costs_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    opened = open_judge("voicebench_rating", {"model": "j", "key_variable": "TEST_KEY"}, tmp_path, draws=3, unasked=True)
    assert isinstance(opened, ChatJudge)
    cost = opened.cost([CASE.utterance] * 2, [CASE.reply] * 2)
    assert (cost.requests, cost.kept) == (3, 0), "equal questions are asked once"
    longer = opened.cost([CASE.utterance], [CASE.reply.model_copy(update={"text": CASE.reply.text + "x" * 300})])
    assert longer.tokens == cost.tokens + 3 * 100
    with pytest.raises(EndpointError, match="opened to estimate a cost"):
        verdicts(opened, [CASE])


def test_what_is_missing_and_what_was_bought_are_counted_once(tmp_path: Path) -> None:
    with Server(write=by_draw(5)) as server:
        answers = Answers(Endpoint("j", server.url, key_variable="TEST_KEY"), tmp_path / "v.jsonl")
        first, second = (Question(({"role": "user", "content": text},), Mark) for text in "ab")
        answers.to([first])
        assert answers.missing([first, second, second]) == [second]
        assert answers.bought([first, first, second]) == 1
