"""The judge that asks a model, against a server that misbehaves."""

from pathlib import Path
from typing import Any

import pytest
from judging import case
from judging import judged as verdicts
from server import KEY, Server

from undertone.answers import Answers
from undertone.endpoint import Backoff, Endpoint, Refused, Unreachable
from undertone.evaluation.judges.chat import rubric_text
from undertone.evaluation.judges.openai import OpenAIJudge
from undertone.records import Judgement

OTHERS: dict[str, Any] = {"id": "f", "category": "emotion", "attributes": {"emotion": "fearful"}, "contrast": "angry"}
CASES = [case("good for a child"), case("good for an adult"), case("heat it"), case("you are fearful", **OTHERS)]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def judge(server: Server, folder: Path, model: str = "j", **more: Any) -> OpenAIJudge:
    settings: dict[str, Any] = {"key_variable": "TEST_KEY", "backoff": Backoff(0.01, 0.02), "timeout": 5.0, "attempts": 2, "concurrency": 1}
    return OpenAIJudge(Answers(Endpoint(model, server.url, **(settings | more)), folder / "verdicts.jsonl"))


def values(judged: list[Judgement]) -> list[float | None]:
    return [row.value for row in judged]


def test_verdicts_with_reasons(tmp_path: Path) -> None:
    with Server() as server:
        judged = verdicts(judge(server, tmp_path), CASES)
    assert values(judged) == [1, -1, 0, 1]
    assert judged[0].reason == "it says good for a child"
    assert [row.utterance_id for row in judged] == ["u", "u", "u", "f"]


def test_it_is_asked_at_temperature_0_with_the_rubric_and_both_speakers(tmp_path: Path) -> None:
    with Server() as server:
        verdicts(judge(server, tmp_path), CASES)
        body = server.served[3].body
    assert body["temperature"] == 0
    assert body["messages"][0]["content"] == rubric_text("rubric_v1")
    assert '"speaker": "the speaker sounds fearful", "other_speaker": "the speaker sounds angry"' in body["messages"][1]["content"]


def test_the_name_tells_model_and_rubric(tmp_path: Path) -> None:
    with Server() as server:
        name = judge(server, tmp_path).name
    assert name.startswith("openai:j:rubric_v1:")
    assert len(name.rpartition(":")[2]) == 12


def test_a_server_that_misbehaves_gives_the_same_verdicts(tmp_path: Path) -> None:
    with Server() as well, Server(["429", "", "half", "malformed", "", "", "500", "schema"]) as ill:
        assert verdicts(judge(ill, tmp_path / "ill", attempts=4), CASES) == verdicts(judge(well, tmp_path / "well"), CASES)
        assert set(ill.sold().values()) == {1}


def test_every_verdict_is_kept_and_another_reply_or_contrast_is_another_verdict(tmp_path: Path) -> None:
    with Server() as server:
        first = verdicts(judge(server, tmp_path), CASES)
        assert verdicts(judge(server, tmp_path), CASES) == first
        assert len(server.served) == 4
        verdicts(judge(server, tmp_path), [case("other reply"), case("you are fearful", **(OTHERS | {"contrast": "sad"}))])
        assert len(server.served) == 6
        verdicts(judge(server, tmp_path, model="k"), CASES[:1])
        assert len(server.served) == 7


def test_what_is_no_verdict_is_unscored_with_what_was_said_and_kept(tmp_path: Path) -> None:
    with Server(write=lambda _: {"why": "so", "verdict": 0.5}) as server:
        (judged,) = verdicts(judge(server, tmp_path), CASES[:1])
        assert judged.value is None
        assert judged.reason.startswith("verdict: ")
        assert judged.raw == '{"why": "so", "verdict": 0.5}'
        asked = len(server.served)
        assert verdicts(judge(server, tmp_path), CASES[:1]) == [judged]
        assert len(server.served) == asked


def test_true_is_no_1(tmp_path: Path) -> None:
    with Server(write=lambda _: {"why": "so", "verdict": True}) as server:
        (judged,) = verdicts(judge(server, tmp_path), CASES[:1])
    assert (judged.value, judged.reason.partition(",")[2]) == (None, " a whole number is asked for, not True")


def test_a_request_that_fails_for_good_is_unscored_and_asked_again_another_time(tmp_path: Path) -> None:
    with Server(["", "500", "500"]) as server:
        judged = verdicts(judge(server, tmp_path), CASES)
        assert values(judged) == [1, None, 0, 1]
        assert "fault 500" in judged[1].reason
        assert values(verdicts(judge(server, tmp_path), CASES)) == [1, -1, 0, 1]


def test_a_server_that_dies_half_way_leaves_the_rest_unscored_and_is_resumed(tmp_path: Path) -> None:
    with Server() as server:
        first = judge(server, tmp_path)
        verdicts(first, CASES[:2])
        server.die()
        judged = verdicts(first, CASES)
        assert values(judged) == [1, -1, None, None]
        assert "cannot be reached" in judged[2].reason
        server.rise()
        assert values(verdicts(judge(server, tmp_path), CASES)) == [1, -1, 0, 1]
        assert set(server.sold().values()) == {1}


def test_unreachable_from_the_start_is_an_error_that_names_the_address(tmp_path: Path) -> None:
    server = Server()
    server.rise()
    server.die()
    with pytest.raises(Unreachable, match=server.url):
        verdicts(judge(server, tmp_path), CASES)


def test_a_wrong_key_is_an_error_at_any_time(tmp_path: Path) -> None:
    with Server(["", "401-echo"]) as server, pytest.raises(Refused, match="TEST_KEY"):
        verdicts(judge(server, tmp_path), CASES)


def test_without_another_speaker_nothing_is_asked(tmp_path: Path) -> None:
    with Server() as server:
        judged = verdicts(judge(server, tmp_path), [case("two", category="content", contrast=None), CASES[0]])
        assert values(judged) == [None, 1]
        assert "no other speaker" in judged[0].reason
        assert len(server.served) == 1


def test_the_key_stands_in_no_file(tmp_path: Path) -> None:
    with Server(["echo-key"]) as server:
        verdicts(judge(server, tmp_path), CASES)
    assert KEY not in (tmp_path / "verdicts.jsonl").read_text()
