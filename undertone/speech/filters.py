"""Why an utterance is turned away: unusable sound, or a pair whose voices do not differ the way their attribute values say."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from undertone import attributes
from undertone.speech.acoustics import Measures, formant_ratio, measure

SHORTEST, LONGEST = 0.3, 30.0
"""Seconds of an utterance."""

_FULL, _CLIPPED = 0.999, 0.001  # samples this near full scale; the share of them that clipping shows by
_SILENT = -60.0  # dB of full scale


def reason_to_reject(wave: NDArray[np.float32], rate: int, shortest: float = SHORTEST, longest: float = LONGEST) -> str | None:
    """What is wrong with `wave` (samples,) as an utterance, in words, or None."""
    seconds = len(wave) / rate
    if seconds < shortest:
        return f"too short: {seconds:.2f} s, at least {shortest:g} s"
    if seconds > longest:
        return f"too long: {seconds:.1f} s, at most {longest:g} s"
    if not np.isfinite(wave).all():
        return "not finite: NaN or infinite samples"
    level = 10 * np.log10(float(np.mean(np.square(wave, dtype=np.float64))) + 1e-20)
    if level < _SILENT:
        return f"silent: {level:.0f} dB of full scale, at least {_SILENT:.0f} dB"
    clipped = float(np.mean(np.abs(wave) >= _FULL))
    return f"clipped: {clipped:.1%} of the samples at full scale, at most {_CLIPPED:.1%}" if clipped > _CLIPPED else None


class Spread(NamedTuple):
    """How a cue is told apart: its unit, and how far it wanders for no reason."""

    unit: str
    typical: float


# Of the order of the scatter over pairs of the embedded synthesiser within one emotion contrast: 0.4–3 semitones, 1–3 % (formants),
# 1–5 % (rate), 0.2–1.5 dB.
CUES: Mapping[str, Spread] = MappingProxyType(
    {"f0": Spread("semitones", 1.0), "formants": Spread("%", 3.0), "rate": Spread("%", 4.0), "energy": Spread("dB", 1.0)}
)


def differences(first: Measures, second: Measures) -> dict[str, float]:
    """Every cue of `first` above that of `second`, which says the same words, in the units of `CUES`. NaN where either is unvoiced."""
    return {
        "f0": 12 * float(np.log2(first.f0 / second.f0)),
        "formants": 100 * float(np.log(formant_ratio(first.envelope, second.envelope))),
        "rate": 100 * float(np.log(second.seconds / first.seconds)),
        "energy": first.energy - second.energy,
    }


def pair_reason(waves: tuple[NDArray[np.float32], NDArray[np.float32]], rate: int, attribute: str, values: tuple[str, str]) -> str | None:
    """Why the two `waves`, the same words said with the two `values` of `attribute`, are no minimal pair, or None.

    The cues of the values (`attributes.Value.cues`) say which way each measure should differ, and which differs most. In units of its
    typical spread, held to ±6, (1) every leading cue, one expected to differ within a tenth as much as the most different one, must
    differ by 1 or more the right way; (2) so must the mean of all cues, weighted by how much each should differ. By (1) an adult's
    voice that is merely pitched up is no child's. Attributes without cues pass: nothing is known of how they sound.
    """
    expected = _expected(attribute, values)
    if not expected:
        return None
    measured = differences(measure(waves[0], rate), measure(waves[1], rate))
    moved = {name: np.sign(d) * float(np.clip(measured[name] / CUES[name].typical, -6, 6)) for name, d in expected.items()}
    leading = [name for name, d in expected.items() if abs(d) >= 0.9 * max(map(abs, expected.values()))]
    for name in leading:
        if not moved[name] >= 1:
            return _wrong(attribute, values, name, measured[name], expected[name])
    mean = sum(abs(d) * moved[name] for name, d in expected.items()) / sum(map(abs, expected.values()))
    if not mean >= 1:
        return (
            f"{attribute}: {values[0]} against {values[1]} is not heard: its cues moved {mean:.1f} typical spreads on average, at least 1"
        )
    return None


def _expected(attribute: str, values: tuple[str, str]) -> dict[str, float]:
    first, second = (attributes.ATTRIBUTES[attribute].value(value).cues for value in values)
    if unknown := sorted((first.keys() | second.keys()) - CUES.keys()):
        raise ValueError(f"attribute {attribute!r} has unknown cues {', '.join(unknown)}; known: {', '.join(CUES)}")
    both = {name: first.get(name, 0.0) - second.get(name, 0.0) for name in CUES if name in first or name in second}
    return {name: difference for name, difference in both.items() if difference}


def _wrong(attribute: str, values: tuple[str, str], name: str, measured: float, expected: float) -> str:
    spread = CUES[name]
    wanted = f"at {'least' if expected > 0 else 'most'} {np.sign(expected) * spread.typical:+g}"
    return f"{attribute}: {name} of {values[0]} lies {measured:+.1f} {spread.unit} from {values[1]}'s, should be {wanted}"
