"""The judge of empathy, against a server that misbehaves, and the mean of its ratings."""

import json
from pathlib import Path
from typing import Any

import pytest
from judging import case
from judging import judged as verdicts
from server import KEY, TOKENS, Server

from undertone.answers import Answers
from undertone.endpoint import Backoff, Endpoint, SpendLimit
from undertone.evaluation.empathy import empathy_scores
from undertone.evaluation.judges import open_judge
from undertone.evaluation.judges.base import Case
from undertone.evaluation.judges.chat import rubric_text
from undertone.evaluation.judges.empathy import EmpathyJudge
from undertone.evaluation.judges.openai import OpenAIJudge
from undertone.evaluation.metrics import Asked
from undertone.records import Judgement, Score
from undertone.run import Run

SAD: dict[str, Any] = {"id": "s", "category": "emotion", "attributes": {"emotion": "sad"}, "contrast": "happy"}
HAPPY: dict[str, Any] = {"id": "h", "category": "emotion", "attributes": {"emotion": "happy"}, "contrast": "sad"}
CASES = [case("so sad, tell me more", **SAD), case("whatever", **SAD), case("how happy, great", **HAPPY)]
RATINGS = [10, 5, 10]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def rate(body: dict[str, Any]) -> dict[str, Any]:
    """10 where the reply speaks of the feeling, else 5."""
    told = json.loads(body["messages"][1]["content"])
    return {"why": f"it says {told['reply']}", "verdict": 10 if told["speaker"].split()[-1] in told["reply"] else 5}


def judge(server: Server, folder: Path, **more: Any) -> EmpathyJudge:
    settings: dict[str, Any] = {"key_variable": "TEST_KEY", "backoff": Backoff(0.01, 0.02), "timeout": 5.0, "attempts": 2, "concurrency": 1}
    return EmpathyJudge(Answers(Endpoint("j", server.url, **(settings | more)), folder / "verdicts.jsonl"))


def values(judged: list[Judgement]) -> list[float | None]:
    return [row.value for row in judged]


def test_ratings_with_reasons_at_temperature_0_by_our_rubric(tmp_path: Path) -> None:
    with Server(write=rate) as server:
        judged = verdicts(judge(server, tmp_path), CASES)
        body = server.served[0].body
    assert values(judged) == RATINGS
    assert judged[1].reason == "it says whatever"
    assert judged[0].judge.startswith("empathy:j:rubric_empathy_v1:")
    assert body["temperature"] == 0
    assert body["messages"][0]["content"] == rubric_text("rubric_empathy_v1")
    told = {"request": CASES[0].utterance.text, "speaker": "the speaker sounds sad", "reply": "so sad, tell me more"}
    assert json.loads(body["messages"][1]["content"]) == told


@pytest.mark.parametrize("said", [0, 11, 7.5, 7.0, "7", None, True, -1])
def test_only_whole_numbers_from_1_to_10_are_ratings(said: Any, tmp_path: Path) -> None:
    with Server(write=lambda _: {"why": "so", "verdict": said}) as server:
        (judged,) = verdicts(judge(server, tmp_path), CASES[:1])
        asked = len(server.served)
        assert judged.value is None
        assert judged.reason.startswith("verdict: ")
        assert json.loads(judged.raw)["verdict"] == said
        assert verdicts(judge(server, tmp_path), CASES[:1]) == [judged]
        assert len(server.served) == asked, "kept, not asked again"


@pytest.mark.parametrize("said", range(1, 11))
def test_each_of_them_is(said: int, tmp_path: Path) -> None:
    with Server(write=lambda _: {"why": "so", "verdict": said}) as server:
        assert values(verdicts(judge(server, tmp_path), CASES[:1])) == [said]


@pytest.mark.parametrize("raw", [{"verdict": 7}, {"why": "so", "verdict": 7, "more": 1}, [7], "7"])
def test_another_form_is_unscored(raw: Any, tmp_path: Path) -> None:
    with Server(write=lambda _: raw) as server:
        (judged,) = verdicts(judge(server, tmp_path), CASES[:1])
    assert judged.value is None
    assert judged.reason


def test_a_server_that_misbehaves_gives_the_same_ratings(tmp_path: Path) -> None:
    with Server(["429", "", "half", "malformed", "", "", "500", "schema"], write=rate) as ill:
        assert values(verdicts(judge(ill, tmp_path, attempts=4), CASES)) == RATINGS
        assert set(ill.sold().values()) == {1}


def test_a_server_that_dies_half_way_is_resumed(tmp_path: Path) -> None:
    with Server(write=rate) as server:
        first = judge(server, tmp_path)
        verdicts(first, CASES[:1])
        server.die()
        judged = verdicts(first, CASES)
        assert values(judged) == [10, None, None]
        assert "cannot be reached" in judged[1].reason
        server.rise()
        assert values(verdicts(judge(server, tmp_path), CASES)) == RATINGS
        assert set(server.sold().values()) == {1}


def test_the_spend_limit_counts_what_was_bought_before(tmp_path: Path) -> None:
    with Server(write=rate) as server:
        verdicts(judge(server, tmp_path), CASES[:2])
        with pytest.raises(SpendLimit):
            verdicts(judge(server, tmp_path, max_tokens_spent=2 * TOKENS), CASES)
        assert len(server.served) == 2
        assert values(verdicts(judge(server, tmp_path, max_tokens_spent=2 * TOKENS), CASES[:2])) == RATINGS[:2]


def test_where_nobody_knows_the_emotion_nothing_is_asked(tmp_path: Path) -> None:
    with Server(write=rate) as server:
        judged = verdicts(judge(server, tmp_path), [case("hm"), CASES[0]])
        assert values(judged) == [None, 10]
        assert judged[0].reason == "the utterance's emotion is not known"
        assert len(server.served) == 1


def test_both_judges_share_a_journal_and_do_not_mix(tmp_path: Path) -> None:
    def both(body: dict[str, Any]) -> Any:
        name = body["response_format"]["json_schema"]["name"]
        return rate(body) if name == "Rating" else {"why": "so", "verdict": 0}

    with Server(write=both) as server:
        endpoint = {"model": "j", "base_url": server.url, "key_variable": "TEST_KEY"}
        empathy = open_judge("undertone.evaluation.judges.empathy:EmpathyJudge", endpoint, tmp_path)
        suits = open_judge("openai", endpoint, tmp_path)
        assert isinstance(suits, OpenAIJudge)
        assert values(verdicts(empathy, CASES)) == RATINGS
        assert values(verdicts(suits, CASES)) == [0, 0, 0]
        assert values(verdicts(open_judge("openai", endpoint, tmp_path), CASES)) == [0, 0, 0]
        assert len(server.served) == 6


def rated(some: Case, value: float | None, judged_by: str = "empathy:j:rubric:0", text: str = "t") -> Asked:
    utterance = some.utterance.model_copy(update={"text": text})
    return Asked(utterance, some.reply, some.judged(judged_by, value, "" if value else "mute"))


def test_the_mean_rating_of_all_and_of_each_emotion() -> None:
    rows = [rated(CASES[0], 8, text="a"), rated(CASES[0], 4, text="b"), rated(CASES[2], 9, text="c"), rated(CASES[2], None, text="d")]
    rows += [rated(CASES[2], 1, "openai:j:rubric_v1:0"), rows[0]._replace(judgement=None)]
    found: dict[str, Score] = {row.group: row for row in empathy_scores(rows, Run(Path(), "r", 0, "c").score, 200, 0)}
    assert {group: (row.value, row.n, row.unscored) for group, row in found.items()} == {
        "all": (7, 3, 1),
        "sad": (6, 2, 0),
        "happy": (9, 1, 1),
    }
    assert (found["sad"].suite, found["sad"].metric, found["sad"].low, found["sad"].high) == ("empathy", "empathy", 4, 8)
    assert not list(empathy_scores(rows[-2:], Run(Path(), "r", 0, "c").score, 10, 0)), "verdicts of another judge are no ratings"
