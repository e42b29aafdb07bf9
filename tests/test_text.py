"""Texts that count as the same."""

import pytest

from undertone.text import normalise


@pytest.mark.parametrize("text", ["don't  stop, now", "Don’t stop: now!", " DONT stop\tnow\n", "dont-stop—now"])
def test_case_punctuation_and_space_do_not_matter(text: str) -> None:
    assert normalise(text) == "dont stop now"


def test_words_and_numbers_do() -> None:
    assert normalise("add 3 eggs") != normalise("add 30 eggs")
    assert normalise("an other") != normalise("another")
