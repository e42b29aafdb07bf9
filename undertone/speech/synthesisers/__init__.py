"""Synthesisers, one a file, and the one table that names them."""

from undertone.lookup import resolve

SYNTHESISERS = {
    "espeak": "undertone.speech.synthesisers.espeak:Espeak",
    "openai_tts": "undertone.speech.synthesisers.openai_tts:OpenAITTS",
    "command": "undertone.speech.synthesisers.command:Command",
}


def who_renders(attribute: str, value: str) -> str:
    """The names of the synthesisers that render `attribute` = `value` however they are set up, comma-separated."""
    able = (name for name in SYNTHESISERS if value in resolve(SYNTHESISERS, name, "synthesiser").renders.get(attribute, ()))
    return ", ".join(able)
