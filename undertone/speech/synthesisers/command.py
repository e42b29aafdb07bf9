"""Any program that writes a sound file, such as Debian's flite."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from undertone.attributes import ATTRIBUTES, check
from undertone.audio import read_sound
from undertone.speech.synthesisers.base import Synthesiser, Unspeakable, Waveform

_HOLE = re.compile(r"\{(\w+)\}")
_NEEDED = ("text", "out")
_STATE = "emotion"  # passes: nobody becomes another person by it


class NotInstalled(ValueError):
    """The command's program is not on this machine."""


class Command(Synthesiser):
    """A program as synthesiser. `template` is its command line with {text} and {out}, and {speaker} or an attribute's name in braces
    where wanted; `renders` says what it makes audible; `words` what it calls a value ({"male": "rms", "female": "slt"}).

    No shell is involved: the template is split first and filled afterwards, so a text stays one argument whatever stands in it.
    """

    name = "command"
    sample_rate = 16_000
    workers = "threads"

    def __init__(
        self,
        template: str,
        renders: Mapping[str, Sequence[str]],
        words: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._arguments = _split(template)
        self._words, self._timeout = dict(words or {}), timeout
        for attribute, values in renders.items():
            for value in values:
                check({attribute: value})
        self.renders = {attribute: tuple(values) for attribute, values in renders.items()}
        self.version = f"1:{template}:{sorted(self._words.items())}"

    def speak(self, text: str, attributes: Mapping[str, str], speaker: int, seed: int = 0) -> Waveform:
        """What the program wrote for `text`; `Unspeakable` with its stderr where it fails, `audio.BadSound` where it wrote no sound.
        `seed` has no effect."""
        self.check(attributes)
        if "\0" in text:
            raise Unspeakable(f"no program can be given a text with a NUL character: {text!r}")
        with TemporaryDirectory(prefix="undertone-") as folder:
            out = Path(folder) / "speech.wav"
            # A text that begins with a dash would be read as an option.
            spoken = f" {text}" if text.startswith("-") else text
            values = {name: self._words.get(value, value) for name, value in attributes.items()}
            said = self._run({**values, "text": spoken, "out": str(out), "speaker": str(speaker)})
            if not out.exists():
                raise Unspeakable(f"command {self._arguments[0]!r} wrote no file for {text!r}; its stderr: {said}")
            sound = read_sound(out, self.sample_rate, where=f"command {self._arguments[0]!r}, {text!r}")
            return sound.wave.clip(-1, 1)  # resampling may overshoot

    def speaker_name(self, attributes: Mapping[str, str], speaker: int) -> str:
        """The number where the program is told it; else what it is told of the person, and a program that is told nothing is one person."""
        holes = {hole for argument in self._arguments for hole in _HOLE.findall(argument)}
        if "speaker" in holes:
            return str(speaker)
        told = [self._words.get(value, value) for name, value in attributes.items() if name in holes - {_STATE}]
        return "-".join(told) or Path(self._arguments[0]).name

    def _run(self, filling: Mapping[str, str]) -> str:
        """Run the program; the end of its stderr."""
        words = [_HOLE.sub(lambda hole: _filled(hole[1], filling), argument) for argument in self._arguments]
        # Its own session, so that a time-out ends what the program itself has started as well.
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            try:
                stderr = process.communicate(timeout=self._timeout)[1]
            except subprocess.TimeoutExpired:
                raise Unspeakable(f"command {words[0]!r} took longer than {self._timeout:g} s for {filling['text']!r}") from None
            finally:
                _end(process)
        said = stderr.decode(errors="replace").strip()[-500:] or "(nothing)"
        if process.returncode:
            raise Unspeakable(f"command {words[0]!r} ended with status {process.returncode} for {filling['text']!r}; its stderr: {said}")
        return said


def _split(template: str) -> list[str]:
    try:
        arguments = shlex.split(template)
    except ValueError as error:
        raise ValueError(f"command {template!r}: {error}") from None
    holes = _HOLE.findall(template)
    known = (*_NEEDED, "speaker", *ATTRIBUTES)
    for hole in holes:
        if hole not in known:
            raise ValueError(f"command {template!r}: unknown {{{hole}}}; known: {', '.join(known)}")
    for hole in _NEEDED:
        if hole not in holes:
            raise ValueError(f"command {template!r}: {{{hole}}} is missing")
    if shutil.which(arguments[0]) is None:
        raise NotInstalled(f"command {template!r}: no program {arguments[0]!r} here; install it or give its full path")
    return arguments


def _filled(hole: str, filling: Mapping[str, str]) -> str:
    if hole not in filling:
        raise ValueError(f"the command wants {{{hole}}} but the utterance has no such attribute")
    return filling[hole]


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
