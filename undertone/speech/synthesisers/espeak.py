"""The embedded synthesiser: espeak-ng in process, and signal processing for what a formant synthesiser lacks.

A simulated speaker is a number that seeds a draw of `Voice` parameters. Age scales the vocal tract: the waveform is resampled by the
formant factor, which moves formants and pitch together, and espeak's own rate and pitch are set so that tempo and F0 land where they
should (Fitch & Giedd 1999: a seven-year-old's vocal tract is about 0.75 of an adult's). Emotions follow the directions of Scherer
(2003): pitch level and range, rate, energy and its contour, and voice quality (tremor, tension, breath). These are simulations, not
recordings of people, and everything made here is called so.
"""

import _ctypes
import ctypes
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from undertone.attributes import ATTRIBUTES
from undertone.lookup import suggest
from undertone.speech.synthesisers.base import Synthesiser, Unspeakable, Waveform

_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER of speak_lib.h
_SYNCHRONOUS, _UTF8, _END_PAUSE = 2, 1, 0x1000
# espeak's pitch setting against the F0 factor it gives, measured on "en-us" (40 ms autocorrelation, median over the utterance).
_PITCH_SETTING = (0.0, 20.0, 50.0, 80.0, 99.0)
_PITCH_FACTOR = (0.77, 0.82, 1.0, 1.32, 1.63)
_VARIANTS = {
    "male": ("m1", "m2", "m3", "m7", "john", "Diogo", "iven", "Tweaky"),
    "female": ("f1", "f2", "f3", "f4", "f5", "steph", "linda", "Annie"),
}


class Voice(NamedTuple):
    """All that a rendering depends on besides its text. Factors are relative to the variant's own voice."""

    variant: str
    formants: float
    f0: float
    pitch_range: float
    rate: float
    gain_db: float
    tilt: float
    tremor: float
    breath: float
    tension: float
    slope_db: float
    question: bool


class Manner(NamedTuple):
    """How an emotion changes a voice: factors on F0 and rate, espeak's pitch range (0–99), dB of level, tilt (+ bright), depth of
    tremor, breath and tension (0–1), rise of level over the utterance in dB, and whether the melody ends high."""

    f0: float
    pitch_range: float
    rate: float
    gain_db: float
    tilt: float = 0.0
    tremor: float = 0.0
    breath: float = 0.0
    tension: float = 0.0
    slope_db: float = 0.0
    question: bool = False


MANNERS: Mapping[str, Manner] = {
    "neutral": Manner(1.0, 40, 1.0, 0.0),
    "happy": Manner(1.16, 85, 1.12, 2.0, tilt=0.25, slope_db=4.0),
    "sad": Manner(0.84, 8, 0.76, -5.0, tilt=-0.35, breath=0.25, slope_db=-6.0),
    "angry": Manner(1.05, 65, 1.14, 6.0, tilt=0.35, tension=0.9, slope_db=-2.0),
    "fearful": Manner(1.26, 15, 1.26, -2.0, tremor=0.55, breath=0.15),
    "surprised": Manner(1.36, 99, 0.92, 1.0, tilt=0.1, slope_db=7.0, question=True),
}

# (formant factor, F0 factor) that turn a variant into the asked age; a boy's voice starts from a man's, so it has further to go.
_TRACT = {
    ("adult", "male"): (0.99, 1.0),
    ("adult", "female"): (1.03, 1.0),
    ("child", "male"): (1.36, 2.05),
    ("child", "female"): (1.34, 1.4),
}


def voice(attributes: Mapping[str, str], speaker: int) -> Voice:
    """The voice of simulated speaker `speaker` with `attributes`. The draw depends on the number alone, so two renderings that
    differ in one attribute share everything else."""
    rng = np.random.default_rng((0x5EED, speaker))
    pick, tract, pitch, rate, level, tilt, strength = rng.random(7)
    variants = _VARIANTS[attributes["gender"]]
    formants, f0 = _TRACT[attributes["age"], attributes["gender"]]
    manner = MANNERS[attributes["emotion"]]
    strength = 0.8 + 0.4 * strength
    child = attributes["age"] == "child"
    return Voice(
        variant=variants[int(pick * len(variants))],
        formants=formants * (0.95 + 0.1 * tract),
        f0=f0 * (0.9 + 0.2 * pitch) * manner.f0**strength,
        pitch_range=float(np.clip(40 + (manner.pitch_range - 40) * strength, 0, 99)),
        rate=(0.9 + 0.2 * rate) * (0.93 if child else 1.0) * manner.rate**strength,
        gain_db=4 * (level - 0.5) + manner.gain_db * strength,
        tilt=0.2 * (tilt - 0.5) + manner.tilt * strength,
        tremor=manner.tremor * strength,
        breath=manner.breath * strength,
        tension=manner.tension * strength,
        slope_db=manner.slope_db * strength,
        question=manner.question,
    )


class Espeak(Synthesiser):
    """espeak-ng through the library that the `espeakng-loader` wheel carries; one instance of the library a process."""

    name = "espeak"
    version = "1"
    sample_rate = 16_000
    renders = MappingProxyType({name: ATTRIBUTES[name].names for name in ("age", "gender", "emotion")})

    def __init__(self, language: str = "en-us", words_per_minute: float = 190.0) -> None:
        # Asked for a language that it has not, the library speaks another one and says nothing.
        if language.lower() not in (known := languages()):
            raise ValueError(f"language: espeak-ng has no {language!r}{suggest(language, known)}; write en-us, en-gb-scotland, de …")
        self.language = language
        self.words_per_minute = words_per_minute

    def speak(self, text: str, attributes: Mapping[str, str], speaker: int, seed: int = 0) -> Waveform:
        """Samples of `text`; `seed` varies breath noise and the phase of the tremor only."""
        self.check(attributes)
        return render(text, voice(attributes, speaker), self.language, self.words_per_minute, seed)


def languages() -> list[str]:
    """What espeak-ng can speak: languages and accents by its own names, in small letters."""
    import espeakng_loader

    return sorted(path.name.lower() for path in Path(espeakng_loader.get_data_path(), "lang").rglob("*") if path.is_file())


class Call(NamedTuple):
    """What espeak is asked for: a text by a voice of its own, words a minute, and its settings of pitch and range (0–99)."""

    text: str
    name: str
    rate: float
    pitch: float
    pitch_range: float


def call(text: str, how: Voice, language: str = "en-us", words_per_minute: float = 190.0) -> Call:
    """How espeak is asked for what becomes `how` once it is `finished`."""
    return Call(
        text + ("?" if how.question else ""),
        f"{language}+{how.variant}",
        words_per_minute * how.rate / how.formants,
        float(np.interp(how.f0 / how.formants, _PITCH_FACTOR, _PITCH_SETTING)),
        how.pitch_range,
    )


def render(text: str, how: Voice, language: str, words_per_minute: float, seed: int) -> Waveform:
    """Speak `text` with `how`, 16 kHz."""
    return finished(*synthesised(*call(text, how, language, words_per_minute)), how, seed)


def finished(raw: Waveform, rate: float, how: Voice, seed: int) -> Waveform:
    """What espeak gave, at `rate` Hz, in the voice `how` at 16 kHz."""
    import soxr

    # Played faster by the formant factor, then read at 16 kHz: the vocal tract shrinks, tempo was asked slower above.
    scaled = soxr.resample(raw, rate * how.formants, Espeak.sample_rate, quality="HQ")
    return _shape(_trim(scaled), how, np.random.default_rng((seed, 0xB0)))


def _trim(wave: Waveform, margin: int = 800) -> Waveform:
    """Cut the silence that espeak leaves around an utterance to 50 ms."""
    loud = np.flatnonzero(np.abs(wave) > 0.01)
    return wave[max(0, loud[0] - margin) : loud[-1] + margin] if len(loud) else wave


def _shape(wave: Any, how: Voice, rng: np.random.Generator) -> Waveform:
    """Voice quality and level: tension, tilt, breath, tremor, contour, gain; peaks stay below full scale."""
    from scipy.signal import lfilter

    seconds = np.arange(len(wave)) / Espeak.sample_rate
    if how.tension:
        wave = np.tanh(wave * (1 + 5 * how.tension)) / (1 + 2 * how.tension)
    if how.tilt > 0:
        wave = wave + how.tilt * 2 * lfilter([1.0, -0.9], [1.0], wave)
    else:
        wave = wave + how.tilt * (wave - lfilter([0.15], [1.0, -0.85], wave))
    if how.breath:
        envelope = lfilter([0.005], [1.0, -0.995], np.abs(wave))
        wave = wave + how.breath * envelope * lfilter([1.0, -0.7], [1.0], rng.standard_normal(len(wave)))
    if how.tremor:
        wave = wave * (1 - how.tremor * (0.5 + 0.5 * np.sin(2 * np.pi * (7.0 * seconds + rng.random()))))
    level = 0.06 * 10 ** ((how.gain_db + how.slope_db * np.linspace(-0.5, 0.5, len(wave))) / 20)
    wave = wave * level / (np.sqrt(np.mean(wave**2)) + 1e-9)
    shaped: Waveform = (wave * min(1.0, 0.95 / (np.abs(wave).max() + 1e-9))).astype(np.float32)
    return shaped


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def synthesised(text: str, name: str, rate: float, pitch: float, pitch_range: float) -> tuple[Waveform, int]:
    """Samples and their rate, through the C interface of espeak-ng (speak_lib.h). Not for several threads at once.

    The library is loaded afresh for every utterance (about 4 ms): pitch flutter runs on from one utterance to the next in its static
    variables, which nothing else resets, and the same arguments would not give the same samples.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    chunks: list[Waveform] = []

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: object) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).astype(np.float32) / np.float32(32768))
        return 0

    callback = _Callback(take)
    try:
        sample_rate: int = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
        if sample_rate <= 0:
            raise RuntimeError("espeak-ng did not start: reinstall the package espeakng-loader")
        library.espeak_SetSynthCallback(callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        if library.espeak_SetVoiceByName(name.encode()):
            raise ValueError(f"espeak-ng has no voice {name!r}")
        for parameter, value in ((_RATE, rate), (_VOLUME, 70), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(parameter, round(value), 0)
        encoded = text.encode()
        failed = library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8 | _END_PAUSE, None, None)
        library.espeak_Terminate()
        if failed or not chunks:
            raise Unspeakable(f"espeak-ng gave no sound for {text!r}")
    finally:
        _ctypes.dlclose(library._handle)
    return np.concatenate(chunks), sample_rate
