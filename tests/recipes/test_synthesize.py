"""`synthesize` end to end with synthesisers of few voices, with an endpoint, and with texts that cannot be spoken."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest
from server import KEY, Server

from undertone.cli import main
from undertone.records import Rejected, Utterance, read_rows

SPEAK = Path(__file__).parents[1] / "speech" / "synthesisers" / "speak.py"


def speaking(folder: Path) -> str:
    """A program that speaks, from a copy: it writes beside itself."""
    return shlex.join([sys.executable, str(shutil.copy(SPEAK, folder))])


CATEGORIES = ("age", "gender", "emotion", "content")


def clips(**asked: Mapping[str, int]) -> list[str]:
    """Flags that ask for so many clips of each split and category, and for none of the others."""
    said = {f"--{split}.{name}": asked.get(split, {}).get(name, 0) for split in ("train", "dev", "test") for name in CATEGORIES}
    return [word for flag, count in said.items() for word in (flag, str(count))] + ["--safety-speakers", "0"]


def synthesize(out: Path, *words: str) -> int:
    return main(["synthesize", "--out", str(out), *words])


def rows(out: Path) -> list[Utterance]:
    return list(read_rows(out / "metadata.jsonl", Utterance))


def rejected(out: Path) -> list[Rejected]:
    return list(read_rows(out / "rejected.jsonl", Rejected))


def declared(out: Path) -> list[str]:
    axes: list[str] = json.loads((out / "folder.json").read_text())["disjoint"]
    return axes


def test_a_program_of_two_voices_has_two_speakers_and_declares_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = ["--synthesiser", "command", "--command", f"{speaking(tmp_path)} {{text}} {{out}} {{gender}}"]
    words = [*program, *clips(train={"content": 6}, test={"content": 6})]
    assert synthesize(tmp_path / "two", *words, "--dev.content", "2") == 0
    assert {row.speaker for row in rows(tmp_path / "two")} <= {"command-rms", "command-slt"}
    assert declared(tmp_path / "two") == ["text", "topic"]
    assert "speakers stand in several splits: command has too few voices to keep them apart" in capsys.readouterr().out


def test_espeak_speaks_as_many_speakers_as_asked_and_keeps_them_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize(tmp_path, *clips(train={"content": 6}, test={"content": 4}), "--workers", "1") == 0
    assert declared(tmp_path) == ["speaker", "text", "topic"]
    assert {row.speaker for row in rows(tmp_path) if row.split == "train"} <= {f"espeak-{number}" for number in range(1000, 1040)}
    assert "several splits" not in capsys.readouterr().out


def test_a_program_that_fails_over_some_texts_spoils_no_others(tmp_path: Path) -> None:
    program = tmp_path / "moody.sh"
    program.write_text(f'case "$1" in *help*) echo "no such word: help" >&2; exit 3;; esac; exec {speaking(tmp_path)} "$1" "$2"\n')
    words = ["--synthesiser", "command", "--command", f"sh {program} {{text}} {{out}}", *clips(train={"content": 40})]
    assert synthesize(tmp_path / "data", *words) == 0
    turned_away = rejected(tmp_path / "data")
    assert turned_away
    assert all("not spoken: " in row.reason and "its stderr: no such word: help" in row.reason for row in turned_away)
    assert len(rows(tmp_path / "data")) == 40 - len(turned_away)
    assert not any("help" in row.text for row in rows(tmp_path / "data"))


def test_what_could_not_be_spoken_is_tried_again_by_a_synthesis_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, broken = tmp_path / "later.sh", tmp_path / "broken"
    broken.touch()
    program.write_text(f'test -e {broken} && exit 3; exec {speaking(tmp_path)} "$1" "$2"\n')
    words = ["--synthesiser", "command", "--command", f"sh {program} {{text}} {{out}}", *clips(train={"content": 4})]
    assert synthesize(tmp_path / "data", *words) == 2
    assert "every clip was rejected; the first because not spoken: command 'sh' ended with status 3" in capsys.readouterr().err
    broken.unlink()
    assert synthesize(tmp_path / "data", *words) == 0
    assert len(rows(tmp_path / "data")) == 4
    assert not rejected(tmp_path / "data")


def moody(tmp_path: Path, condition: str) -> list[str]:
    """A program that fails where the shell's `condition` on its text, "$1", holds."""
    program = tmp_path / "moody.sh"
    program.write_text(f'{condition} && exit 3; exec {speaking(tmp_path)} "$1" "$2"\n')
    return ["--synthesiser", "command", "--command", f"sh {program} {{text}} {{out}}"]


def test_kept_and_asked_are_told_by_split_and_category(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = clips(train={"content": 6}, test={"content": 4})
    assert synthesize(tmp_path / "data", *moody(tmp_path, "false"), *asked) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["  train: content 6/6", "  test: content 4/4"]


def test_a_category_that_comes_out_empty_is_an_error_and_the_rest_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Both genders are one voice, so that no pair of them passes.
    words = [*moody(tmp_path, "false"), *clips(train={"content": 4, "gender": 4})]
    assert synthesize(tmp_path / "data", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "train.gender: all 4 clips were rejected, the first because gender: " in line
    assert "finished clips stay" in line
    assert not (tmp_path / "data" / "metadata.jsonl").exists()
    assert len(list((tmp_path / "data" / "train").glob("*.flac"))) == 4


def test_strict_makes_the_first_rejected_clip_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize(tmp_path / "data", "--strict", *moody(tmp_path, "true"), *clips(train={"content": 4})) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undertone: synthesize: strict: train/")
    assert ".flac was rejected: not spoken: command 'sh' ended with status 3" in line


def test_an_endpoint_writes_and_speaks_and_what_was_spent_counts_when_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    asked = clips(train={"content": 8}, dev={"content": 2}, test={"content": 4})
    with Server() as server:
        place = {"model": "m", "base-url": server.url, "key-variable": "TEST_KEY", "concurrency": "2"}
        at = [f"--{kind}.{name}={value}" for kind in ("endpoint", "speech-endpoint") for name, value in place.items()]
        words = ["--writer", "openai", "--synthesiser", "openai_tts", *at, *asked, "--queries-per-topic", "3"]
        words += ["--topics", "content: space", "content: history", "content: music"]
        assert synthesize(tmp_path / "data", *words, "--speech-endpoint.max-tokens-spent", "300") == 2
        assert "max_tokens_spent is 300" in capsys.readouterr().err
        sold = len(server.served)
        assert synthesize(tmp_path / "data", *words, "--speech-endpoint.max-tokens-spent", "300") == 2
        assert len(server.served) == sold, "what is spent is spent, however often one starts"
        assert synthesize(tmp_path / "data", *words) == 0
        assert set(server.sold().values()) == {1}, "nothing is bought twice"
    made = rows(tmp_path / "data")
    assert len(made) == 14
    assert declared(tmp_path / "data") == ["speaker", "text", "topic"]
    assert {row.speaker.partition("-")[2] for row in made} <= {row.body["voice"] for row in server.served if "voice" in row.body}


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    run = [sys.executable, "-c", "import sys; from undertone.cli import main; sys.exit(main())", "synthesize", "--workers", "2"]
    parent = subprocess.Popen([*run, "--out", str(tmp_path / "data")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (tmp_path / "data" / ".kept.jsonl").exists(), 300)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        os.kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
    finally:
        parent.kill()
        parent.wait()


def wait_until(ready: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_another_accent_is_another_sound(tmp_path: Path) -> None:
    said = {name: tmp_path / name for name in ("en-us", "en-gb-scotland")}
    for name, out in said.items():
        assert synthesize(out, "--language", name, *clips(test={"content": 2})) == 0
    here, there = (rows(out) for out in said.values())
    assert [row.text for row in here] == [row.text for row in there]
    assert [row.seconds for row in here] != [row.seconds for row in there]


def test_a_language_that_espeak_has_not_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize(tmp_path / "data", "--language", "klingon", *clips(test={"content": 2})) == 2
    assert "language: espeak-ng has no 'klingon'" in capsys.readouterr().err
