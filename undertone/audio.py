"""Any sound file, or its bytes → mono float32 at the asked rate, or an error that names the file and the reason; and FLAC out."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from undertone.run import write_atomic

Wave = NDArray[np.float32]

SHORTEST, LONGEST = 0.05, 300.0
"""Seconds: less makes no audio token, more is what no audio front end takes in one piece."""

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
    """What is no usable sound; `reason` says why without the name of the file or of whoever sent it."""

    def __init__(self, where: Path | str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self._where = where

    def __reduce__(self) -> tuple[type["BadSound"], tuple[Path | str, str]]:
        return BadSound, (self._where, self.reason)


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


def read_sound(source: Path | BinaryIO, rate: int, longest: float = LONGEST, where: str = "") -> Sound:
    """The sound of a file, or of the bytes of one, at `rate` Hz, channels averaged. `BadSound` begins with `where` (empty: the file's name)
    where it is missing, empty, no audio, corrupt, without samples, not finite, or shorter or longer than an utterance may be."""
    name = where or (source if isinstance(source, Path) else "bytes")
    wave, own_rate, channels = _decode(source, name, longest)
    if not np.isfinite(wave).all():
        raise BadSound(name, "holds samples that are NaN or infinite")
    if own_rate != rate:
        wave = soxr.resample(wave, own_rate, rate, quality="HQ")
    if len(wave) < SHORTEST * rate:
        raise BadSound(name, f"lasts {1000 * len(wave) / rate:.0f} ms, too short to be heard" if len(wave) else "holds no samples")
    return Sound(wave, rate, own_rate != rate, channels > 1)


def _decode(source: Path | BinaryIO, name: Path | str, longest: float) -> tuple[Wave, int, int]:
    """Mono samples, their own rate, their number of channels."""
    try:
        with _opened(source, name) as file:
            return _read(file, name, longest), file.samplerate, file.channels
    except soundfile.LibsndfileError as error:
        raise BadSound(name, f"is no sound file or a corrupt one ({error.error_string.strip()})") from None
    except OSError as error:
        raise BadSound(name, f"cannot be opened ({error.strerror})") from None


@contextmanager
def _opened(source: Path | BinaryIO, name: Path | str) -> Iterator[soundfile.SoundFile]:
    if not isinstance(source, Path):
        with soundfile.SoundFile(source) as file:
            yield file
        return
    if not source.is_file():
        raise BadSound(name, "is not a file" if source.exists() else "no such file")
    if not source.stat().st_size:
        raise BadSound(name, "is empty")
    # A descriptor, not a name: libsndfile then goes by the content, whatever the file is called.
    with source.open("rb") as handle, soundfile.SoundFile(handle.fileno(), closefd=False) as file:
        yield file


def _read(file: soundfile.SoundFile, name: Path | str, longest: float) -> Wave:
    if file.samplerate not in _RATES:
        raise BadSound(name, f"has a sample rate of {file.samplerate} Hz, outside {_RATES.start}–{_RATES.stop - 1}")
    _check_length(name, file.frames / file.samplerate, longest)
    blocks = []
    for block in _blocks(file):
        blocks.append(block.mean(axis=1))
        _check_length(name, sum(map(len, blocks)) / file.samplerate, longest)
    if file.format == "FLAC" and sum(map(len, blocks)) < file.frames:
        raise BadSound(name, f"is cut off after {sum(map(len, blocks))} of {file.frames} samples")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _blocks(file: soundfile.SoundFile) -> Iterator[Wave]:
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        yield block


def _check_length(name: Path | str, seconds: float, longest: float) -> None:
    if seconds > longest:
        raise BadSound(name, f"lasts {seconds:.0f} s or more, the limit is {longest:.0f} s: cut it into utterances")


def write_flac(path: Path, wave: Wave, rate: int) -> None:
    """Write `wave` (samples,) in [−1, 1] as 16-bit FLAC, whole or not at all. ValueError where it is not finite, not mono or empty."""
    if wave.ndim != 1 or not len(wave) or not np.isfinite(wave).all():
        raise ValueError(f"{path}: a wave to write is mono, finite and not empty; got shape {wave.shape}")
    encoded = io.BytesIO()
    soundfile.write(encoded, wave, rate, format="FLAC", subtype="PCM_16")
    write_atomic(path, encoded.getvalue())
