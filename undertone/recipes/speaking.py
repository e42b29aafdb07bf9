"""The synthesiser that the settings name."""

from collections.abc import Callable
from functools import partial

from undertone import settings
from undertone.lookup import resolve
from undertone.speech.synthesisers import SYNTHESISERS
from undertone.speech.synthesisers.base import Synthesiser


def synthesiser(chosen: settings.Speaking, unasked: bool = False) -> Callable[[], Synthesiser]:
    """How a worker builds the synthesiser; one that is `unasked` needs no key."""
    kind = resolve(SYNTHESISERS, chosen.synthesiser, "synthesiser")
    if chosen.synthesiser == "command":
        return partial(kind, chosen.command, chosen.command_renders, chosen.command_words)
    if chosen.synthesiser == "openai_tts":
        from undertone.endpoint import Endpoint, Unasked

        where = chosen.speech_endpoint
        endpoint = Unasked(where.model, where.base_url) if unasked else Endpoint(**where.model_dump())
        return partial(kind, endpoint, chosen.voices or None)
    return partial(kind, chosen.language) if chosen.synthesiser == "espeak" else partial(kind)
