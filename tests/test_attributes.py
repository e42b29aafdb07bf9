"""The table of attributes: words for every value, and nothing else to touch when a row is added."""

import json
import subprocess
import sys
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


WALK = """
import random
from types import MappingProxyType

from undertone import attributes
from undertone.attributes import Attribute, Value

values = tuple(Value(name, f"has a {name} accent", f"with a {name} accent", MappingProxyType({})) for name in ("scottish", "texan"))
row = Attribute("accent", values, "where does the speaker come from")
attributes.ATTRIBUTES = MappingProxyType(dict(attributes.ATTRIBUTES) | {"accent": row})

# From here on the table is as if its file had the row.
import torch

from undertone.evaluation.judges.rule import RuleJudge
from undertone.evaluation.metrics import Asked, pa_scores
from undertone.records import Reply
from undertone.run import Run
from undertone.settings import Evaluate, Synthesize
from undertone.speech import pairs
from undertone.speech.synthesisers.openai_tts import OpenAITTS, instructions
from undertone.speech.writers.grammar import Query
from undertone.training.heads import Adch, targets

assert Synthesize(train={"accent": 8}).train == {"accent": 8}
assert Evaluate(values={"accent": {"SCO": "scottish"}}).values["accent"] == {"SCO": "scottish"}
assert attributes.defaults()["accent"] == "scottish"

right = {"scottish": "aye", "texan": "howdy"}
query = Query("is it far", "distance", "ways", "accent", False, "yes", right)
cast = pairs.Cast(range(4), OpenAITTS.renders, random.Random(0))
planned = list(pairs.plan_pairs([query], "accent", 8, "test", cast))
assert len(planned) == 8 and {one.attributes["accent"] for one in planned} == set(right)
assert "with a texan accent" in instructions({"accent": "texan"})

rows = [pairs.utterance(one, "t", "1", 1.0, str(one.speaker)) for one in planned]
truth = targets(rows)
assert truth.category.tolist() == [3] * 8 and set(truth.value.tolist()) == {0, 1}
head = Adch(16)
assert head.category.out_features == 4 and head.values[3].out_features == 2
sums = head(torch.randn(8, 16), truth)
(sums.category + sums.attribute).backward()
assert head.values[3].weight.grad.abs().sum() > 0

replies = [Reply(utterance_id=row.id, run="r", text=right[row.value]) for row in rows]
verdicts = RuleJudge().judge(rows, replies)
asked = [Asked(*both) for both in zip(rows, replies, verdicts, strict=True)]
scores = {(one.suite, one.group, one.metric): one.value for one in pa_scores(asked, Run(None, "r", 0, "c").score, 10, 0)}
assert scores["pa/accent", "all", "pa_score"] == scores["pa/accent", "texan", "pa_rate"] == 1
"""


def test_a_new_row_goes_all_the_way_from_the_plan_to_the_scores() -> None:
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_to_say_is_no_note() -> None:
    assert attributes.note({}) == ""


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
