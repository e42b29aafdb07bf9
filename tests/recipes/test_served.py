"""`undertone evaluate` of a model behind an endpoint, against a real server that hears, misbehaves, dies and comes back."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import RATE, age_pairs, tone
from server import KEY, TOKENS, Server
from test_evaluating import die_behind

from undertone.audio import write_flac
from undertone.cli import main
from undertone.records import Judgement, Reply, Score, Utterance, read_rows
from undertone.speech.folder import write_folder

Make = Callable[..., Utterance]
PAIRS = 5
LOWEST, STEP = 120, 20
"""Hertz: clip number n is a buzz of LOWEST + n · STEP."""


@pytest.fixture
def data(tmp_path: Path, utterance: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pairs about age and one attribute-free query in the test split, each at a pitch of its own; and the key to the server."""
    monkeypatch.setenv("TEST_KEY", KEY)
    rows = age_pairs(utterance, PAIRS)
    rows.append(utterance(2 * PAIRS, split="test", suite="content", reply="for the adult"))
    for i, row in enumerate(rows):
        write_flac(tmp_path / "data" / row.file_name, tone(LOWEST + STEP * i, 0.3), RATE)
    write_folder(tmp_path / "data", rows)
    return tmp_path / "data"


def hears(body: dict[str, Any]) -> str:
    """A model that hears pitch: it answers adult and child in turn, as the clips were made."""
    (part,) = (part for part in body["messages"][-1]["content"] if part["type"] == "input_audio")
    assert part["input_audio"]["format"] == "wav"
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(part["input_audio"]["data"])))
    assert rate == RATE
    strongest = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * rate / len(wave)
    number = round((strongest - LOWEST) / STEP)
    return f" For the {'child' if number % 2 else 'adult'}.\n"


def evaluate(data: Path, out: Path, server: Server, *more: str, **settings: str) -> int:
    at = {"base_url": server.url, "key_variable": "TEST_KEY", "attempts": "1", "concurrency": "1"} | settings
    flags = [word for name, value in at.items() for word in (f"--served.{name}", value)]
    return main(["evaluate", "--model", "endpoint:toy", "--data", str(data), "--out", str(out), "--bootstrap", "10", *flags, *more])


def scores(out: Path) -> dict[tuple[str, str, str], tuple[float | None, int, int]]:
    """(suite, metric, group) → value, n, unscored; costs aside."""
    rows = read_rows(out / "scores.jsonl", Score)
    return {(row.suite, row.metric, row.group): (row.value, row.n, row.unscored) for row in rows if row.suite != "cost"}


CLIPS = 2 * PAIRS + 1


def test_a_served_model_is_asked_judged_and_scored_as_a_local_one(data: Path, tmp_path: Path) -> None:
    with Server(write=hears) as server:
        assert evaluate(data, tmp_path / "run", server, "--system", "mind the voice", "--max-new-tokens", "7", concurrency="4") == 0
        assert sorted(server.sold().values()) == [1] * CLIPS
        first = server.served[0].body
    assert first["model"] == "toy"
    assert first["messages"][0] == {"role": "system", "content": "mind the voice"}
    assert (first["max_tokens"], first["temperature"]) == (7, 0.0)
    found = scores(tmp_path / "run")
    assert found["pa/age", "pa_score", "all"] == (1.0, 2 * PAIRS, 0)
    assert found["content", "exact", "all"] == (1.0, 1, 0)
    replies = list(read_rows(tmp_path / "run" / "replies.jsonl", Reply))
    assert {reply.text for reply in replies} == {"For the child.", "For the adult."}
    assert {reply.run for reply in replies} == {"toy"}
    rows = list(read_rows(tmp_path / "run" / "scores.jsonl", Score))
    (cost,) = (row.value for row in rows if row.metric == "tokens")
    assert cost == CLIPS * TOKENS
    assert {row.details["system"] for row in rows if row.suite == "pa/age"} == {"mind the voice"}
    assert not [row for row in rows if row.metric == "trainable_parameters"], "nobody knows what the served model cost"
    assert KEY not in "".join(path.read_text() for path in (tmp_path / "run").glob("*.json*"))


def test_what_needs_probabilities_is_unscored_and_says_why(data: Path, tmp_path: Path) -> None:
    with Server(write=hears) as server:
        assert evaluate(data, tmp_path / "run", server) == 0
    (row,) = (row for row in read_rows(tmp_path / "run" / "scores.jsonl", Score) if (row.metric, row.group) == ("preference", "all"))
    assert (row.value, row.n, row.unscored) == (None, 0, 2 * PAIRS)
    assert "an endpoint gives text alone" in str(row.details["probabilities"])
    assert main(["report", "--runs", str(tmp_path / "run"), "--out", str(tmp_path / "report.html")]) == 0


def test_a_server_that_misbehaves_dies_and_comes_back_gives_the_same_scores(data: Path, tmp_path: Path) -> None:
    with Server(write=hears) as well:
        assert evaluate(data, tmp_path / "well", well) == 0
    server = Server(["429", "", "500", "malformed", "", "half"], write=hears, seconds=0.02)
    server.rise()
    dying = die_behind(server, 9)
    assert evaluate(data, tmp_path / "run", server, attempts="3") == 2, "there is nobody any more"
    dying.join()
    assert not (tmp_path / "run" / "scores.jsonl").exists()
    before = len(list(read_rows(tmp_path / "run" / "replies.jsonl", Reply)))
    assert 0 < before < CLIPS
    server.rise()
    assert evaluate(data, tmp_path / "run", server, attempts="3") == 0
    server.die()
    assert scores(tmp_path / "run") == scores(tmp_path / "well")
    assert sorted(server.sold().values()) == [1] * CLIPS, "a reply was bought twice"
    bought = next(row.value for row in read_rows(tmp_path / "run" / "scores.jsonl", Score) if row.metric == "tokens")
    assert bought == CLIPS * TOKENS, "what was bought before the server died counts"


def test_one_request_that_the_server_does_not_take_is_unscored_and_asked_again(data: Path, tmp_path: Path) -> None:
    with Server(["", "400"], write=hears) as server:
        assert evaluate(data, tmp_path / "run", server) == 0
        first = scores(tmp_path / "run")
        assert sum(unscored for (suite, metric, group), (_, _, unscored) in first.items() if (metric, group) == ("exact", "all")) == 1
        (reason,) = {row.reason for row in read_rows(tmp_path / "run" / "judgements.jsonl", Judgement) if row.value is None}
        assert "fault 400" in reason
        assert len(list(read_rows(tmp_path / "run" / "replies.jsonl", Reply))) == CLIPS - 1
        assert evaluate(data, tmp_path / "run", server) == 0
        assert len(server.served) == CLIPS + 1
    assert {unscored for (_, metric, _), (_, _, unscored) in scores(tmp_path / "run").items() if metric != "preference"} == {0}


def test_the_spend_limit_stops_it_and_a_higher_one_goes_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Server(write=hears) as server:
        assert evaluate(data, tmp_path / "run", server, max_tokens_spent=str(3 * TOKENS)) == 2
        assert "max_tokens_spent is 300" in capsys.readouterr().err
        assert len(server.served) == 3
        assert evaluate(data, tmp_path / "run", server) == 0
        assert sorted(server.sold().values()) == [1] * CLIPS


def test_typed_words_are_sent_as_text_and_equal_ones_once(data: Path, tmp_path: Path) -> None:
    with Server(write=lambda body: f"re {body['messages'][-1]['content']}") as server:
        assert evaluate(data, tmp_path / "run", server, "--words", "plain", "--suites", "pa") == 0
        assert sorted(row.body["messages"][-1]["content"] for row in server.served) == [f"words {i}" for i in range(PAIRS)]
    assert len(list(read_rows(tmp_path / "run" / "replies.jsonl", Reply))) == 2 * PAIRS


def test_what_a_served_model_cannot_do_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(write=hears) as server:
        assert evaluate(data, tmp_path / "a", server, "--adapter", str(tmp_path)) == 2
        assert "is asked as it is served" in capsys.readouterr().err
        assert evaluate(data, tmp_path / "b", server, "--cascade") == 2
        assert main(["evaluate", "--model", "endpoint:", "--data", str(data), "--out", str(tmp_path / "c")]) == 2
        assert "endpoint:NAME" in capsys.readouterr().err
        assert main(["analyze", "--model", "endpoint:toy", "--data", str(data), "--out", str(tmp_path / "d")]) == 2
        assert "only undertone evaluate takes it" in capsys.readouterr().err
        monkeypatch.delenv("TEST_KEY")
        assert evaluate(data, tmp_path / "e", server) == 2
        assert "TEST_KEY holds no key" in capsys.readouterr().err
        assert not server.served
