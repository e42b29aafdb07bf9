"""`undertone evaluate` where something else has a say: an endpoint that judges, an earlier run that is compared with."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import RATE, age_pairs, tone
from server import KEY, Server

from undertone.audio import write_flac
from undertone.cli import main
from undertone.evaluation.replies import ask
from undertone.models.base import Prompt
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.recipes.asking import comparable
from undertone.records import Judgement, Reply, Score, Utterance, read_rows
from undertone.speech.folder import write_folder

Make = Callable[..., Utterance]
PAIRS = 5


@pytest.fixture
def data(tmp_path: Path, utterance: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of five pairs about age in the test split; and the key to the judge."""
    monkeypatch.setenv("TEST_KEY", KEY)
    rows = age_pairs(utterance, PAIRS)
    for i, row in enumerate(rows):
        write_flac(tmp_path / "data" / row.file_name, tone(120 + 10 * i, 0.3), RATE)
    write_folder(tmp_path / "data", rows)
    return tmp_path / "data"


def words(data: Path, out: Path, server: Server) -> list[str]:
    """An evaluation that `server` judges, request by request."""
    endpoint = {"model": "j", "base_url": server.url, "key-variable": "TEST_KEY", "attempts": "1", "concurrency": "1"}
    flags = [word for name, value in endpoint.items() for word in (f"--endpoint.{name}", value)]
    few = ["--max-new-tokens", "1", "--bootstrap", "10", "--metrics", "pa"]
    return ["evaluate", "--data", str(data), "--out", str(out), "--judge", "openai", *flags, *few]


def verdicts(out: Path) -> list[float | None]:
    return [row.value for row in read_rows(out / "judgements.jsonl", Judgement)]


def scored(out: Path) -> tuple[int, int]:
    """How many replies the PA-score is the mean of, and how many are unscored."""
    (score,) = (row for row in read_rows(out / "scores.jsonl", Score) if (row.metric, row.group) == ("pa_score", "all"))
    return score.n, score.unscored


def die_behind(server: Server, answers: int) -> threading.Thread:
    """A server that stops listening once it has given so many answers."""

    def watch() -> None:
        while len(server.served) < answers:
            time.sleep(0.001)
        server.die()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_judge_at_an_endpoint_scores_every_reply(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Server() as server, caplog.at_level(logging.WARNING, "undertone"):
        assert main(words(data, tmp_path / "run", server)) == 0
    assert sorted(server.sold().values()) == [1] * 2 * PAIRS
    assert scored(tmp_path / "run") == (2 * PAIRS, 0)
    by = {str(row.details["judge"]).rpartition(":")[0] for row in read_rows(tmp_path / "run" / "scores.jsonl", Score)}
    assert by == {"openai:j:rubric_v1"}, "model, rubric and its hash stand in every score"
    assert len(verdicts(tmp_path / "run")) == 2 * PAIRS
    assert not caplog.records


def test_a_judge_that_dies_half_way_goes_on_at_the_next_start(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out, server = tmp_path / "run", Server(seconds=0.05)
    server.rise()
    again = words(data, out, server)
    watch = die_behind(server, 3)
    with caplog.at_level(logging.WARNING, "undertone"):
        assert main(again) == 0
    watch.join()
    missing = verdicts(out).count(None)
    assert 0 < missing < 2 * PAIRS
    assert scored(out) == (2 * PAIRS - missing, missing)
    (warning,) = caplog.records
    assert f"{missing} of {2 * PAIRS} replies are unscored" in warning.getMessage()
    caplog.clear()
    server.rise()
    with caplog.at_level(logging.WARNING, "undertone"):
        assert main(again) == 0
    server.die()
    assert scored(out) == (2 * PAIRS, 0)
    assert sorted(server.sold().values()) == [1] * 2 * PAIRS, "no verdict is bought twice"
    assert not caplog.records


def test_an_earlier_run_of_other_utterances_is_named(tmp_path: Path, utterance: Make) -> None:
    before = [Reply(utterance_id=name, run="vanilla", text="yes") for name in ("u0", "elsewhere")]
    assert comparable(before, [utterance(0), utterance(1)], tmp_path / "earlier") == before[:1]
    with pytest.raises(ValueError, match="earlier: none of its replies is to what is asked now"):
        comparable(before, [utterance(1)], tmp_path / "earlier")


def test_the_longest_are_asked_first_and_what_was_asked_changes_no_order(utterance: Make) -> None:
    model = Qwen2_5Omni.tiny(0)
    rows = [utterance(i, seconds=seconds) for i, seconds in enumerate((1.0, 3.0, 2.0, 3.0, 0.5))]

    def asked(some: list[Utterance]) -> list[list[str]]:
        batches = ask(model, some, lambda row: Prompt(text=row.text), "r", 2, 1, False)
        return [[reply.utterance_id for reply in batch] for batch in batches]

    assert asked(rows) == [["u1", "u3"], ["u2", "u0"], ["u4"]]
    assert asked([rows[0], rows[2], rows[4]]) == [["u2", "u0"], ["u4"]], "a run that goes on makes the same batches"


def test_the_plain_way_gives_the_same_replies_and_preferences(utterance: Make) -> None:
    model = Qwen2_5Omni.tiny(0)
    rows = [utterance(i, seconds=seconds, reply="yes", contrast_reply="no") for i, seconds in enumerate((1.0, 3.0, 2.0))]
    said = {}
    for plain in (False, True):
        batches = ask(model, rows, lambda row: Prompt(text="hm" * int(row.seconds)), "r", 2, 6, True, plain=plain)
        replies = {reply.utterance_id: reply for batch in batches for reply in batch}
        said[plain] = [(replies[row.id].text, pytest.approx(replies[row.id].preference, abs=1e-3)) for row in rows]
    assert said[False] == said[True]
