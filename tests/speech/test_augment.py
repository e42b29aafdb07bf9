"""What was asked of a changed wave is measured on it: SNR, band, decay, pitch, length; and the same seed gives the same samples."""

import numpy as np
import pytest
from conftest import RATE, tone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from undertone.audio import Wave
from undertone.speech.acoustics import measure
from undertone.speech.augment import (
    COLOURS,
    CONDITIONS,
    Augment,
    Draw,
    active_power,
    condition,
    gain,
    impulse_response,
    noise,
    room,
    spec_augment,
    speed,
    stretch,
    telephone,
)
from undertone.speech.synthesisers.espeak import Espeak

ALWAYS = Augment(Draw(1, 0.9, 1.1), Draw(1, 0.85, 1.15), Draw(1, 0.2, 0.6), Draw(1, 5, 30), Draw(1, -6, 6), telephone=1)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _voice(gender: str = "male", age: str = "adult") -> Wave:
    return Espeak().speak("show me how to open the window", {"age": age, "gender": gender, "emotion": "neutral"}, 3)


def _decibels(power: float, reference: float) -> float:
    return float(10 * np.log10(power / reference))


def _band(wave: Wave, low: float, high: float) -> float:
    """Energy of `wave` between two frequencies."""
    frequencies = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(np.sum(np.abs(np.fft.rfft(wave)[(frequencies >= low) & (frequencies < high)]) ** 2))


@pytest.mark.parametrize("colour", COLOURS)
@settings(max_examples=10)
@given(snr=st.floats(-5, 40), pause=st.floats(0.1, 2.0), seed=st.integers(0, 99))
def test_snr_is_as_asked_however_long_the_pauses(colour: str, snr: float, pause: float, seed: int) -> None:
    said = tone(seconds=1.0)
    wave = np.concatenate([np.zeros(int(pause * RATE), np.float32), said])
    added = noise(wave, snr, _rng(seed), colour) - wave
    assert _decibels(float(np.mean(said**2)), float(np.mean(added**2))) == pytest.approx(snr, abs=0.5)


def test_colours_have_their_spectra() -> None:
    wave = tone(1000.0, seconds=4.0)
    white, pink, speech = (noise(wave, 0, _rng(), colour) - wave for colour in ("white", "pink", "speech"))
    octaves = [(250 * 2**i, 500 * 2**i) for i in range(4)]
    assert np.diff([_decibels(_band(white, *o), 1) for o in octaves]) == pytest.approx([3.0] * 3, abs=0.7)
    assert np.diff([_decibels(_band(pink, *o), 1) for o in octaves]) == pytest.approx([0.0] * 3, abs=0.7)
    assert _band(speech, 990, 1010) > 0.5 * _band(speech, 0, 8000)
    assert abs(np.corrcoef(speech, wave)[0, 1]) < 0.9, "a copy of the wave is no noise"


def test_active_power_leaves_out_pauses_and_keeps_a_short_end() -> None:
    said = tone(seconds=1.0)
    assert active_power(np.concatenate([said, np.zeros(5 * RATE, np.float32)])) == pytest.approx(float(np.mean(said**2)), rel=0.03)
    assert active_power(np.full(300, 0.5, np.float32)) == pytest.approx(0.25)
    assert active_power(np.zeros(300, np.float32)) == active_power(np.zeros(0, np.float32)) == 0


@pytest.mark.parametrize("hertz", [100, 6000])
def test_the_telephone_keeps_its_band_alone(hertz: float) -> None:
    time = np.arange(RATE) / RATE
    outside, inside = (0.3 * np.sin(2 * np.pi * f * time).astype(np.float32) for f in (hertz, 1000))
    heard = telephone(outside + inside, RATE)
    at = (hertz - 20, hertz + 20)
    assert _decibels(_band(heard, *at), _band(outside, *at)) < -25
    assert _decibels(_band(heard, 980, 1020), _band(inside, 980, 1020)) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_the_telephone_keeps_length_and_time_at_any_rate(rate: int) -> None:
    wave = tone(1000.0, 0.501, rate)
    heard = telephone(wave, rate)
    assert heard.shape == wave.shape
    burst = np.concatenate([np.zeros(rate // 2, np.float32), wave])
    assert np.flatnonzero(np.abs(telephone(burst, rate)) > 0.05)[0] == pytest.approx(rate // 2, abs=0.003 * rate)


def test_the_telephone_rounds_to_few_levels() -> None:
    ramp = tone(1000.0, 1.0, 8_000)
    assert len(np.unique(telephone(ramp, 8_000))) <= 255


def _decay(response: Wave) -> float:
    """RT60 in seconds by Schroeder's (1965) backward integration: the slope from −5 to −25 dB of what is left, times three."""
    left = 10 * np.log10(np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1] + 1e-20)
    left -= left[0]
    part = np.flatnonzero((left < -5) & (left > -25))
    return float(-60 / np.polyfit(part / RATE, left[part], 1)[0])


@settings(max_examples=15)
@given(seconds=st.floats(0.2, 0.8), seed=st.integers(0, 99))
def test_a_room_decays_as_asked_and_keeps_length(seconds: float, seed: int) -> None:
    click = np.zeros(RATE, np.float32)
    click[0] = 1
    heard = room(click, RATE, seconds, _rng(seed))
    assert len(heard) == RATE
    assert np.abs(heard).argmax() == 0, "the direct sound comes first and is the loudest"
    assert _decay(heard) == pytest.approx(seconds, rel=0.2)


def test_a_room_keeps_level_and_does_not_delay() -> None:
    wave = _voice()
    heard = room(wave, RATE, 0.4, _rng())
    assert float(np.mean(heard**2)) == pytest.approx(float(np.mean(wave**2)), rel=1e-3)
    reach = 400
    assert np.correlate(heard[reach:-reach], wave).argmax() == reach
    direct = impulse_response(RATE, 0.4, _rng(), direct_db=6.0)
    assert _decibels(1.0, float(np.sum(direct[1:] ** 2))) == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize("factor", [0.7, 0.85, 1.15, 1.5])
@pytest.mark.parametrize("hertz", [75, 110, 220, 440])
def test_stretch_keeps_the_pitch_of_a_tone(hertz: float, factor: float) -> None:
    longer = stretch(tone(hertz, 1.0), RATE, factor)
    assert len(longer) == pytest.approx(factor * RATE, abs=1)
    assert measure(longer, RATE).f0 == pytest.approx(hertz, rel=0.02)
    middle = longer[len(longer) // 4 : -len(longer) // 4]
    assert float(np.sqrt(np.mean(middle**2))) == pytest.approx(float(np.sqrt(np.mean(tone(hertz) ** 2))), rel=0.1)


@pytest.mark.parametrize(("gender", "age"), [("male", "adult"), ("female", "adult"), ("female", "child")])
@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_stretch_and_speed_of_a_voice(gender: str, age: str, factor: float) -> None:
    wave = _voice(gender, age)
    own, slower, faster = (measure(w, RATE) for w in (wave, stretch(wave, RATE, factor), speed(wave, RATE, factor)))
    assert slower.f0 == pytest.approx(own.f0, rel=0.02)
    assert slower.seconds == pytest.approx(own.seconds * factor, rel=0.03)
    assert faster.f0 == pytest.approx(own.f0 * factor, rel=0.02)
    assert faster.seconds == pytest.approx(own.seconds / factor, rel=0.03)


def test_unit_factors_change_next_to_nothing() -> None:
    wave = _voice()
    assert np.abs(stretch(wave, RATE, 1.0) - wave).max() < 1e-4
    assert np.abs(speed(wave, RATE, 1.0) - wave).max() < 1e-3


def test_gain_is_in_decibels() -> None:
    assert float(gain(np.ones(1, np.float32), -6.0)[0]) == pytest.approx(0.501, abs=0.001)


@settings(max_examples=40)
@given(count=st.integers(1, 300), seed=st.integers(0, 99), share=st.floats(0, 1))
def test_masks_stay_within_their_bounds(count: int, seed: int, share: float) -> None:
    frames = _rng(seed).standard_normal((count, 80)).astype(np.float32)
    masked = spec_augment(frames, _rng(seed), time_masks=1, longest=40, share=share, bin_masks=1, widest=27)
    changed = masked != frames
    rows, columns = changed.all(axis=1).sum(), changed.all(axis=0).sum()
    assert rows <= min(40, share * count)
    assert columns <= 27 or rows == count
    assert np.unique(masked[changed]).size <= 1
    assert np.array_equal(changed, changed.all(axis=1)[:, None] | changed.all(axis=0))


def test_masks_are_drawn_in_both_directions() -> None:
    frames = _rng().standard_normal((300, 80)).astype(np.float32)
    changed = [spec_augment(frames, _rng(seed)) != frames for seed in range(20)]
    assert np.mean([c.all(axis=1).any() for c in changed]) > 0.8
    assert np.mean([c.all(axis=0).any() for c in changed]) > 0.8


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_depends_on_its_seed_alone(name: str) -> None:
    wave = _voice()
    kept = wave.copy()
    first, again, other = (condition(name, wave, RATE, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (name in ("clean", "telephone"))
    assert np.array_equal(wave, kept), "the wave given is not written to"
    assert first.dtype == np.float32
    assert len(first) == len(wave)
    assert np.array_equal(first, wave) == (name == "clean")


@pytest.mark.parametrize(("name", "snr"), [("snr20", 20), ("snr10", 10), ("snr5", 5), ("snr0", 0)])
def test_noisy_conditions_have_the_snr_of_their_name(name: str, snr: float) -> None:
    wave = tone(level=0.1)
    added = condition(name, wave, RATE, 0) - wave
    assert _decibels(float(np.mean(wave**2)), float(np.mean(added**2))) == pytest.approx(snr, abs=0.5)


def test_augment_is_drawn_anew_and_repeats_with_its_seed() -> None:
    wave = _voice()
    assert np.array_equal(ALWAYS(wave, RATE, _rng(5)), ALWAYS(wave, RATE, _rng(5)))
    assert not np.array_equal(ALWAYS(wave, RATE, _rng(5))[:9000], ALWAYS(wave, RATE, _rng(6))[:9000])
    rng = _rng()
    lengths = {len(Augment()(wave, RATE, rng)) for _ in range(40)}
    assert len(lengths) > 10
    assert min(lengths) > len(wave) * 0.85 / 1.1 - 2
    assert max(lengths) < len(wave) * 1.15 / 0.9 + 2


def test_augment_leaves_alone_what_it_is_told_to() -> None:
    never = Draw(0, 0, 0)
    wave = _voice()
    assert np.array_equal(Augment(never, never, never, never, never)(wave, RATE, _rng()), wave)
    louder = Augment(never, never, never, never, Draw(1, 6, 6))(wave / 10, RATE, _rng())
    assert np.allclose(louder, gain(wave / 10, 6))


@settings(max_examples=25)
@given(
    length=st.one_of(st.integers(0, 5), st.just(800), st.integers(1, 4000)),
    level=st.sampled_from([0.0, 1e-20, 1e-6, 0.5, 1.0]),
    seed=st.integers(0, 9),
    rate=st.sampled_from([8_000, RATE, 44_100]),
)
@example(length=0, level=0.0, seed=3, rate=RATE)
@example(length=1, level=1.0, seed=0, rate=44_100)
def test_silence_and_splinters_survive(length: int, level: float, seed: int, rate: int) -> None:
    wave = (level * np.sign(np.sin(np.arange(length) / 9))).astype(np.float32)
    changed = [condition(name, wave, rate, seed) for name in CONDITIONS] + [ALWAYS(wave, rate, _rng(seed))]
    for one in changed:
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        assert np.abs(one).max(initial=0) <= 1
        assert level or not one.any(), "silence stays silent"
    assert [len(one) for one in changed[:-1]] == [length] * len(CONDITIONS)


@pytest.mark.parametrize("shape", [(0, 80), (1, 80), (300, 1)])
def test_masks_of_splinters(shape: tuple[int, int]) -> None:
    assert np.isfinite(spec_augment(np.ones(shape, np.float32), _rng())).all()


def test_what_cannot_be_asked_is_said() -> None:
    wave = tone()
    with pytest.raises(ValueError, match=r"unknown condition 'snr15' \(did you mean 'snr.*known: clean, snr20"):
        condition("snr15", wave, RATE, 0)
    with pytest.raises(ValueError, match=r"unknown colour of noise 'brown'; known: white, pink, speech"):
        noise(wave, 10, _rng(), "brown")
    for change in (stretch, speed):
        with pytest.raises(ValueError, match="factor is 0"):
            change(wave, RATE, 0)
    with pytest.raises(ValueError, match="rt60 is -1 s"):
        room(wave, RATE, -1, _rng())
