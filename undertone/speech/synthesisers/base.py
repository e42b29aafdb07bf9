"""What a synthesiser is: a name, a version, what it renders, and `speak`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
"""Mono samples in [−1, 1]."""


class Unspeakable(RuntimeError):
    """A text that cannot be spoken in this voice, and why: no reason to give up the others."""


class Synthesiser(ABC):
    """Text → speech in a given voice. `renders` names the attribute values it can make audible; where it depends on how a synthesiser
    is set up, the class renders nothing and its objects say what they do."""

    name: str
    version: str
    sample_rate: int
    renders: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    workers: ClassVar[Literal["processes", "threads"]] = "processes"
    concurrency: int = 0
    """Texts at most that are spoken at once by one that threads share; 0: as many as there are workers."""

    @abstractmethod
    def speak(self, text: str, attributes: Mapping[str, str], speaker: int, seed: int) -> Waveform:
        """`text` said with `attributes` by simulated speaker number `speaker`; the same arguments give the same samples.
        `Unspeakable` and `audio.BadSound` turn away this one rendering; every other error ends the whole synthesis."""

    def count_spoken(self, text: str, attributes: Mapping[str, str]) -> None:  # noqa: B027, most cost nothing
        """Take note of what an earlier start has had spoken, where that counts towards a spend limit."""

    def speaker_name(self, attributes: Mapping[str, str], speaker: int) -> str:
        """Who is heard: two speaker numbers of one name are one voice. Unless said otherwise, every number is somebody else."""
        return str(speaker)

    def voices(self, speaker: int) -> frozenset[str]:
        """Every name that is heard under number `speaker`, whatever the attributes."""
        everything = product(*self.renders.values())
        return frozenset(self.speaker_name(dict(zip(self.renders, values, strict=True)), speaker) for values in everything)

    def check(self, attributes: Mapping[str, str]) -> None:
        """Raise ValueError where a value is asked for that this synthesiser does not render, naming those that could."""
        from undertone.speech.synthesisers import who_renders

        for attribute, value in attributes.items():
            if value not in self.renders.get(attribute, ()):
                able = who_renders(attribute, value) or "none that is installed"
                raise ValueError(f"synthesiser {self.name!r} does not render {attribute}={value}; able to: {able}")
