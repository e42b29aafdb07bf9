"""What a model is given of a clip: its sound, as it is or through a condition, and on demand relative to its speaker's other clips."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.audio import BadSound, Conversions, Wave
from undertone.models.base import SpeechLM
from undertone.models.endpoint import Served
from undertone.models.frozen_llm import FrozenLLM
from undertone.progress import bar
from undertone.records import Rejected, Utterance
from undertone.run import Journal
from undertone.speech.augment import condition
from undertone.speech.folder import Data, load_sound
from undertone.speech.speakers import Scale, scales


class Sounds:
    """Opens clips of `data` for `model`; `through` names the condition they are heard under."""

    def __init__(self, data: Data, model: SpeechLM | Served, through: str = "clean", per_speaker: bool = False) -> None:
        if per_speaker and not isinstance(model, FrozenLLM):
            raise ValueError(f"per_speaker: {model.family} hears clips one by one; only models that undertone align made can be told more")
        self.data, self.model, self.through, self.per_speaker = data, model, through, per_speaker
        self.counts = Conversions()

    def __call__(self, row: Utterance) -> NDArray[np.float32]:
        """The wave or, relative to its speaker, the frames; `audio.BadSound` where the file cannot be used."""
        wave = self.wave(row)
        if not self.per_speaker:
            return wave
        assert isinstance(self.model, FrozenLLM)
        return self.model.front.encoder.of_speaker(self.model.frames(wave), self._scales[row.speaker])

    def frames(self, row: Utterance) -> Tensor:
        """The frames (frame, bins), relative to the speaker or not; `audio.BadSound` where the file cannot be used."""
        assert not isinstance(self.model, Served)
        sound = self(row)
        return torch.from_numpy(sound if sound.ndim == 2 else self.model.frames(sound))

    def wave(self, row: Utterance) -> Wave:
        """The wave (samples,) at the model's rate."""
        heard = self.counts.add(load_sound(self.data, row, self.model.sample_rate))
        if (seconds := len(heard) / self.model.sample_rate) > self.model.seconds_at_most:
            most = f"{self.model.family} hears {self.model.seconds_at_most:.0f} s at most; cut it"
            raise BadSound(self.data.folder / row.file_name, f"lasts {seconds:.1f} s, {most}")
        return heard if self.through == "clean" else condition(self.through, heard, self.model.sample_rate, _number(row.id))

    def key(self, row: Utterance) -> str:
        """Changes with the file: two manifests may use one id for two sounds, and a clip may be recorded again."""
        path = self.data.folder / row.file_name
        stat = path.stat() if path.exists() else None
        how = [] if self.through == "clean" else [self.through]
        how += [repr(sorted(one.id for one in self._voices[row.speaker]))] if self.per_speaker else []
        made_of = (row.id, row.file_name, stat and stat.st_size, stat and stat.st_mtime_ns, *how)
        return sha256(repr(made_of).encode()).hexdigest()[:24]

    @cached_property
    def _voices(self) -> Mapping[str, Sequence[Utterance]]:
        found: dict[str, list[Utterance]] = {}
        for row in self.data.utterances:
            found.setdefault(row.speaker, []).append(row)
        return found

    @cached_property
    def _scales(self) -> Mapping[str, Scale]:
        """Of every speaker, from all that can be heard of it."""
        assert isinstance(self.model, FrozenLLM)
        frames = self.model.frames
        able = (row for row in bar("getting to know the speakers")(self.data.utterances) if self._usable(row))
        return scales(able, lambda row: frames(self.wave(row)))

    def _usable(self, row: Utterance) -> bool:
        try:
            load_sound(self.data, row, self.model.sample_rate)
        except BadSound:
            return False
        return True


def _number(name: str) -> int:
    """A seed of the clip's own, so that its noise is the same in every run."""
    return int(sha256(name.encode()).hexdigest()[:8], 16)


def usable(sounds: Sounds, rejected: Journal, strict: bool) -> Callable[[Utterance], NDArray[np.float32] | None]:
    """What `sounds` gives of a clip; None, once it is noted in `rejected` (`strict`: an error), where it cannot be used."""
    known = {row.id for row in rejected.rows(Rejected)}

    def wave(row: Utterance) -> NDArray[np.float32] | None:
        try:
            return sounds(row)
        except BadSound as error:
            if strict:
                raise
            if row.id not in known:
                rejected.append([Rejected(id=row.id, file_name=row.file_name, reason=error.reason)])
                known.add(row.id)
            return None

    return wave
