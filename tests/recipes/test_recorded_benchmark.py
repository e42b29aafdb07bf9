"""The benchmarks on recordings run to their end: eight actors of tones, a step or two."""

import argparse
from collections import Counter
from pathlib import Path

import languages
import pytest
import recorded
import steps
from layouts import SPEECHOCEAN762, Layout, lay_out

from undertone import settings
from undertone.evaluation.recognition import Named
from undertone.models import EARS
from undertone.recipes.pupils import open_pupil
from undertone.recipes.synthesize import synthesize
from undertone.run import Run
from undertone.speech.folder import read_folder

EMOTIONS = ("01", "03", "04", "05")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    names = [(f"{actor:02d}", emotion, said) for actor in range(1, 9) for emotion in EMOTIONS for said in ("01", "02")]
    layout = Layout([f"Actor_{actor}/03-01-{emotion}-01-{said}-01-{actor}" for actor, emotion, said in names], {}, ())
    return lay_out(tmp_path / "data", layout, (".flac",))


@pytest.mark.slow
def test_every_run_of_the_benchmark_is_scored_over_all_folds(data: Path, tmp_path: Path) -> None:
    given = argparse.Namespace(
        corpus="ravdess", attribute="emotion", base="undertone-tiny-ears", data=data, out=tmp_path / "out", methods=["aligned"], steps=2,
        rate=2e-2, prosody=True, augment=0.0, per_speaker=True, seed=0,
    )  # fmt: skip
    rows = recorded.run_suite(given, "frozen/ravdess4", recorded.FOUR)
    ua = {row.run: row.n for row in rows if row.metric == "ua" and row.group == "all"}
    assert ua == dict.fromkeys(("aligned", "classifier", "by-note", "words-only", "untaught", "statistics"), 64)
    assert {row.group for row in rows if row.metric == "ua_difference"} == {"less classifier", "less statistics"}
    assert {row.run for row in rows if row.metric == "probe_wa"} == {"untaught"}
    assert {row.value for row in rows if row.metric == "weights_identical"} == {1.0}
    assert {row.group for row in rows if row.metric == "peak_bytes"} == {"training"}
    assert {row.suite for row in rows} == {"frozen/ravdess4"}


@pytest.mark.slow
def test_an_encoder_pretrained_on_every_other_sound_is_weighed_against_the_same_without(data: Path, tmp_path: Path) -> None:
    simulated = tmp_path / "simulated"
    few = {"age": 2, "gender": 2, "emotion": 6, "content": 2}
    synthesize(settings.Synthesize(out=simulated, train=few, dev=few, test=few, safety_speakers=0, speakers=4))
    given = argparse.Namespace(
        data=data, base="undertone-tiny-ears", out=tmp_path / "out", arms=["untrained", "untrained, acoustic"], simulated=simulated,
        recordings=[], steps=1, dtype="float32",
    )  # fmt: skip
    steps.pretrain(given)
    heard = {fold: read_folder(tmp_path / "out" / "unlabelled" / str(fold)).utterances for fold in recorded.FOLDS}
    for fold, rows in heard.items():
        clips = recorded.clips(argparse.Namespace(corpus="ravdess", data=data, attribute="emotion"), fold)
        asked = {row.speaker for row in clips if row.split == "test"}
        assert {row.speaker for row in rows}.isdisjoint({f"ravdess-{speaker}" for speaker in asked})
        assert {row.source for row in rows} == {"ravdess", "simulated"}
        assert not any(row.text or row.attributes for row in rows)
    scored = steps.run_suite(given, "frozen/ravdess4", recorded.FOUR)
    assert {(row.run, row.group) for row in scored if row.metric == "ua_difference"} == {("untrained, acoustic", "less untrained")}
    assert {row.n for row in scored if row.metric == "ua" and row.group == "all"} == {64}


def test_a_part_of_every_speakers_training_clips_is_learnt_from_and_all_others_are_asked(data: Path, tmp_path: Path) -> None:
    where = argparse.Namespace(corpus="ravdess", data=data, attribute="emotion")
    few = argparse.Namespace(**vars(where) | {"data": steps.thinned(where, 0, 0.25, ["sad", "angry"], tmp_path / "few")})
    whole, kept = (recorded.clips(one, 0) for one in (where, few))
    assert {row.attributes["emotion"] for row in kept} == {"sad", "angry"}
    own = [row for row in whole if row.attributes["emotion"] in ("sad", "angry")]
    assert {row.id for row in own if row.split != "train"} == {row.id for row in kept if row.split != "train"}
    assert Counter(row.speaker for row in kept if row.split == "train") == {row.speaker: 1 for row in own if row.split == "train"}


def test_ua_by_sex_is_told_where_both_sexes_have_every_value(data: Path, tmp_path: Path) -> None:
    """Of speechocean762's children it is not said, and the adults alone have a recall and no UA."""
    score = Run(tmp_path, "aligned", 0, "").score
    of = {
        corpus: argparse.Namespace(corpus=corpus, data=folder, attribute=attribute, seed=0)
        for corpus, folder, attribute in (
            ("ravdess", data, "emotion"),
            ("speechocean762", lay_out(tmp_path / "other", SPEECHOCEAN762), "age"),
        )
    }
    told = {}
    for corpus, where in of.items():
        named = [Named(row.attributes[where.attribute], "", row.speaker) for row in recorded.clips(where, 0)]
        told[corpus] = {row.group for row in recorded.by_sex(where, named, score)}
    assert told == {"ravdess": {"female", "male"}, "speechocean762": set()}


@pytest.mark.slow
def test_every_step_is_weighed_against_all_of_them(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SHARES", {"50 %": 0.5})  # a tenth of eight clips a speaker would leave a value out
    given = argparse.Namespace(data=data, base="undertone-tiny-ears", out=tmp_path / "out")
    rows = steps.run_suite(given, "frozen/ravdess4", recorded.FOUR)
    runs = steps.ARMS.keys() | steps.SHARES.keys()
    assert {row.run: row.n for row in rows if row.metric == "ua" and row.group == "all"} == dict.fromkeys(runs, 64)
    gains = {row.run: row.value for row in rows if row.metric == "ua_difference"}
    assert gains.keys() == runs - {"base"}
    assert gains["ears"] == 0, "which are the base here"


@pytest.mark.slow
def test_other_accents_and_german_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "ACCENTS", ("en-gb-x-rp",))
    monkeypatch.setattr(languages, "SAID", {"age": 4, "emotion": 12, "content": 4})
    names = [f"{speaker}a01{code}a" for speaker in ("03", "08", "09", "10", "11", "12", "13", "14") for code in "NFTW"]
    emodb = lay_out(tmp_path / "emodb", Layout([f"wav/{name}" for name in names], {}, ()), (".flac",))
    model = tmp_path / "demo" / "seed-0" / "align" / "aligned" / "model"
    open_pupil(settings.Align(model=EARS, note_tokens=14)).save(model)
    given = argparse.Namespace(frozen=tmp_path / "demo", emodb=emodb, steps=4, out=tmp_path / "out")
    rows = list(languages.run_all(given))
    found = {(row.run, row.suite) for row in rows if row.metric == "ua" and row.group == "all"}
    assert found == {("aligned", "accent/en-gb-x-rp"), ("aligned", "frozen/emodb4"), ("aligned-german", "frozen/emodb4")}
    assert {row.n for row in rows if row.suite == "frozen/emodb4" and row.metric == "ua" and row.group == "all"} == {len(names)}
