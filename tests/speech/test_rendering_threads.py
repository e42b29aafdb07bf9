"""Rendering by synthesisers whose work is done elsewhere: in threads, and nothing that was paid for is lost."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from server import KEY, Server

from undertone.endpoint import Backoff, Endpoint, EndpointError, Refused
from undertone.speech.pairs import Planned
from undertone.speech.rendering import UNSPOKEN, Rendered, jobs, render
from undertone.speech.synthesisers.base import Waveform
from undertone.speech.synthesisers.openai_tts import OpenAITTS
from undertone.speech.writers.grammar import Query

VOICE = {"age": "adult", "gender": "female", "emotion": "neutral"}
WORK = jobs([Planned(Query(f"say {i}", "", "t", "content", False, "yes", {}), VOICE, i, "train", "content", None, None) for i in range(8)])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def voice(server: Server) -> OpenAITTS:
    return OpenAITTS(Endpoint("tts", server.url, "TEST_KEY", backoff=Backoff(0.01, 0.02), timeout=5.0))


def test_every_job_is_spoken_once_and_side_by_side(tmp_path: Path) -> None:
    with Server(["429", "half"], seconds=0.1) as server:
        rendered = list(render(WORK, lambda: voice(server), tmp_path, workers=4))
        assert set(server.sold().values()) == {1}
    rows = [row for one in rendered for row in [*one.kept, *one.rejected]]
    assert sorted(row.id for row in rows) == sorted({row.id for row in rows})
    assert len(rows) == len(WORK)
    assert all((tmp_path / row.file_name).exists() for one in rendered for row in one.kept)


def test_what_was_under_way_when_another_failed_is_given_out(tmp_path: Path) -> None:
    done: list[Rendered] = []
    with Server(["401-echo"], seconds=0.2) as server:
        with pytest.raises(Refused):
            done.extend(render(WORK, lambda: voice(server), tmp_path, workers=3))
        assert len(done) == len(server.served) - 1


@pytest.mark.parametrize(("fault", "said"), [("400", "fault 400"), ("not-sound", "is no sound file")])
def test_a_text_that_cannot_be_spoken_is_turned_away_and_the_others_are_spoken(tmp_path: Path, fault: str, said: str) -> None:
    with Server(["", fault]) as server:
        rendered = list(render(WORK, lambda: voice(server), tmp_path, workers=1))
        text = server.served[1].body["input"]
    (lost,) = [row for one in rendered for row in one.rejected]
    assert lost.reason.startswith(UNSPOKEN)
    assert said in lost.reason
    assert sorted(row.text for one in rendered for row in one.kept) == sorted(
        one[0].query.text for one in WORK if one[0].query.text != text
    )
    assert lost.file_name == f"train/{lost.id}.flac"


def test_a_pair_is_turned_away_as_a_whole(tmp_path: Path) -> None:
    query = Query("say it", "", "t", "gender", False, "yes", {"male": "sir", "female": "madam"})
    pair = [
        Planned(query, {**VOICE, "gender": value}, 1, "train", "pa", "p", other)
        for value, other in (("male", "female"), ("female", "male"))
    ]
    with Server(["", "400"]) as server:
        (done,) = render([pair], lambda: voice(server), tmp_path, workers=1)
    assert not done.kept
    assert len({row.id for row in done.rejected}) == 2
    assert not list(tmp_path.rglob("*.flac"))


@pytest.mark.parametrize("fault", ["429-for-ever", "503"])
def test_a_server_that_is_down_ends_the_synthesis_and_turns_nothing_away(tmp_path: Path, fault: str) -> None:
    with Server(["", *[fault] * 100]) as server:
        done: list[Rendered] = []
        with pytest.raises(EndpointError):
            done.extend(render(WORK, lambda: voice(server), tmp_path, workers=1))
    assert not [row for one in done for row in one.rejected]


@pytest.mark.parametrize(("workers", "most"), [(0, 2), (4, 2), (1, 1)])
def test_no_more_requests_are_under_way_than_the_endpoint_allows(tmp_path: Path, workers: int, most: int) -> None:
    under_way, peak, lock = 0, 0, threading.Lock()

    class Slow(OpenAITTS):
        def speak(self, text: str, attributes: Mapping[str, str], speaker: int, seed: int = 0) -> Waveform:
            nonlocal under_way, peak
            with lock:
                under_way += 1
                peak = max(peak, under_way)
            try:
                return super().speak(text, attributes, speaker, seed)
            finally:
                with lock:
                    under_way -= 1

    with Server(seconds=0.05) as server:
        list(render(WORK, lambda: Slow(Endpoint("tts", server.url, "TEST_KEY", concurrency=2)), tmp_path, workers))
    assert peak == most
