"""Any OpenAI-compatible speech endpoint, told in words how to sound."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from types import MappingProxyType

from undertone.attributes import ATTRIBUTES
from undertone.audio import read_sound
from undertone.endpoint import Endpoint, Unanswerable, sound_tokens
from undertone.speech.synthesisers.base import Synthesiser, Unspeakable, Waveform

# OpenAI's own voices, as they sound to us: a voice cannot be talked out of its gender.
VOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"female": ("coral", "nova", "sage", "shimmer"), "male": ("ash", "ballad", "echo", "onyx", "verse")}
)


class OpenAITTS(Synthesiser):
    """Speech from /audio/speech. `voices` lists voice names per gender (none: OpenAI's own). Voices of all genders stand
    together in as many groups as the scarcest gender has voices, and speaker n takes group n, round and round.

    The endpoint is told every asked value in words (`Value.style`), so it renders whatever has a row in `ATTRIBUTES`; how well is for
    the acoustic check to say. The endpoint draws its own randomness: `seed` has no effect.
    """

    name = "openai_tts"
    sample_rate = 16_000
    workers = "threads"
    renders = MappingProxyType({name: attribute.names for name, attribute in ATTRIBUTES.items()})

    def __init__(self, endpoint: Endpoint, voices: Mapping[str, Sequence[str]] | None = None) -> None:
        voices = voices or VOICES
        for gender in ATTRIBUTES["gender"].names:
            if not voices.get(gender):
                raise ValueError(f"openai_tts: name at least one voice for gender {gender!r}")
        self._endpoint, self._voices = endpoint, voices
        self.concurrency = endpoint.concurrency
        # Were each gender counted round by itself, every voice would sooner or later share a speaker with every other.
        self._groups = min(len(names) for names in voices.values())
        self.version = f"1:{endpoint.model}"

    def speak(self, text: str, attributes: Mapping[str, str], speaker: int, seed: int = 0) -> Waveform:
        """`text` with `attributes`, gender among them; `Unspeakable` where the endpoint will not say it, `audio.BadSound` where what comes
        back is none."""
        self.check(attributes)
        try:
            body = self._endpoint.sound(text, self.speaker_name(attributes, speaker), instructions(attributes))
        except Unanswerable as error:
            raise Unspeakable(str(error)) from None
        sound = read_sound(BytesIO(body), self.sample_rate, where=f"{self._endpoint.address}, {text!r}")
        return sound.wave.clip(-1, 1)  # resampling may overshoot

    def count_spoken(self, text: str, attributes: Mapping[str, str]) -> None:
        """What `text` has cost, retries aside, counts as spent."""
        self._endpoint.count(sound_tokens(text, instructions(attributes)))

    def speaker_name(self, attributes: Mapping[str, str], speaker: int) -> str:
        """The voice that is asked for."""
        group = self._voices[attributes.get("gender", ATTRIBUTES["gender"].names[0])][speaker % self._groups :: self._groups]
        return group[speaker // self._groups % len(group)]


def instructions(attributes: Mapping[str, str]) -> str:
    """How to sound, in words: "Sound like this: a child of about seven; a man; …"."""
    styles = "; ".join(ATTRIBUTES[name].value(value).style for name, value in attributes.items())
    return f"Sound like this: {styles}. Say the words exactly as they are written."
