"""Any program as synthesiser, with a small one of our own and with flite where it is installed."""

import json
import pickle
import shlex
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from undertone.audio import BadSound
from undertone.speech.synthesisers import SYNTHESISERS, who_renders
from undertone.speech.synthesisers.command import Command

MAN = {"age": "adult", "gender": "male", "emotion": "neutral"}
RENDERS = {"age": ["adult"], "gender": ["male", "female"], "emotion": ["neutral"]}


@pytest.fixture
def program(tmp_path: Path) -> str:
    shutil.copy(Path(__file__).with_name("speak.py"), tmp_path)
    return shlex.join([sys.executable, str(tmp_path / "speak.py")])


def given(tmp_path: Path) -> list[str]:
    arguments: list[str] = json.loads((tmp_path / "arguments.json").read_text())
    return arguments


def test_what_the_program_wrote_comes_back_at_16_khz(program: str) -> None:
    wave = Command(f"{program} {{text}} {{out}}", RENDERS).speak("hello", MAN, 0)
    assert wave.dtype == np.float32
    assert wave.shape == (8000,)
    assert wave[2000:6000] == pytest.approx(0.25, abs=0.01)


def test_the_voice_is_filled_in_in_the_programs_own_words(program: str, tmp_path: Path) -> None:
    template = f"{program} {{text}} {{out}} {{gender}} age={{age}} {{emotion}} {{speaker}}"
    Command(template, RENDERS, {"male": "rms"}).speak("hello", MAN, 7)
    assert given(tmp_path)[2:] == ["rms", "age=adult", "neutral", "7"]


@pytest.mark.parametrize(
    "text", ["a; touch /tmp/x", "$(id) `id` | id > f", "'quo\"ted' \\ back", "two words", "{out} {age}", "été\nnew line", ""]
)
def test_a_text_stays_one_argument(program: str, tmp_path: Path, text: str) -> None:
    Command(f"{program} {{text}} {{out}}", RENDERS).speak(text, MAN, 0)
    assert len(given(tmp_path)) == 2
    assert given(tmp_path)[0] == text


def test_a_text_cannot_become_an_option(program: str, tmp_path: Path) -> None:
    Command(f"{program} {{text}} {{out}}", RENDERS).speak("--play loud", MAN, 0)
    assert given(tmp_path)[0] == " --play loud"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fail", "status 3 for 'fail'; its stderr: no such voice: slt"),
        ("nothing", "wrote no file for 'nothing'"),
        ("garbage", "'garbage': is no sound file"),
        ("silence", "'silence': holds no samples"),
    ],
)
def test_failures_tell_what_the_program_said(program: str, text: str, message: str) -> None:
    with pytest.raises((RuntimeError, BadSound), match=message):
        Command(f"{program} {{text}} {{out}}", RENDERS).speak(text, MAN, 0)


def test_a_time_out_ends_the_program_and_what_it_started(program: str) -> None:
    began = time.monotonic()
    # The shell stands for a wrapper script: ending it alone would leave the sleeper with our pipe.
    nested = Command(f'sh -c \'{program} "$1" "$2"; true\' sh {{text}} {{out}}', RENDERS, timeout=0.5)
    with pytest.raises(RuntimeError, match=r"longer than 0\.5 s"):
        nested.speak("sleep", MAN, 0)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("no-such-program {text} {out}", "no program 'no-such-program'"),
        ("sh {text}", "{out} is missing"),
        ("sh {out}", "{text} is missing"),
        ("sh {text} {out} {mood}", "unknown {mood}; known: text, out, speaker, age"),
        ("sh '{text} {out}", "No closing quotation"),
    ],
)
def test_a_bad_template_is_an_error_at_once(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Command(template, RENDERS)


def test_an_unknown_value_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="age has no value 'old'"):
        Command("sh {text} {out}", {"age": ["old"]})


def test_what_is_not_declared_is_refused_naming_who_could() -> None:
    with pytest.raises(ValueError, match=r"'command' does not render age=child; able to: espeak, openai_tts"):
        Command("sh {text} {out}", RENDERS).speak("hello", {**MAN, "age": "child"}, 0)


def test_who_renders_asks_every_row_of_the_table() -> None:
    assert "command" in SYNTHESISERS
    assert who_renders("emotion", "fearful") == "espeak, openai_tts"


def test_a_nul_character_is_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match="NUL"):
        Command("sh {text} {out}", RENDERS).speak("a\0b", MAN, 0)


def test_it_travels_to_worker_processes(program: str) -> None:
    command = pickle.loads(pickle.dumps(Command(f"{program} {{text}} {{out}}", RENDERS)))
    assert len(command.speak("hello", MAN, 0)) == 8000


@pytest.mark.parametrize(
    ("holes", "names"),
    [
        ("{gender}", {"rms", "female"}),
        ("{gender} {emotion}", {"rms", "female"}),
        ("{gender} {speaker}", {"7"}),
        ("", {"sh"}),
    ],
)
def test_who_speaks_is_what_the_program_is_told(holes: str, names: set[str]) -> None:
    command = Command(f"sh {{text}} {{out}} {holes}", RENDERS, {"male": "rms"})
    assert command.voices(7) == names
    assert len(command.voices(7) | command.voices(8)) == (2 if "speaker" in holes or "gender" in holes else 1)


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_flite_speaks() -> None:
    flite = Command("flite -voice {gender} -t {text} -o {out}", RENDERS, {"male": "rms", "female": "slt"})
    man, woman = (flite.speak("how do i make a pancake", {**MAN, "gender": gender}, 0) for gender in ("male", "female"))
    assert 0.5 < len(man) / 16_000 < 5
    assert len(man) != len(woman)
