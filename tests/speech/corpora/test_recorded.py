"""The recordings that lie beside a checkout: counts and labels as their publishers have them. Skipped where they are absent."""

from collections import Counter
from pathlib import Path

import pytest

from undertone.records import Utterance, pairs
from undertone.speech.corpora import read_corpus

RECORDED = Path(__file__).parents[3] / ".." / "shared" / "data"

EMOTIONAL = {
    "ravdess": (704, 16, {"neutral": 64, "happy": 128, "sad": 128, "angry": 128, "fearful": 128, "surprised": 128}),
    "emodb": (227, 7, {"angry": 86, "neutral": 52, "happy": 47, "sad": 42}),
}


def recorded(name: str, fold: int | None = None) -> list[Utterance]:
    if not (RECORDED / name).is_dir():
        pytest.skip(f"no recordings at {RECORDED / name}")
    found = read_corpus(name, RECORDED / name, disjoint=("speaker",), strict=True, fold=fold)
    assert found.rejected == []
    return list(found.data.utterances)


@pytest.mark.parametrize("name", EMOTIONAL)
def test_emotions_of_the_actors(name: str) -> None:
    rows = recorded(name)
    count, speakers, emotions = EMOTIONAL[name]
    assert len(rows) == count
    assert len({row.speaker for row in rows}) == speakers
    assert Counter(row.attributes["emotion"] for row in rows) == emotions
    assert {row.attributes["age"] for row in rows} == {"adult"}
    assert {row.split for row in rows} == {"train", "dev", "test"}


def test_ravdess_is_paired_and_balanced() -> None:
    rows = recorded("ravdess")
    assert Counter(row.attributes["gender"] for row in rows) == {"male": 352, "female": 352}
    assert all(row.attributes["gender"] == ("male" if int(row.speaker[-2:]) % 2 else "female") for row in rows)
    assert Counter(row.text for row in rows) == {"kids are talking by the door": 352, "dogs are sitting by the door": 352}
    assert Counter(len(pair) for pair in pairs(rows)) == {2: 352}


def test_a_man_of_emodb_is_not_a_woman() -> None:
    sexes = {row.speaker.removeprefix("emodb/"): row.attributes["gender"] for row in recorded("emodb")}
    assert sexes == {s: "male" if s in ("10", "11", "12") else "female" for s in ("08", "09", "10", "11", "12", "13", "14")}


@pytest.mark.parametrize("fold", range(4))
def test_folds_of_ravdess_test_four_actors_and_train_on_twelve(fold: int) -> None:
    rows = recorded("ravdess", fold)
    actors = {row.speaker: (row.split, row.attributes["gender"]) for row in rows}
    assert Counter(actors.values()) == {("train", "male"): 6, ("train", "female"): 6, ("test", "male"): 2, ("test", "female"): 2}


def test_ages_of_speechocean762() -> None:
    rows = recorded("speechocean762")
    assert len(rows) == 460
    assert Counter(row.attributes["age"] for row in rows) == {"child": 230, "adult": 230}
    lines = (RECORDED / "speechocean762" / "train" / "spk2age").read_text().splitlines()
    years = {f"speechocean762/{speaker}": int(age) for speaker, age in map(str.split, lines)}
    assert len({row.speaker for row in rows}) == len(years) == 109
    for row in rows:
        assert years[row.speaker] <= 12 if row.value == "child" else years[row.speaker] >= 18
        assert ("gender" in row.attributes) == (row.value == "adult")
        assert row.text == row.text.lower() != ""


def test_folds_of_speechocean762_hold_children_and_adults_alike() -> None:
    for fold in range(4):
        ages = Counter(row.value for row in recorded("speechocean762", fold) if row.split == "test")
        assert min(ages.values()) > 0.8 * max(ages.values())
