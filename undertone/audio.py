"""Any sound file → mono float32 at the asked rate, or an error that names the file and the reason; and FLAC out."""

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from undertone.run import write_atomic

Wave = NDArray[np.float32]

LONGEST = 300.0
"""Seconds: what the widest audio front ends take in one piece."""

_RATES = range(4_000, 768_001)
_BLOCK = 1 << 16


class Sound(NamedTuple):
    """`wave` (samples,) mono at `rate` Hz, and whether the file had another rate or several channels."""

    wave: Wave
    rate: int
    resampled: bool
    downmixed: bool

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.wave) / self.rate


class BadSound(ValueError):
    """A file that is no usable sound; `reason` says why without the file's name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason
        self._path = path

    def __reduce__(self) -> tuple[type["BadSound"], tuple[Path, str]]:
        return BadSound, (self._path, self.reason)


@dataclass
class Conversions:
    """Counts what was converted, so that a run warns once and not once a file."""

    files: int = 0
    resampled: int = 0
    downmixed: int = 0

    def add(self, sound: Sound) -> Wave:
        """Count one file and pass its wave on."""
        self.files += 1
        self.resampled += sound.resampled
        self.downmixed += sound.downmixed
        return sound.wave

    def warn(self, where: Path, rate: int) -> None:
        """Log one warning where anything was converted."""
        if self.resampled or self.downmixed:
            logging.getLogger(__name__).warning(
                "%s: of %d clips %d were at another rate and %d in stereo; converted to %d Hz mono",
                where, self.files, self.resampled, self.downmixed, rate,
            )  # fmt: skip


def read_sound(path: Path, rate: int, longest: float = LONGEST) -> Sound:
    """The file's sound at `rate` Hz, channels averaged. `BadSound` where it is missing, empty, no audio, corrupt, without samples, not
    finite, or longer than `longest` seconds."""
    wave, own_rate, channels = _decode(path, longest)
    if not np.isfinite(wave).all():
        raise BadSound(path, "holds samples that are NaN or infinite")
    if own_rate != rate:
        wave = soxr.resample(wave, own_rate, rate, quality="HQ")
    if not len(wave):
        raise BadSound(path, "holds no samples")
    return Sound(wave, rate, own_rate != rate, channels > 1)


def _decode(path: Path, longest: float) -> tuple[Wave, int, int]:
    """Mono samples, the file's own rate, its number of channels."""
    try:
        if not path.is_file():
            raise BadSound(path, "is not a file" if path.exists() else "no such file")
        if not path.stat().st_size:
            raise BadSound(path, "is empty")
        # A descriptor, not a name: libsndfile then goes by the content, whatever the file is called.
        with path.open("rb") as handle, soundfile.SoundFile(handle.fileno(), closefd=False) as file:
            return _read(file, path, longest), file.samplerate, file.channels
    except soundfile.LibsndfileError as error:
        raise BadSound(path, f"is no sound file or a corrupt one ({error.error_string.strip()})") from None
    except OSError as error:
        raise BadSound(path, f"cannot be opened ({error.strerror})") from None


def _read(file: soundfile.SoundFile, path: Path, longest: float) -> Wave:
    if file.samplerate not in _RATES:
        raise BadSound(path, f"has a sample rate of {file.samplerate} Hz, outside {_RATES.start}–{_RATES.stop - 1}")
    _check_length(path, file.frames / file.samplerate, longest)
    blocks = []
    for block in _blocks(file):
        blocks.append(block.mean(axis=1))
        _check_length(path, sum(map(len, blocks)) / file.samplerate, longest)
    if file.format == "FLAC" and sum(map(len, blocks)) < file.frames:
        raise BadSound(path, f"is cut off after {sum(map(len, blocks))} of {file.frames} samples")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _blocks(file: soundfile.SoundFile) -> Iterator[Wave]:
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        yield block


def _check_length(path: Path, seconds: float, longest: float) -> None:
    if seconds > longest:
        raise BadSound(path, f"lasts {seconds:.0f} s or more, the limit is {longest:.0f} s: cut it into utterances")


def write_flac(path: Path, wave: Wave, rate: int) -> None:
    """Write `wave` (samples,) in [−1, 1] as 16-bit FLAC, whole or not at all. ValueError where it is not finite, not mono or empty."""
    if wave.ndim != 1 or not len(wave) or not np.isfinite(wave).all():
        raise ValueError(f"{path}: a wave to write is mono, finite and not empty; got shape {wave.shape}")
    encoded = io.BytesIO()
    soundfile.write(encoded, wave, rate, format="FLAC", subtype="PCM_16")
    write_atomic(path, encoded.getvalue())
