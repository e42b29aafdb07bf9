"""The table of attributes: words for every value, and nothing else to touch when a row is added."""

import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from conftest import RATE, tone

from undertone import attributes
from undertone.attributes import ATTRIBUTES, Attribute, Value
from undertone.records import BrokenRow, Utterance, to_line
from undertone.speech.filters import CUES, pair_reason


@pytest.fixture
def accent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more row, and nothing but the row."""
    high = Value("scottish", "has a Scottish accent", "with a Scottish accent", MappingProxyType({"f0": 1.0}))
    low = Value("texan", "has a Texan accent", "with a Texan accent", MappingProxyType({"f0": 0.0}))
    row = Attribute("accent", (high, low), "where does the speaker come from")
    monkeypatch.setattr(attributes, "ATTRIBUTES", MappingProxyType(dict(ATTRIBUTES) | {"accent": row}))


@pytest.mark.usefixtures("accent")
def test_a_new_row_is_all_a_new_attribute_needs(utterance: Callable[..., Utterance]) -> None:
    row = utterance(category="accent", contrast="texan", attributes={"accent": "scottish", "age": "adult"})
    assert row.value == "scottish"
    assert json.loads(to_line(row))["attributes"]["accent"] == "scottish"
    assert attributes.note({"accent": "texan", "age": "child"}) == "(the speaker has a Texan accent and is a child)"
    assert pair_reason((tone(200, 1), tone(150, 1)), RATE, "accent", ("scottish", "texan")) is None
    assert "should be at least +1" in str(pair_reason((tone(150, 1), tone(200, 1)), RATE, "accent", ("scottish", "texan")))


def test_without_the_row_it_is_unknown(utterance: Callable[..., Utterance]) -> None:
    with pytest.raises(ValueError, match="unknown attribute 'accent'; known: age, gender, emotion"):
        utterance(attributes={"accent": "scottish"})
    with pytest.raises(ValueError, match="unknown attribute 'accent'"):
        attributes.check({"accent": "scottish"})


@pytest.mark.parametrize("attribute", ATTRIBUTES.values())
def test_every_contrast_can_be_heard_and_said(attribute: Attribute) -> None:
    assert attribute.question
    assert len({value.note for value in attribute.values}) == len(attribute.values)
    for first, second in attribute.contrasts():
        cues = attribute.value(first).cues, attribute.value(second).cues
        assert cues[0] != cues[1]
        assert set(cues[0]) | set(cues[1]) <= set(CUES)


def test_emotion_has_fifteen_contrasts() -> None:
    assert len(ATTRIBUTES["emotion"].contrasts()) == 15
    assert attributes.defaults() == {"age": "adult", "gender": "female", "emotion": "neutral"}


def test_a_cue_that_nobody_measures_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    values = tuple(Value(name, "", "", {"jitter": float(i)}) for i, name in enumerate(("rough", "smooth")))
    monkeypatch.setattr(attributes, "ATTRIBUTES", {"voice": Attribute("voice", values, "")})
    with pytest.raises(ValueError, match="unknown cues jitter; known: f0, formants, rate, energy"):
        pair_reason((np.zeros(RATE, np.float32),) * 2, RATE, "voice", ("rough", "smooth"))


def test_a_manifest_with_an_unknown_attribute_is_an_error(tmp_path: Path) -> None:
    from undertone.speech.corpora import read_corpus

    (tmp_path / "m.jsonl").write_text(json.dumps({"messages": [], "audios": ["a.wav"], "attributes": {"accent": "scottish"}}) + "\n")
    with pytest.raises(BrokenRow, match=r"m\.jsonl:1: attributes: .*unknown attribute 'accent'"):
        read_corpus("messages", tmp_path / "m.jsonl")
