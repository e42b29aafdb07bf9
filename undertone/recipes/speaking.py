"""The synthesiser that the settings name."""

from collections.abc import Callable
from functools import partial

from undertone import settings
from undertone.lookup import resolve
from undertone.speech.synthesisers import SYNTHESISERS
from undertone.speech.synthesisers.base import Synthesiser


def synthesiser(chosen: settings.Speaking) -> Callable[[], Synthesiser]:
    """How a worker builds the synthesiser."""
    kind = resolve(SYNTHESISERS, chosen.synthesiser, "synthesiser")
    if chosen.synthesiser == "command":
        return partial(kind, chosen.command, chosen.command_renders, chosen.command_words)
    if chosen.synthesiser == "openai_tts":
        from undertone.endpoint import Endpoint

        return partial(kind, Endpoint(**chosen.speech_endpoint.model_dump()), chosen.voices or None)
    return partial(kind, chosen.language) if chosen.synthesiser == "espeak" else partial(kind)
