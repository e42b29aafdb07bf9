"""`synthesize` end to end with synthesisers of few voices, with an endpoint, and with texts that cannot be spoken."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from undertone.cli import main
from undertone.records import Rejected, Utterance, read_rows

SPEAK = Path(__file__).parents[1] / "speech" / "synthesisers" / "speak.py"
COMMAND = shlex.join([sys.executable, str(SPEAK)])
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
    program = ["--synthesiser", "command", "--command", f"{COMMAND} {{text}} {{out}} {{gender}}"]
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
    program.write_text(f'case "$1" in *help*) echo "no such word: help" >&2; exit 3;; esac; exec {COMMAND} "$1" "$2"\n')
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
    program.write_text(f'test -e {broken} && exit 3; exec {COMMAND} "$1" "$2"\n')
    words = ["--synthesiser", "command", "--command", f"sh {program} {{text}} {{out}}", *clips(train={"content": 4})]
    assert synthesize(tmp_path / "data", *words) == 2
    assert "every clip was rejected; the first because not spoken: command 'sh' ended with status 3" in capsys.readouterr().err
    broken.unlink()
    assert synthesize(tmp_path / "data", *words) == 0
    assert len(rows(tmp_path / "data")) == 4
    assert not rejected(tmp_path / "data")
