"""A program that speaks for the synthesiser `command`: a man's voice and a woman's, under flite's names for them."""

import shlex
import sys
from pathlib import Path


def command(folder: Path) -> str:
    """Its command line, with {text}, {out} and {gender} to be filled in; the program is written into `folder`."""
    (folder / "speak.py").write_text(SPEAK)
    return shlex.join([sys.executable, str(folder / "speak.py")]) + " {text} {out} {gender}"


SPEAK = """
import sys
from pathlib import Path
from undertone.audio import write_flac
from undertone.speech.synthesisers.espeak import Espeak

text, out, name = sys.argv[1:]
voice = {"age": "adult", "gender": {"rms": "male", "slt": "female"}[name], "emotion": "neutral"}
write_flac(Path(out), Espeak(words_per_minute=160.0).speak(text, voice, 3), 16_000)
"""
