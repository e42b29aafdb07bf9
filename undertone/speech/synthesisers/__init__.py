"""Synthesisers, one a file, and the one table that names them."""

from undertone.lookup import resolve

SYNTHESISERS = {
    "espeak": "undertone.speech.synthesisers.espeak:Espeak",
}


def who_renders(attribute: str, value: str) -> str:
    """The names of the synthesisers that render `attribute` = `value`, comma-separated."""
    able = (name for name in SYNTHESISERS if value in resolve(SYNTHESISERS, name, "synthesiser").renders.get(attribute, ()))
    return ", ".join(able)
