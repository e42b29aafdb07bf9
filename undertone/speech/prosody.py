"""Prosody written out: contours of pitch, periodicity and energy for encoders, and one vector an utterance for plain classifiers.

Pure functions of mono samples at 100 frames a second, frame k centred on k / 100 s, as many as log-mel frames: ceil(100 · seconds).
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import dct, rfft
from scipy.ndimage import convolve1d, median_filter
from scipy.signal import butter, find_peaks, sosfilt

from undertone.audio import Wave
from undertone.speech.acoustics import FORMANT_RATE, Floats, formants, pitches

FRAMES = 100
"""Frames a second."""

VOICED, LOUD = 0.5, 30.0
"""A frame is voiced where its periodicity is above the one and its level less than the other, in dB, below the loudest frame's."""

_RATE = 16_000
_PITCH_FRAME = 640  # 40 ms: 2.4 periods of the lowest voice
_PITCH_BAND = 2_000.0  # Hz; a bright voice's peaks would fall between two lags, and twice the period would win
_NEAR = 21  # voiced frames whose median says where a voice is
_SLIPS = np.log2([1 / 3, 1 / 2, 1, 2, 3])  # octaves by which the highest peak may miss the period


class Contours(NamedTuple):
    """How an utterance moves, a value a frame: `f0` (frames,) Hz, 0 where unvoiced; `periodicity` (frames,) from 0, noise, to 1, a buzz;
    `energy` (frames,) level of 40 ms in dB of full scale, −100 for silence. All float32."""

    f0: Wave
    periodicity: Wave
    energy: Wave


def contours(wave: Wave, rate: int) -> Contours:
    """The contours of `wave` (samples,) at `rate` Hz; F0 between 60 and 600 Hz."""
    count = -(-len(wave) * FRAMES // rate)
    if not count:
        return Contours(*np.zeros((3, 0), np.float32))
    low = sosfilt(_low_pass(), _at_rate(wave, rate)).astype(np.float32)
    f0, periodicity = pitches(_frames(low, _PITCH_FRAME, count), _RATE)
    energy = _energy(wave, rate, count)
    voiced = (periodicity > VOICED) & (energy > energy.max() - LOUD)
    smooth = np.zeros(count, np.float32)
    smooth[voiced] = _one_register(f0[voiced])
    return Contours(smooth, np.clip(periodicity, 0, 1).astype(np.float32), energy)


def _at_rate(wave: Wave, rate: int) -> Wave:
    """`wave` at 16 kHz, a sample or more where it has any."""
    at_rate: Wave = wave if rate == _RATE else soxr.resample(wave, rate, _RATE, quality="MQ")
    return at_rate if len(at_rate) else np.zeros(1, np.float32)


@cache
def _low_pass() -> Floats:
    sections: Floats = butter(2, _PITCH_BAND, fs=_RATE, output="sos")
    return sections


def _frames(wave: Wave, length: int, count: int, rate: int = _RATE) -> Wave:
    """(count, length) samples of `wave`, at `rate` Hz, around every centre, zeros beyond the ends."""
    hop = rate // FRAMES
    padded = np.pad(wave, (length // 2, max(0, count * hop + length - length // 2 - len(wave))))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[: count * hop : hop]


def _energy(wave: Wave, rate: int, count: int) -> Wave:
    """dB (count,) of the mean square within 20 ms of every centre; a frame at an end is as long as there are samples."""
    total = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    centres = np.arange(count) * rate // FRAMES
    first, last = np.maximum(centres - rate // 50, 0), np.minimum(centres + rate // 50, len(wave))
    mean = np.maximum(total[last] - total[first], 0) / (last - first)
    return np.asarray(10 * np.log10(mean + 1e-10), np.float32)


def _one_register(f0: Floats) -> Floats:
    """`f0` (voiced frames,) with those that are 2, 3, 1/2 or 1/3 times their neighbours' put back, then the median of three."""
    if not len(f0):
        return f0
    off = np.log2(f0 / median_filter(f0, _NEAR, mode="nearest"))
    nearest = _SLIPS[np.abs(off[:, None] - _SLIPS).argmin(axis=1)]
    slip = np.where(np.abs(off - nearest) < 0.15, nearest, 0)
    smooth: Floats = median_filter(f0 * 2.0**-slip, 3, mode="nearest")
    return smooth


_LENGTH, _SIZE, _BANDS, _CEPSTRA = 400, 512, 40, 20
_FLOOR = 1e-8  # about the rounding noise of 16 bits in a bin


def _power(wave: Wave, rate: int) -> Floats:
    """Power spectra (frames, 257) of 25 ms Hann windows at 16 kHz."""
    count = -(-len(wave) * FRAMES // rate)
    spectrum = rfft(_frames(_at_rate(wave, rate), _LENGTH, count) * np.hanning(_LENGTH).astype(np.float32), _SIZE)
    power: Floats = spectrum.real**2 + spectrum.imag**2
    return power


def _log_mel(power: Floats) -> Floats:
    """(frames, 40) natural logarithms of the power in each band."""
    mel: Floats = np.log(power @ _filters() + np.float32(_FLOOR))
    return mel


@cache
def _filters() -> Wave:
    """Triangles (257, bands) between neighbours of neighbours among the edges."""
    edges = _edges()
    bins = np.fft.rfftfreq(_SIZE, 1 / _RATE)[:, None]
    rising, falling = (bins - edges[:-2]) / np.diff(edges[:-1]), (edges[2:] - bins) / np.diff(edges[1:])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _edges() -> Floats:
    """Hz (bands + 2,) from 20 Hz to 8 kHz, evenly spaced in mel = 2595 log10(1 + f / 700): each but the outermost is a band's centre."""
    lowest, highest = 2595 * np.log10(1 + np.array([20.0, 8000.0]) / 700)
    return np.asarray(700 * (10 ** (np.linspace(lowest, highest, _BANDS + 2) / 2595) - 1))


COURSE = (*(f"mel_{band}" for band in range(1, _BANDS + 1)), "f0", "voiced", "energy", "f1", "f2", "f3")
"""Names of the columns of `course`, in their order."""


def course(wave: Wave, rate: int) -> Wave:
    """How `wave` (samples,) at `rate` Hz moves, (frames, len(COURSE)): `mel_*` natural logarithms of the power in 40 mel bands, `f0` in
    semitones above 100 Hz, `voiced` 0 or 1, `energy` in dB of full scale, `f1` to `f3` formants in octaves above 100 Hz. F0 and formants
    are NaN where there is no voice, formants also where they cannot be found."""
    moving = contours(wave, rate)
    voiced = moving.f0 > 0
    f0 = 12 * np.log2(np.where(voiced, moving.f0, np.nan) / 100)
    resonances = np.full((len(voiced), 3), np.nan)
    if voiced.any():
        resonances[voiced] = np.log2(formants(_emphasised(wave, rate, len(voiced))[voiced]) / 100)
    return np.column_stack([_log_mel(_power(wave, rate)), f0, voiced, moving.energy, resonances]).astype(np.float32)


def _emphasised(wave: Wave, rate: int, count: int) -> Wave:
    """Frames (count, samples) of 25 ms at 11 kHz around every centre, their falling spectrum made level (pre-emphasis)."""
    low = soxr.resample(wave, rate, FORMANT_RATE, quality="MQ")
    level = np.append(low[:1], low[1:] - np.float32(0.97) * low[:-1])
    return _frames(level, FORMANT_RATE // 40, count, FORMANT_RATE)


_PERCENTILES = (5, 25, 50, 75, 95)
_MFCC = tuple(f"{what}_{i}_{how}" for what in ("mfcc", "delta") for how in ("mean", "std") for i in range(1, _CEPSTRA + 1))
_SPREAD = ("mean", "std", *(f"p{p}" for p in _PERCENTILES), "range")
_F0 = (*(f"f0_{how}" for how in _SPREAD), "f0_slope", "f0_movement", "voiced")
_ENERGY = (*(f"energy_{how}" for how in _SPREAD), "energy_slope", "peaks_per_second", "seconds")
_SPECTRUM = ("tilt_mean", "tilt_std", "centroid_mean", "centroid_std")

STATISTICS = _MFCC + _F0 + _ENERGY + _SPECTRUM
"""Names of what `statistics` returns, in its order."""


def statistics(wave: Wave, rate: int) -> Wave:
    """One vector (len(STATISTICS),) of how the utterance `wave` (samples,) at `rate` Hz sounds, finite whatever the wave.

    Over loud frames `mfcc_*`, cepstra 1 to 20 of 40 mel bands (Davis & Mermelstein 1980), `delta_*`, their slope over ±2 frames, `tilt_*`
    of the mel spectrum in dB an octave and `centroid_*` in octaves above 100 Hz; `f0_*` over voiced frames in semitones above 100 Hz,
    its slope over the utterance in semitones a second, its mean movement from frame to frame; `voiced`, their share of the loud ones;
    `energy_*` in dB of full scale and dB a second; `peaks_per_second`, energy maxima, about one a syllable; `seconds` from the first to
    the last loud frame. What cannot be measured is 0.
    """
    if not len(wave):
        return np.zeros(len(STATISTICS), np.float32)
    course, power = contours(wave, rate), _power(wave, rate)
    loud = course.energy > course.energy.max() - LOUD
    parts = (_of_mfcc(power, loud), _of_f0(course, loud), _of_energy(course.energy, loud), _of_spectrum(power[loud]))
    return np.concatenate(parts).astype(np.float32)


def _of_mfcc(power: Floats, loud: NDArray[np.bool_]) -> Floats:
    cepstra: Floats = dct(_log_mel(power), norm="ortho", axis=1)[:, 1 : _CEPSTRA + 1]
    both = np.concatenate([cepstra, _deltas(cepstra)], axis=1)[loud].reshape(-1, 2, _CEPSTRA)
    return np.concatenate([both.mean(axis=0), both.std(axis=0)], axis=1).ravel()


def _deltas(frames: Floats) -> Floats:
    """Regression slope a frame over ±2 frames (Furui 1986), the ends repeated."""
    padded = frames[np.clip(np.arange(-2, len(frames) + 2), 0, len(frames) - 1)]
    slopes: Floats = (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10
    return slopes


def _of_f0(course: Contours, loud: NDArray[np.bool_]) -> Floats:
    voiced = np.flatnonzero(course.f0)
    if not len(voiced):
        return np.zeros(len(_F0))
    pitch = 12 * np.log2(course.f0[voiced] / 100)
    neighbours = np.diff(voiced) == 1
    movement = np.abs(np.diff(pitch))[neighbours].mean() if neighbours.any() else 0.0
    return np.array([*_spread(pitch), _slope(voiced, pitch), movement, len(voiced) / loud.sum()])


def _of_energy(energy: Floats, loud: NDArray[np.bool_]) -> Floats:
    where = np.flatnonzero(loud)
    seconds = (where[-1] - where[0] + 1) / FRAMES
    smooth = convolve1d(energy, np.hanning(9)[1:-1] / 4, mode="nearest")
    peaks, _ = find_peaks(smooth[where[0] : where[-1] + 1], prominence=3, distance=8)
    return np.array([*_spread(energy[loud]), _slope(where, energy[loud]), len(peaks) / seconds, seconds])


def _of_spectrum(power: Floats) -> Floats:
    octaves = np.log2(_edges()[1:-1] / 100)
    levels, centred = 10 / np.log(10) * _log_mel(power), octaves - octaves.mean()
    tilt = levels @ centred / (centred @ centred)
    weights = power @ _filters() + _FLOOR
    centroid = weights @ octaves / weights.sum(axis=1)
    return np.array([tilt.mean(), tilt.std(), centroid.mean(), centroid.std()])


def _spread(values: Floats) -> list[float]:
    """Mean, standard deviation, percentiles and the range between the outermost of them."""
    percentiles = np.percentile(values, _PERCENTILES)
    return [float(values.mean()), float(values.std()), *percentiles, float(percentiles[-1] - percentiles[0])]


def _slope(frames: NDArray[np.int64], values: Floats) -> float:
    """Regression slope a second."""
    time = (frames - frames.mean()) / FRAMES
    return float(time @ values / max(float(time @ time), 1e-9))
