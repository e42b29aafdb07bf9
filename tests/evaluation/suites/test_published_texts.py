"""The texts that lie beside a checkout: counts as their publishers have them. Skipped where they are absent; nothing is copied."""

from collections import Counter
from pathlib import Path

import pytest

from undertone.evaluation.suites.base import Source
from undertone.evaluation.suites.child_safety import questions
from undertone.evaluation.suites.sd_eval import SDEval
from undertone.evaluation.suites.styletalk import StyleTalk

TEXTS = Path(__file__).parents[3] / ".." / "shared" / "data" / "text"


def text(name: str) -> Path:
    if not (TEXTS / name).is_file():
        pytest.skip(f"no {name} at {TEXTS}")
    return TEXTS / name


def test_sd_eval() -> None:
    text("sdeval_test-age.json")
    items = SDEval().load(Source(TEXTS, TEXTS)).items
    assert Counter(one.suite for one in items) == {"sd-eval/age": 1014, "sd-eval/emotion": 1289}
    styles = Counter(one.facts["style"] for one in items)
    assert styles == {"child": 507, "adult": 507, "happy": 325, "sad": 292, "angry": 267, "disgust": 218, "fear": 187}
    assert {len(one.facts["right"]) for one in items} == {5}
    assert sum(one.utterance.attributes == {} for one in items) == 218, "disgust is no value of ours"


@pytest.mark.parametrize(("name", "count", "contrasted"), [("styletalk_eval.csv", 858, 738), ("styletalk_train.csv", 1838, 166)])
def test_styletalk(name: str, count: int, contrasted: int) -> None:
    items = StyleTalk().load(Source(text(name), TEXTS)).items
    turns = Counter(one.utterance.pair for one in items)
    assert len(items) == count
    assert sum(turns[one.utterance.pair] > 1 for one in items) == contrasted


@pytest.mark.parametrize(
    ("name", "most"),
    [("safe_child_6_12.csv", "Assisting illegal activities"), ("safe_child_13_17.csv", "Mental Health or Overreliance Crisis")],
)
def test_safe_child_llm(name: str, most: str) -> None:
    found = questions(text(name))
    assert len(found) == 100
    assert Counter(category for _, category, _ in found).most_common(1)[0][0] == most
