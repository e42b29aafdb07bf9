"""Filters on made waves and on real renderings of the embedded synthesiser."""

from random import Random

import numpy as np
import pytest
from conftest import RATE, tone

from undertone.attributes import ATTRIBUTES
from undertone.audio import Wave
from undertone.speech.acoustics import formant_ratio, measure
from undertone.speech.filters import differences, pair_reason, reason_to_reject
from undertone.speech.synthesisers.espeak import Espeak
from undertone.speech.writers.grammar import all_queries


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (tone(seconds=0.2), "too short: 0.20 s"),
        (tone(seconds=31), "too long: 31.0 s"),
        (np.zeros(RATE, np.float32), "silent"),
        (tone(level=1e-5), "silent"),
        (np.clip(tone() * 20, -1, 1), "clipped"),
        (np.where(np.arange(RATE) == 7, np.nan, 0.1).astype(np.float32), "not finite"),
        (np.zeros(0, np.float32), "too short"),
    ],
)
def test_what_is_wrong_with_a_wave_is_said(wave: Wave, said: str) -> None:
    assert str(reason_to_reject(wave, RATE)).startswith(said)


@pytest.mark.parametrize("wave", [tone(), tone(level=0.99), tone(level=0.01), tone(seconds=29)])
def test_good_waves_pass(wave: Wave) -> None:
    assert reason_to_reject(wave, RATE) is None


def test_limits_can_be_moved() -> None:
    assert reason_to_reject(tone(seconds=0.2), RATE, shortest=0.1) is None
    assert reason_to_reject(tone(seconds=2), RATE, longest=1.0) == "too long: 2.0 s, at most 1 s"


@pytest.mark.parametrize("hertz", [70, 110, 220, 440, 560])
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_pitch_is_measured_within_two_percent(hertz: float, noise: float) -> None:
    wave = tone(hertz, 1.0) + noise * np.random.default_rng(0).standard_normal(RATE)
    assert measure(wave, RATE).f0 == pytest.approx(hertz, rel=0.02)


def test_measures_of_a_glide() -> None:
    hertz = np.geomspace(100, 200, 2 * RATE)
    found = measure(0.3 * np.sign(np.sin(2 * np.pi * np.cumsum(hertz) / RATE)), RATE)
    assert found.f0_range == pytest.approx(12 * 0.8, abs=0.5)
    assert found.seconds == pytest.approx(2.0, abs=0.05)
    assert found.energy == pytest.approx(20 * np.log10(0.3), abs=0.2)
    assert found.voiced > 0.95


def test_noise_and_silence_have_no_pitch() -> None:
    for wave in (np.zeros(RATE), 0.1 * np.random.default_rng(0).standard_normal(RATE), np.zeros(3)):
        assert np.isnan(measure(wave, RATE).f0)


def _speak(text: str, values: dict[str, str], speaker: int) -> Wave:
    return Espeak().speak(text, values, speaker, seed=speaker)


def test_a_vocal_tract_scaled_by_k_has_formants_k_times_higher() -> None:
    soxr = pytest.importorskip("soxr")
    wave = _speak("show me how to open the window", {"age": "adult", "gender": "male", "emotion": "neutral"}, 3)
    for factor in (1.15, 1.3):
        scaled = soxr.resample(wave, RATE * factor, RATE)
        assert formant_ratio(measure(scaled, RATE).envelope, measure(wave, RATE).envelope) == pytest.approx(factor, rel=0.06)


def _pairs(attribute: str, count: int, seed: int) -> list[tuple[tuple[Wave, Wave], tuple[str, str]]]:
    rng, contrasts, made = Random(seed), ATTRIBUTES[attribute].contrasts(), []
    for i in range(count):
        first, second = rng.sample(contrasts[i % len(contrasts)], 2)
        values = {name: rng.choice(row.names) for name, row in ATTRIBUTES.items()}
        text, speaker = rng.choice(all_queries()).text, rng.randrange(1000, 5000)
        voices = [_speak(text, values | {attribute: value}, speaker) for value in (first, second)]
        made.append(((voices[0], voices[1]), (first, second)))
    return made


@pytest.mark.parametrize("attribute", ["age", "gender", "emotion"])
def test_right_pairs_pass_and_swapped_or_equal_ones_do_not(attribute: str) -> None:
    pairs = _pairs(attribute, 45, seed=5)
    right = [pair_reason(waves, RATE, attribute, values) for waves, values in pairs]
    swapped = [pair_reason(waves[::-1], RATE, attribute, values) for waves, values in pairs]
    equal = [pair_reason((waves[0], waves[0]), RATE, attribute, values) for waves, values in pairs]
    assert right.count(None) >= (0.93 if attribute == "emotion" else 0.97) * len(pairs), [reason for reason in right if reason]
    assert swapped.count(None) <= 0.02 * len(pairs)
    assert equal.count(None) == 0


def test_an_adult_voice_that_is_merely_pitched_up_is_no_child() -> None:
    text, adult = "show me how to open the window", {"age": "adult", "gender": "male", "emotion": "neutral"}
    low, high = _speak(text, adult, 11), _speak(text, adult | {"emotion": "surprised"}, 11)
    assert differences(measure(high, RATE), measure(low, RATE))["f0"] > 3
    assert "formants of child" in str(pair_reason((high, low), RATE, "age", ("child", "adult")))
