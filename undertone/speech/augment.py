"""Waves made worse or merely other, on purpose: for training that should not lean on one microphone, and for sweeps that say how much a
model leans on it.

Pure functions of mono samples; what is random comes from a numpy `Generator`, so the same generator state gives the same samples. `speed`
moves pitch and formants along with tempo, by as much as tells some voices apart: leave it out where age or gender is what is learnt.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, fftconvolve, sosfilt

from undertone.audio import Wave
from undertone.lookup import suggest

_BLOCK = 256  # samples over which a level is taken: 16 ms at 16 kHz
_ACTIVE = 1e-3  # speech is what lies within 30 dB of the loudest block


def active_power(wave: Wave) -> float:
    """Mean square of the samples of `wave` in which somebody speaks: of the blocks within 30 dB of the loudest. 0 for silence."""
    if not len(wave):
        return 0.0
    starts = np.arange(0, len(wave), _BLOCK)
    sums = np.add.reduceat(np.square(wave), starts)
    powers = sums / np.diff(starts, append=len(wave))
    return float(powers[powers >= _ACTIVE * powers.max()].mean())


def gain(wave: Wave, decibels: float) -> Wave:
    """`wave` louder by `decibels`; nothing is clipped."""
    return wave * np.float32(10 ** (decibels / 20))


def _white(wave: Wave, rng: Generator) -> Wave:
    return rng.standard_normal(len(wave), dtype=np.float32)


def _pink(wave: Wave, rng: Generator) -> Wave:
    size = next_fast_len(len(wave), real=True)
    return _of_spectrum(_falling(size), rng, size)[: len(wave)]


def _speech(wave: Wave, rng: Generator) -> Wave:
    size = next_fast_len(len(wave), real=True)
    return _of_spectrum(np.abs(rfft(wave, size)), rng, size)[: len(wave)]


def _of_spectrum(magnitudes: Wave, rng: Generator, size: int) -> Wave:
    """Stationary Gaussian noise (size,) whose expected magnitudes are proportional to `magnitudes` (size // 2 + 1,)."""
    pairs = rng.standard_normal(2 * len(magnitudes), dtype=np.float32).view(np.complex64)
    noise: Wave = irfft(pairs * magnitudes, size)
    return noise


@lru_cache(16)  # a length each; clips of a thousand lengths must not pile up
def _falling(size: int) -> Wave:
    """Magnitudes that fall 3 dB per octave, nothing at 0 Hz."""
    bins = np.arange(size // 2 + 1, dtype=np.float32)
    return np.where(bins > 0, np.maximum(bins, 1) ** -0.5, 0).astype(np.float32)


COLOURS: Mapping[str, Callable[[Wave, Generator], Wave]] = MappingProxyType({"white": _white, "pink": _pink, "speech": _speech})
"""Kinds of noise. "speech" has the spectrum of the very utterance and no melody or rhythm: the hardest mask at a given level."""


def noise(wave: Wave, snr_db: float, rng: Generator, colour: str = "white") -> Wave:
    """`wave` with stationary noise of a `COLOURS` kind, `snr_db` below the level of its active samples. Silence stays silent.
    ValueError for an unknown colour."""
    _check_known(colour, COLOURS, "colour of noise")
    if not len(wave):
        return wave
    added = COLOURS[colour](wave, rng)
    power = float(np.mean(np.square(added)))
    factor = np.sqrt(active_power(wave) / (power * 10 ** (snr_db / 10))) if power else 0.0
    return wave + np.float32(factor) * added


def impulse_response(rate: int, rt60: float, rng: Generator, direct_db: float = 3.0) -> Wave:
    """A room's answer (samples,) to a click: 1 at sample 0, then Gaussian noise that falls 60 dB in `rt60` seconds, its energy
    `direct_db` below the direct sound's (the statistical model of Polack 1988). ValueError for a time that is not positive."""
    if rt60 <= 0:
        raise ValueError(f"rt60 is {rt60:g} s; a reverberation time is above 0")
    time = np.arange(1, max(2, round(rt60 * rate)), dtype=np.float32) / np.float32(rate)
    tail = rng.standard_normal(len(time), dtype=np.float32) * np.exp(np.float32(-3 * np.log(10) / rt60) * time)
    tail *= np.sqrt(10 ** (-direct_db / 10) / np.sum(tail**2))
    return np.concatenate([np.ones(1, np.float32), tail.astype(np.float32)])


def room(wave: Wave, rate: int, rt60: float, rng: Generator, direct_db: float = 3.0) -> Wave:
    """`wave` heard in a room that takes `rt60` seconds to fall silent: of the same length, not delayed, at the same mean power."""
    if not len(wave):
        return wave
    heard = fftconvolve(wave, impulse_response(rate, rt60, rng, direct_db))[: len(wave)].astype(np.float32)
    power = float(np.mean(np.square(heard)))
    kept: Wave = heard * np.float32(np.sqrt(np.mean(np.square(wave)) / power)) if power else heard
    return kept


_LINE_RATE, _LINE_BAND = 8_000, (300.0, 3_400.0)
_MU = 255.0


def telephone(wave: Wave, rate: int) -> Wave:
    """`wave` through a telephone line: 300–3400 Hz, 8 kHz, 8-bit mu-law (ITU-T G.711, its continuous curve), back at `rate`, of the same
    length. What is above full scale is clipped."""
    sampled = soxr.resample(wave, rate, _LINE_RATE, quality="MQ")
    if not len(sampled):
        return np.zeros_like(wave)
    narrow = sosfilt(_line(), sampled)
    back = soxr.resample(_companded(narrow.astype(np.float32)), _LINE_RATE, rate, quality="MQ")
    return _of_length(back, len(wave))


@cache
def _line() -> NDArray[np.float64]:
    sections: NDArray[np.float64] = butter(5, _LINE_BAND, "bandpass", fs=_LINE_RATE, output="sos")
    return sections


def _companded(wave: Wave) -> Wave:
    """`wave` rounded to the 255 levels of mu-law coding."""
    level = np.log1p(_MU * np.minimum(np.abs(wave), 1)) / np.float32(np.log1p(_MU))
    coded = np.round(127 * level) / np.float32(127)
    heard = np.sign(wave) * np.expm1(coded * np.float32(np.log1p(_MU))) / np.float32(_MU)
    return heard.astype(np.float32)


def _of_length(wave: Wave, length: int) -> Wave:
    return np.pad(wave[:length], (0, max(0, length - len(wave))))


def speed(wave: Wave, rate: int, factor: float) -> Wave:
    """`wave` played `factor` times as fast: its length is divided, its pitch and formants multiplied by `factor` (Ko et al. 2015).
    ValueError for a factor that is not positive."""
    _check_factor(factor)
    faster: Wave = soxr.resample(wave, rate * factor, rate, quality="MQ") if len(wave) else wave
    return faster


_OVERLAP, _SEARCH = 0.0125, 0.009  # seconds; the search to both sides spans a period of the lowest voice, 60 Hz


def stretch(wave: Wave, rate: int, factor: float) -> Wave:
    """`wave` made `factor` times as long, its pitch kept: overlapping pieces are shifted to where each continues the one before
    (WSOLA, Verhelst & Roelands 1993). ValueError for a factor that is not positive."""
    _check_factor(factor)
    hop, reach, length = max(1, int(_OVERLAP * rate)), int(_SEARCH * rate), round(len(wave) * factor)
    margin = hop + reach
    padded = np.pad(wave, (margin, margin + 3 * hop))
    count = -(-length // hop) + 1
    wanted = np.minimum(np.round(np.arange(count) * hop / factor).astype(np.int64), len(wave)) + reach
    pieces = padded[_starts(padded, wanted, hop, reach)[:, None] + np.arange(2 * hop)] * _fade(hop)
    joined = np.zeros((count + 1, hop), np.float32)
    joined[:-1] += pieces[:, :hop]
    joined[1:] += pieces[:, hop:]
    return joined.ravel()[hop : hop + length]


def _starts(padded: Wave, wanted: NDArray[np.int64], hop: int, reach: int) -> NDArray[np.int64]:
    """Where each piece of 2 `hop` samples starts: within `reach` of `wanted`, where it is most like the continuation of the last."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(padded, dtype=np.float64))])
    norm = (1 / np.sqrt(np.maximum(energy[2 * hop :] - energy[: -2 * hop], 0) + 1e-6)).astype(np.float32)
    starts = wanted.copy()
    for i in range(1, len(starts)):
        first, after = int(wanted[i]) - reach, int(starts[i - 1]) + hop
        template = padded[after : after + 2 * hop]
        likeness = np.correlate(padded[first : first + 2 * (reach + hop)], template) * norm[first : first + 2 * reach + 1]
        starts[i] = first + likeness.argmax()
    return starts


@cache
def _fade(hop: int) -> Wave:
    """A Hann window (2 hop,) whose copies, `hop` apart, add up to 1."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * hop) + 0.5) / hop)).astype(np.float32)


def _check_factor(factor: float) -> None:
    if not factor > 0:
        raise ValueError(f"the factor is {factor:g}; a tempo changes by a factor above 0")


def spec_augment(
    frames: NDArray[np.float32],
    rng: Generator,
    time_masks: int = 2,
    longest: int = 40,
    share: float = 0.2,
    bin_masks: int = 2,
    widest: int = 27,
) -> NDArray[np.float32]:
    """A copy of log-mel `frames` (frames, bins) with stripes of their mean (SpecAugment, Park et al. 2019, no time warping).

    Each of `time_masks` covers 0 to `longest` frames, never more than `share` of all; each of `bin_masks` 0 to `widest` bins.
    """
    masked = frames.copy()
    if not masked.size:
        return masked
    mean = frames.mean()
    for axis, count, most in ((0, time_masks, min(longest, int(share * len(frames)))), (1, bin_masks, min(widest, frames.shape[1]))):
        for _ in range(count):
            width = rng.integers(most + 1)
            start = rng.integers(frames.shape[axis] - width + 1)
            masked[(slice(None),) * axis + (slice(start, start + width),)] = mean
    return masked


def _snr(snr_db: float) -> Callable[[Wave, int, Generator], Wave]:
    return lambda wave, rate, rng: noise(wave, snr_db, rng, "pink")


CONDITIONS: Mapping[str, Callable[[Wave, int, Generator], Wave]] = MappingProxyType(
    {
        "clean": lambda wave, rate, rng: wave,
        "snr20": _snr(20),
        "snr10": _snr(10),
        "snr5": _snr(5),
        "snr0": _snr(0),
        "telephone": lambda wave, rate, rng: telephone(wave, rate),
        "room": lambda wave, rate, rng: room(wave, rate, 0.5, rng, direct_db=0.0),
    }
)
"""Recording conditions of the robustness sweep: pink noise at an SNR in dB, a telephone line, a room of 0.5 s, half of it echo."""


def condition(name: str, wave: Wave, rate: int, seed: int) -> Wave:
    """`wave` (samples,) at `rate` Hz as recorded in `CONDITIONS[name]`, peaks held to full scale. ValueError lists the names."""
    _check_known(name, CONDITIONS, "condition")
    return _within(CONDITIONS[name](wave, rate, np.random.default_rng(seed)))


def _within(wave: Wave) -> Wave:
    """`wave`, turned down where it would clip."""
    peak = float(np.abs(wave).max(initial=0))
    return wave / np.float32(peak) if peak > 1 else wave


def _check_known(name: str, table: Mapping[str, object], kind: str) -> None:
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}{suggest(name, table)}; known: {', '.join(table)}")


class Draw(NamedTuple):
    """With `probability`, a number drawn evenly between `low` and `high`."""

    probability: float
    low: float
    high: float

    def __call__(self, rng: Generator) -> float | None:
        """The number, or None where the change is left out; takes two numbers from `rng` either way."""
        happens, where = rng.random(2)
        return self.low + (self.high - self.low) * where if happens < self.probability else None


class Augment(NamedTuple):
    """A random change of a training wave, new at every call: how often each step happens and from which range it is drawn.

    In the order in which a recording goes wrong: factors of `speed` and `stretch`, seconds of `room`, dB of `noise` (SNR, a colour drawn
    evenly) and of `gain`, and how often there is a `telephone` line. Peaks are held to full scale.
    """

    speed: Draw = Draw(0.5, 0.9, 1.1)
    stretch: Draw = Draw(0.3, 0.85, 1.15)
    room: Draw = Draw(0.3, 0.2, 0.6)
    noise: Draw = Draw(0.5, 5.0, 30.0)
    gain: Draw = Draw(0.5, -6.0, 6.0)
    telephone: float = 0.0

    def __call__(self, wave: Wave, rate: int, rng: Generator) -> Wave:
        """`wave` (samples,) at `rate` Hz changed by what `rng` says."""
        if (factor := self.speed(rng)) is not None:
            wave = speed(wave, rate, factor)
        if (factor := self.stretch(rng)) is not None:
            wave = stretch(wave, rate, factor)
        if (seconds := self.room(rng)) is not None:
            wave = room(wave, rate, seconds, rng)
        if (snr := self.noise(rng)) is not None:
            wave = noise(wave, snr, rng, tuple(COLOURS)[rng.integers(len(COLOURS))])
        if rng.random() < self.telephone:
            wave = telephone(wave, rate)
        if (decibels := self.gain(rng)) is not None:
            wave = gain(wave, decibels)
        return _within(wave)
