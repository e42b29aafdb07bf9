"""A model behind an OpenAI-compatible chat endpoint that takes `input_audio` (vLLM, SGLang, hosted ones): prompts in, replies out.

It has no weights, no hidden states and gives no probabilities of given replies, so it is no `SpeechLM`: it can be evaluated, nothing else.
"""

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import soundfile

from undertone.answers import Answers, Open
from undertone.audio import Wave
from undertone.endpoint import Endpoint, Unanswerable
from undertone.models.base import Prompt

T = TypeVar("T")

RATE = 16_000
"""Hz at which sound is sent; speech models hear no more."""


class Served:
    """What an evaluation asks of a model: replies. They are kept in `journal` under all that they depend on, and none is bought twice."""

    family = "endpoint"
    sample_rate = RATE
    seconds_at_most = math.inf
    """What is too long for it, only its server knows."""

    def __init__(self, endpoint: Endpoint, journal: Path) -> None:
        self.endpoint = endpoint
        self._answers = Answers(endpoint, journal)

    @property
    def tokens(self) -> int:
        """What all kept replies cost, as the endpoint reports it."""
        return self._answers.tokens

    def replies(self, items: Sequence[T], prompt: Callable[[T], Prompt], max_new_tokens: int) -> Iterator[tuple[T, str | Unanswerable]]:
        """The reply to each item as it comes in, or the error of a request that the endpoint does not take. A refusal is a reply."""
        for item, found in self._answers.each(items, lambda item: Open(messages(prompt(item)), max_new_tokens)):
            if isinstance(found, Unanswerable):
                yield item, found
            else:
                yield item, (found.raw or found.reason).strip()


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The chat that `prompt` stands for: a note, the sound, the text, each where given and in the order of local models, under a system
    prompt."""
    said = [f"{prompt.note} " if prompt.note else "", prompt.text]
    content: str | list[dict[str, Any]] = "".join(said)
    if prompt.audio is not None:
        sound = base64.b64encode(wav(prompt.audio)).decode()  # type: ignore[arg-type]
        heard = {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}
        before, behind = ([{"type": "text", "text": text}] if text else [] for text in said)
        content = [*before, heard, *behind]
    asked = {"role": "user", "content": content}
    return [{"role": "system", "content": prompt.system}, asked] if prompt.system else [asked]


def wav(wave: Wave) -> bytes:
    """A mono wave (samples,) at `RATE` as a 16-bit WAV file."""
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
