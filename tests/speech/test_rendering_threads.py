"""Rendering by synthesisers whose work is done elsewhere: in threads, and nothing that was paid for is lost."""

from pathlib import Path

import pytest
from server import KEY, Server

from undertone.endpoint import Backoff, Endpoint, Refused
from undertone.speech.pairs import Planned
from undertone.speech.rendering import Rendered, jobs, render
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
