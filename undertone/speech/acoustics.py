"""Measures of a wave that say how it was spoken: pitch, its range, energy, length of speech, formants.

Pure functions of mono samples, vectorised over frames of 40 ms every 10 ms.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

Floats = NDArray[np.float32] | NDArray[np.float64]

LOWEST, HIGHEST = 60.0, 600.0
"""Hz: the range in which F0 is looked for."""

_FRAME, _HOP = 0.040, 0.010
_OCTAVE_COST = 0.02  # favours the shorter period per octave (Boersma 1993, eq. 24 with 0.01–0.03)


class Measures(NamedTuple):
    """How one utterance sounds.

    `f0` median Hz and `f0_range` (10th to 90th percentile, semitones) of voiced frames; `voiced` their share; `energy` their mean level
    in dB of full scale; `seconds` of speech between its first and last loud frame; `envelope` (bands,) mean log power spectrum on
    a logarithmic frequency axis, its fine structure and slope removed. What cannot be measured is NaN.
    """

    f0: float
    f0_range: float
    voiced: float
    energy: float
    seconds: float
    envelope: Floats


def measure(wave: Floats, rate: int) -> Measures:
    """All measures of `wave` (samples,) at `rate` Hz."""
    frames = _frames(wave, rate)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-10)
    loud = level > level.max() - 30
    pitch, strength = pitches(frames, rate)
    voiced = loud & (strength > 0.5)
    return Measures(
        float(np.median(pitch[voiced])) if voiced.any() else np.nan,
        _range(pitch[voiced]) if voiced.any() else np.nan,
        float(voiced.mean()),
        float(level[voiced].mean()) if voiced.any() else np.nan,
        float(np.ptp(np.flatnonzero(loud)) * _HOP + _FRAME),
        envelope(frames[loud], rate),
    )


def _frames(wave: Floats, rate: int) -> Floats:
    length, hop = int(_FRAME * rate), int(_HOP * rate)
    padded = np.pad(np.asarray(wave, np.float32), (0, max(0, length - len(wave))))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


def _range(pitch: Floats) -> float:
    low, high = np.percentile(pitch, (10, 90))
    return float(12 * np.log2(high / low))


def pitches(frames: Floats, rate: int) -> tuple[Floats, Floats]:
    """F0 in Hz and strength (0–1) of each of `frames` (frames, samples): the highest peak of the autocorrelation divided by the
    window's own (Boersma 1993, Proc. Institute of Phonetic Sciences 17, eq. 9)."""
    lags = np.arange(int(rate / HIGHEST) - 1, int(rate / LOWEST) + 2)
    window = _window(frames.shape[1])
    size = 1 << int(frames.shape[1] + lags[-1]).bit_length()
    raw = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window, size)
    own = _autocorrelation(window[None], size)[0]
    heights = raw[:, lags[0] : lags[-1] + 1] / (raw[:, :1] + 1e-10) * (own[0] / own[lags])
    inner = heights[:, 1:-1]
    peak = (inner >= heights[:, :-2]) & (inner > heights[:, 2:])
    cost = (_OCTAVE_COST * np.log2(lags[1:-1] * LOWEST / rate)).astype(np.float32)
    best = ((inner - cost) * peak).argmax(axis=1)
    row = np.arange(len(frames))
    before, at, after = heights[row, best], inner[row, best], heights[row, best + 2]
    shift = 0.5 * (before - after) / np.minimum(before - 2 * at + after, -1e-9)
    return rate / (lags[1:-1][best] + np.clip(shift, -0.5, 0.5)), np.where(peak[row, best], at, 0.0)


def _autocorrelation(frames: Floats, size: int) -> Floats:
    spectrum = rfft(frames, size)
    powers: Floats = irfft(spectrum.real**2 + spectrum.imag**2, size)
    return powers


@cache
def _window(length: int) -> Floats:
    return np.hanning(length).astype(np.float32)


FORMANT_RATE = 11_000
"""Hz: five resonances of an adult's vocal tract lie below half of it."""

_POLES = 12  # two a resonance, and two for the slope (Markel & Gray 1976)
_LOWEST_FORMANT = 90.0  # Hz
_WIDEST_RESONANCE = 400.0  # Hz; what is wider is no formant


def formants(frames: Floats, count: int = 3) -> Floats:
    """Hz (frames, count) of the lowest resonances of `frames` (frames, samples) at 11 kHz: poles of a linear prediction by autocorrelation
    (Markel & Gray 1976) that are narrower than 400 Hz. NaN where there are fewer."""
    length = frames.shape[1]
    raw = _autocorrelation(frames * np.hamming(length), 1 << int(2 * length - 1).bit_length())[:, : _POLES + 1].astype(np.float64)
    raw[:, 0] = raw[:, 0] * 1.0001 + 1e-9  # a noise floor, so that silence has a solution
    companion = np.zeros((len(frames), _POLES, _POLES))
    companion[:, 0] = -_linear_prediction(raw)[:, 1:]
    companion[:, range(1, _POLES), range(_POLES - 1)] = 1
    poles = np.linalg.eigvals(companion)
    hertz, width = np.angle(poles) * FORMANT_RATE / (2 * np.pi), -np.log(np.abs(poles) + 1e-12) * FORMANT_RATE / np.pi
    narrow = (hertz > _LOWEST_FORMANT) & (hertz < FORMANT_RATE / 2 - _LOWEST_FORMANT) & (width < _WIDEST_RESONANCE)
    return np.sort(np.where(narrow, hertz, np.nan), axis=1)[:, :count]


def _linear_prediction(raw: Floats) -> Floats:
    """Coefficients (frames, 1 + order) of the Levinson-Durbin recursion on the autocorrelations `raw` (frames, 1 + order)."""
    found, error = np.zeros_like(raw), raw[:, 0].copy()
    found[:, 0] = 1
    for i in range(1, raw.shape[1]):
        reflection = -np.sum(found[:, :i] * raw[:, i:0:-1], axis=1) / error
        found[:, 1 : i + 1] += reflection[:, None] * found[:, :i][:, ::-1]
        error *= 1 - reflection**2
    return found


_BANDS = np.geomspace(200.0, 7200.0, 128)
_LIFTER = 0.00125  # seconds: keeps formants, drops the harmonics of voices up to 500 Hz
_WIDEST = 24  # bands: 0.68 in the logarithm, a factor of two


def envelope(frames: Floats, rate: int) -> Floats:
    """Mean log spectral envelope (bands,) of `frames` (frames, samples) from 200 Hz to 7.2 kHz on a logarithmic axis: cepstrally smoothed
    (Oppenheim & Schafer 1968), its level, slope and bend removed so that loudness and voice quality count for little."""
    size = 1 << (frames.shape[1] - 1).bit_length()
    spectrum = rfft(frames * _window(frames.shape[1]), size)
    cepstrum = irfft(np.log(spectrum.real**2 + spectrum.imag**2 + 1e-9).mean(axis=0), size)
    kept = int(_LIFTER * rate)
    cepstrum[kept : size - kept + 1] = 0
    smooth = np.interp(_BANDS, np.fft.rfftfreq(size, 1 / rate), rfft(cepstrum, size).real)
    axis = np.linspace(-1, 1, len(_BANDS))
    level: Floats = smooth - np.polyval(np.polyfit(axis, smooth, 2), axis)
    return level


def formant_ratio(first: Floats, second: Floats) -> float:
    """By what factor the formants of `first` lie above those of `second`, two envelopes of the same words: the shift along the
    logarithmic axis at which they agree best. A vocal tract k times shorter gives about k."""
    shifts = range(-_WIDEST, _WIDEST + 1)
    agreement = [_correlation(first[max(0, s) : len(first) + min(0, s)], second[max(0, -s) : len(second) + min(0, -s)]) for s in shifts]
    return float((_BANDS[1] / _BANDS[0]) ** shifts[int(np.argmax(agreement))])


def _correlation(first: Floats, second: Floats) -> float:
    a, b = first - first.mean(), second - second.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-12))
