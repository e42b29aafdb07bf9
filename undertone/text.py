"""Texts that count as the same: case, punctuation and white space do not matter."""

import unicodedata


def normalise(text: str) -> str:
    """`text` in lower case, without punctuation, words one space apart; an apostrophe joins ("don't" → "dont")."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", "")
    return " ".join("".join(" " if unicodedata.category(letter).startswith("P") else letter for letter in folded).split())
