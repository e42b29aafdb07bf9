"""Structured answers: strict, kept, never bought twice."""

from pathlib import Path
from typing import Any, Literal

import pytest
from server import KEY, TOKENS, Server

from undertone.answers import Answers, Open, Question, Schema
from undertone.endpoint import Backoff, Endpoint, EndpointError, Refused, SpendLimit, Unanswerable, Unreachable


class Verdict(Schema):
    why: str
    verdict: Literal[-1, 0, 1]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def endpoint(server: Server, **more: Any) -> Endpoint:
    settings: dict[str, Any] = {"key_variable": "TEST_KEY", "backoff": Backoff(0.01, 0.02), "timeout": 5.0, "attempts": 3, "concurrency": 1}
    return Endpoint("m", server.url, **(settings | more))


def question(reply: str) -> Question[Verdict]:
    asked = f'{{"speaker": "is a child", "other_speaker": "is an adult", "reply": "{reply}"}}'
    return Question(({"role": "user", "content": asked},), Verdict)


QUESTIONS = [question("for a child"), question("for an adult"), question("hm"), question("for a child")]


def test_answers_come_in_order_and_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with Server() as server:
        answers = Answers(endpoint(server, concurrency=3), tmp_path / "a.jsonl").to(QUESTIONS)
        assert [answer.value.verdict for answer in answers if answer.value] == [1, -1, 0, 1]
        assert set(server.sold().values()) == {1}
        assert len(server.served) == 3


def test_what_is_kept_is_not_asked_and_counts_as_spent(tmp_path: Path) -> None:
    with Server() as server:
        first = Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS)
        again = endpoint(server)
        assert Answers(again, tmp_path / "a.jsonl").to(QUESTIONS) == first
        assert again.spent == 3 * TOKENS
        assert len(server.served) == 3


def test_another_model_is_another_answer(tmp_path: Path) -> None:
    with Server() as server:
        Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS[:1])
        other = Endpoint("other", server.url, "TEST_KEY")
        Answers(other, tmp_path / "a.jsonl").to(QUESTIONS[:1])
        assert [row.body["model"] for row in server.served] == ["m", "other"]
        assert other.spent == TOKENS
    with Server() as elsewhere:
        Answers(third := endpoint(elsewhere), tmp_path / "a.jsonl").to(QUESTIONS[:1])
        assert third.spent == TOKENS, "each server counts its own"


def test_an_answer_of_another_form_is_asked_again_and_shown_what_was_wrong(tmp_path: Path) -> None:
    with Server(["schema"], write=lambda _: {"why": "so", "verdict": 1}) as server:
        client = endpoint(server)
        (answer,) = Answers(client, tmp_path / "a.jsonl").to(QUESTIONS[:1])
        assert answer.value == Verdict(why="so", verdict=1)
        assert server.served[1].body["messages"][-2]["content"] == '{"verdict": "good"}'
        assert "why: Field required" in server.served[1].body["messages"][-1]["content"]
        assert client.spent == 2 * TOKENS


@pytest.mark.parametrize(
    "wrong", [{"why": "so", "verdict": "1"}, {"why": "so", "verdict": 2}, {"why": "so", "verdict": 1, "sure": True}, []]
)
def test_the_form_is_strict_and_tries_are_limited(tmp_path: Path, wrong: Any) -> None:
    with Server(write=lambda _: wrong) as server:
        (answer,) = Answers(endpoint(server), tmp_path / "a.jsonl", tries=2).to(QUESTIONS[:1])
        assert answer.value is None
        assert answer.reason
        assert answer.raw
        assert len(server.served) == 2


def test_a_refusal_stands(tmp_path: Path) -> None:
    with Server(["refusal"]) as server:
        (answer,) = Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS[:1])
        assert answer == (None, "the model refused: I would rather not", "")
        assert len(server.served) == 1


def test_the_schema_is_sent_as_endpoints_want_it(tmp_path: Path) -> None:
    with Server() as server:
        Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS[:1])
        sent = server.served[0].body["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"]["additionalProperties"] is False
    assert sent["json_schema"]["schema"]["required"] == ["why", "verdict"]


def test_a_failure_loses_nothing_that_is_finished(tmp_path: Path) -> None:
    with Server(["", "", "400"]) as server:
        with pytest.raises(EndpointError, match="fault 400"):
            Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS)
        Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS)
        assert len(server.served) == 4
        assert set(server.sold().values()) == {1}


def test_lenient_a_failure_is_an_answer_without_value_and_asked_again_another_time(tmp_path: Path) -> None:
    with Server(["", "500", "500", "500"]) as server:
        values = [
            answer.value and answer.value.verdict for answer in Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS, lenient=True)
        ]
        assert values == [1, None, 0, 1]
        later = Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS, lenient=True)
        assert [answer.value and answer.value.verdict for answer in later] == [1, -1, 0, 1]
        assert set(server.sold().values()) == {1}


@pytest.mark.parametrize(("faults", "kind"), [(["400"] * 9, EndpointError), (["", "401-echo"], Refused)])
def test_lenient_an_endpoint_that_has_nothing_for_us_is_an_error(tmp_path: Path, faults: list[str], kind: type[EndpointError]) -> None:
    with Server(faults) as server, pytest.raises(kind, match=r"fault 400|Incorrect API key"):
        Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS, lenient=True)


def test_lenient_unreachable_from_the_start_is_an_error_at_once(tmp_path: Path) -> None:
    server = Server()
    server.rise()
    server.die()
    with pytest.raises(Unreachable, match=server.url):
        Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS, lenient=True)


def test_the_spend_limit_holds_over_restarts(tmp_path: Path) -> None:
    with Server() as server:
        for _ in range(3):
            with pytest.raises(SpendLimit):
                Answers(endpoint(server, max_tokens_spent=2 * TOKENS), tmp_path / "a.jsonl").to(QUESTIONS, lenient=True)
        assert len(server.served) == 2


def test_line_separators_in_an_answer_do_not_break_the_journal(tmp_path: Path) -> None:
    odd = {"why": "one\u2028two\x85three", "verdict": 1}
    with Server(write=lambda _: odd) as server:
        first = Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS)
        assert first[0].value == Verdict(why="one\u2028two\x85three", verdict=1)
        assert Answers(endpoint(server), tmp_path / "a.jsonl").to(QUESTIONS) == first
        assert len(server.served) == 3


def free(word: str) -> Open:
    return Open(({"role": "user", "content": word},), 9)


def test_free_answers_come_as_they_are_said_and_equal_ones_under_way_are_bought_once(tmp_path: Path) -> None:
    def say(body: dict[str, Any]) -> str:
        return f"you said {body['messages'][0]['content']}"

    with Server(write=say, seconds=0.1) as server:
        answers = Answers(endpoint(server, concurrency=4), tmp_path / "a.jsonl")
        found = dict(answers.each(["a", "b", "a", "a"], free))
        assert {word: bought.raw for word, bought in found.items()} == {"a": "you said a", "b": "you said b"}  # type: ignore[union-attr]
        assert sorted(row.body["messages"][0]["content"] for row in server.served) == ["a", "b"]
        assert {row.body["max_tokens"] for row in server.served} == {9}
        assert answers.tokens == 2 * TOKENS
        again = Answers(endpoint(server), tmp_path / "a.jsonl")
        assert len(list(again.each(["b", "a"], free))) == len(server.served) == 2


def test_what_an_endpoint_does_not_take_is_given_out_as_its_error_and_asked_again(tmp_path: Path) -> None:
    with Server(["", "400"], write=lambda body: "yes") as server:
        found = dict(Answers(endpoint(server), tmp_path / "a.jsonl").each(["a", "b", "c"], free))
        assert [word for word, one in found.items() if isinstance(one, Unanswerable)] == ["b"]
        found = dict(Answers(endpoint(server), tmp_path / "a.jsonl").each(["a", "b", "c"], free))
        assert not any(isinstance(one, Unanswerable) for one in found.values())
        assert len(server.served) == 4


def test_an_endpoint_that_takes_nothing_ends_it(tmp_path: Path) -> None:
    with Server(["400"] * 9, write=lambda body: "yes") as server:
        with pytest.raises(Unanswerable):
            list(Answers(endpoint(server), tmp_path / "a.jsonl").each(["a", "b", "c"], free))
        assert len(server.served) == 1
