"""What published corpora share: files in any format, pairs, folds, and the way to them through the settings."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import EMOTIONS, LAYOUTS, RAVDESS, Layout, lay_out, write_sound

from undertone.cli import main
from undertone.recipes.opening import read_data
from undertone.records import Score, read_rows
from undertone.run import Journal
from undertone.settings import Evaluate
from undertone.speech import corpora
from undertone.speech.corpora import read_corpus
from undertone.speech.corpora.clips import Clip
from undertone.speech.corpora.published import Voice, deal, find_sound, inventory, paired, rotated, sounds, spoken

ACTORS = {f"{actor:02d}": "male" if actor % 2 else "female" for actor in range(9, 25)}


def clip(name: str, emotion: str, speaker: str = "ann", text: str = "no", sex: str = "female") -> Clip:
    return spoken("x", "list", f"{name}.wav", Voice(speaker, "dev", {"gender": sex, "emotion": emotion}), text)


def test_sixteen_actors_are_dealt_two_of_each_sex_into_every_group() -> None:
    groups = deal(ACTORS)
    assert Counter((groups[actor], sex) for actor, sex in ACTORS.items()) == {(g, sex): 2 for g in range(4) for sex in ("male", "female")}
    assert groups == deal(dict(reversed(ACTORS.items()))), "the order in which speakers are found must not matter"


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(["male", "female", ""]), max_size=40), st.integers(1, 6))
def test_groups_are_as_large_as_each_other_in_all_and_of_each_kind(kinds: dict[str, str], folds: int) -> None:
    groups = deal(kinds, folds)
    assert groups.keys() == kinds.keys()
    for some in (groups, *({name: groups[name] for name in kinds if kinds[name] == kind} for kind in set(kinds.values()))):
        sizes = [list(some.values()).count(group) for group in range(folds)]
        assert max(sizes) - min(sizes) <= 1


def test_every_speaker_is_tested_in_one_fold_and_trained_on_in_the_others() -> None:
    clips = [clip(f"{actor}-{i}", "sad", actor, sex=sex) for actor, sex in ACTORS.items() for i in range(3)]
    tested = []
    for fold in range(4):
        splits = {one.fields["speaker"]: one.fields["split"] for one in rotated(clips, fold)}
        assert Counter(splits.values()) == {"train": 12, "test": 4}
        tested += [speaker for speaker, split in splits.items() if split == "test"]
    assert sorted(tested) == [f"x/{actor}" for actor in ACTORS]


@pytest.mark.parametrize("fold", [-1, 4])
def test_a_fold_that_is_none_is_an_error(fold: int) -> None:
    with pytest.raises(ValueError, match=f"fold {fold}: should be 0 to 3; leave the setting fold at -1"):
        rotated([clip("a", "sad")], fold)


def test_a_fold_without_speakers_is_an_error(tmp_path: Path) -> None:
    lay_out(tmp_path, LAYOUTS["tess"])
    splits = [{row.speaker: row.split for row in read_corpus("tess", tmp_path, fold=fold).data.utterances} for fold in (0, 1)]
    assert splits == [{"tess/OAF": "test", "tess/YAF": "train"}, {"tess/OAF": "train", "tess/YAF": "test"}]
    with pytest.raises(ValueError, match="fold 2: no speaker is in it, for there are 2 in all; set fold below 2"):
        read_corpus("tess", tmp_path, fold=2)


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["yes", "no", ""]), st.sampled_from(EMOTIONS)), max_size=24))
def test_pairs_are_two_values_of_the_same_words_by_the_same_speaker(said: Sequence[tuple[str, str, str]]) -> None:
    clips = [clip(str(i), emotion, speaker, text) for i, (speaker, text, emotion) in enumerate(said)]
    done = list(paired(clips))
    assert [one.fields["id"] for one in done] == [one.fields["id"] for one in clips]
    assert done == list(paired(clips)), "the same clips are paired in the same way"
    members: dict[str, list[Clip]] = {}
    for one in done:
        if "pair" in one.fields:
            members.setdefault(one.fields["pair"], []).append(one)
    for one, other in members.values():
        assert all(one.fields[name] == other.fields[name] for name in ("speaker", "text", "split", "category"))
        assert one.fields["contrast"] == other.fields["attributes"]["emotion"] != one.fields["attributes"]["emotion"]
        assert one.fields["text"]


def test_as_many_pairs_as_can_be_are_made() -> None:
    halves = [clip(str(i), "sad" if i % 2 else "happy") for i in range(8)]
    assert all("pair" in one.fields for one in paired(halves))
    most = [clip(str(i), "sad" if i < 6 else "happy") for i in range(8)]
    assert sum("pair" in one.fields for one in paired(most)) == 4


def test_a_sound_is_found_in_the_format_that_lies_there(tmp_path: Path) -> None:
    for name in ("a.flac", "b.opus", "c.mp3", "d.WAV", "e_1.1_002.flac", "f.flac"):
        (tmp_path / name).touch()
    listed = ["a.wav", "b.WAV", "c.wav", "d.WAV", "e_1.1_002.wav", "f.mp3", "gone.wav"]
    assert [find_sound(tmp_path, name) for name in listed] == ["a.flac", "b.opus", "c.mp3", "d.WAV", "e_1.1_002.flac", "f.flac", "gone.wav"]


def test_a_sound_in_two_formats_is_one_and_what_is_hidden_is_none(tmp_path: Path) -> None:
    for name in ("b.flac", "b.wav", "a.mp3", "._a.mp3", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in sounds(tmp_path, "*", "a*")] == ["a.mp3", "b.wav"]


def test_the_inventory_changes_with_the_corpus_and_not_with_what_is_ours(tmp_path: Path) -> None:
    write_sound(lay_out(tmp_path, RAVDESS) / ".features" / "x.wav")
    before = inventory(tmp_path)
    write_sound(tmp_path / ".features" / "y.wav")
    assert inventory(tmp_path) == before
    next(tmp_path.glob("Actor_01/*.wav")).unlink()
    assert inventory(tmp_path) != before


def test_publishers_words_are_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ravdess: its reader knows what the publisher's words mean"):
        read_corpus("ravdess", lay_out(tmp_path, RAVDESS), columns={"age": "years"})


def test_a_reader_of_ones_own_is_named_by_its_address(tmp_path: Path) -> None:
    found = read_corpus("undertone.speech.corpora.ravdess:RAVDESS", lay_out(tmp_path, RAVDESS))
    assert {row.source for row in found.data.utterances} == {"ravdess"}


def small(actors: int = 8) -> Layout:
    """Two sentences in three emotions by each of the actors."""
    names = [(f"{a:02d}", e, s) for a in range(1, actors + 1) for e in ("03", "04", "05") for s in ("01", "02")]
    return Layout([f"Actor_{a}/03-01-{e}-01-{s}-01-{a}" for a, e, s in names], {}, ())


def test_settings_name_corpus_and_fold(tmp_path: Path) -> None:
    lay_out(tmp_path, small(), (".flac",))
    rejected = Journal(tmp_path / "rejected.jsonl")
    own = read_data(Evaluate(data=tmp_path, corpus="ravdess"), rejected).utterances
    assert {row.split for row in own} == {"train"}
    turned = read_data(Evaluate(data=tmp_path, corpus="ravdess", fold=1), rejected).utterances
    assert {row.speaker for row in turned if row.split == "test"} == {"ravdess/03", "ravdess/04"}
    assert [row.id for row in turned] == [row.id for row in own], "an utterance is the same in every fold"
    with pytest.raises(ValueError, match="a data folder has its own splits; leave the setting fold at -1"):
        corpora.read_data(tmp_path / "none", {}, {}, fold=0)


def test_a_corpus_goes_through_a_recipe_to_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = lay_out(tmp_path / "theirs", small(), (".flac",)), tmp_path / "run"
    words = ["evaluate", "--data", str(data), "--corpus", "ravdess", "--fold", "0", "--out", str(out), "--bootstrap", "20"]
    words += ["--max-new-tokens", "1"]
    assert main(words) == 0
    scored = {row.metric: row for row in read_rows(out / "scores.jsonl", Score) if row.group == "all"}
    assert scored["pa_score"].unscored == 12, "two actors, six clips each"
    assert main(["report", "--runs", str(out)]) == 0
    assert "kids are talking by the door" in (out / "report.html").read_text()
    next(data.glob("Actor_01/*")).unlink()
    assert main(words) == 2
    assert str(out) in capsys.readouterr().err
    assert main([*words, "--corpus", "ravdes"]) == 2
    assert "unknown corpus 'ravdes' (did you mean 'ravdess'?)" in capsys.readouterr().err
