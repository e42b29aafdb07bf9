"""Every published corpus, laid out as its publisher ships it: what is read of it, and what is said of what does not belong there."""

import shutil
from pathlib import Path

import pytest
import soundfile
from conftest import RATE, tone
from layouts import FORMATS, LAYOUTS, MYST, SAVEE_FLAT, TESS_FLAT, Layout, lay_out, write_sound

from undertone.records import BrokenRow, Utterance
from undertone.speech.corpora import CORPORA, is_published, read_corpus

EVALUATION = "Session4/dialog/EmoEvaluation/Ses04M_script01_1.txt"
everywhere = pytest.mark.parametrize("name", LAYOUTS)


def said(row: Utterance, name: str) -> tuple[str, str, str, tuple[str, ...], str]:
    """What a `layouts.Row` tells of an utterance."""
    assert row.source == name
    assert row.id.startswith(f"{name}/")
    assert row.speaker.startswith(f"{name}/")
    values = tuple(row.attributes[key] for key in ("age", "gender", "emotion") if key in row.attributes)
    return (row.id.partition("/")[2], row.speaker.partition("/")[2], row.split, values, row.text)


def test_every_published_corpus_of_the_table_is_laid_out_here() -> None:
    assert [name for name in CORPORA if is_published(name)] == list(LAYOUTS)


@pytest.mark.parametrize("suffixes", [tuple(FORMATS), (".flac",)], ids=["all-formats", "flac"])
@pytest.mark.parametrize(("name", "layout"), [*LAYOUTS.items(), ("savee", SAVEE_FLAT), ("tess", TESS_FLAT)])
def test_the_publishers_layout_is_read(tmp_path: Path, name: str, layout: Layout, suffixes: tuple[str, ...]) -> None:
    found = read_corpus(name, lay_out(tmp_path, layout, suffixes), disjoint=("speaker",))
    assert sorted(said(row, name) for row in found.data.utterances) == sorted(map(tuple, layout.rows))
    assert found.rejected == []
    for row in found.data.utterances:
        assert row.category == ("age" if name in ("speechocean762", "myst") else "emotion")
        assert row.value == row.attributes[row.category]
        assert (found.data.folder / row.file_name).is_file()
        assert row.seconds == pytest.approx(0.5, abs=0.1)  # mp3 pads


@everywhere
def test_a_folder_of_something_else_is_one_error(tmp_path: Path, name: str) -> None:
    write_sound(tmp_path / "music" / "song.wav")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=rf"nothing of {name} there; expected .*; set --data") as caught:
            read_corpus(name, folder)
        assert str(folder) in str(caught.value)


@everywhere
def test_a_sound_that_is_none_is_turned_away_or_strictly_an_error(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, LAYOUTS[name], (".flac",))
    row = read_corpus(name, tmp_path).data.utterances[0]
    (tmp_path / row.file_name).write_text("these are words, not samples\n" * 40)
    found = read_corpus(name, tmp_path)
    assert [(lost.id, lost.file_name) for lost in found.rejected] == [(row.id, row.file_name)]
    assert len(found.data.utterances) == len(LAYOUTS[name].rows) - 1
    with pytest.raises(ValueError, match="is no sound file"):
        read_corpus(name, tmp_path, strict=True)


@pytest.mark.parametrize("name", ["esd", "iemocap", "expresso", "speechocean762"])
def test_what_is_listed_and_not_there_is_turned_away(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, LAYOUTS[name], (".opus",))
    lost = read_corpus(name, tmp_path).data.utterances[0]
    (tmp_path / lost.file_name).unlink()
    found = read_corpus(name, tmp_path)
    assert [(row.id, row.reason) for row in found.rejected] == [(lost.id, "no such file")]
    assert Path(found.rejected[0].file_name).suffix.lower() == ".wav", "is called as the publisher calls it"
    with pytest.raises(ValueError, match=r"(?i)\.wav: no such file"):
        read_corpus(name, tmp_path, strict=True)


@pytest.mark.parametrize(
    ("name", "sound", "message"),
    [
        ("ravdess", "Actor_01/03-01-09-01-01-01-01", "unknown emotion '09'; the publisher's are: 01, 02, "),
        ("ravdess", "Actor_01/03-01-01-01-03-01-01", "unknown sentence '03'"),
        ("ravdess", "Actor_01/holiday", "calls its files like 03-01-06-01-02-01-12.wav"),
        ("crema_d", "AudioWAV/1001_DFA_JOY_XX", "unknown emotion 'JOY'"),
        ("crema_d", "AudioWAV/1001_ABC_ANG_XX", "unknown sentence 'ABC'"),
        ("crema_d", "AudioWAV/1002_DFA_ANG_XX", r"VideoDemographics\.csv: no line for '1002'"),
        ("emodb", "wav/03a01Xa", "unknown emotion 'X'"),
        ("emodb", "wav/04a01Fa", "unknown speaker '04'"),
        ("esd", "0001/Bored/0001_000001", "unknown emotion 'Bored'"),
        ("savee", "AudioData/DC/b01", "unknown emotion 'b'"),
        ("savee", "AudioData/XY/a01", "unknown speaker 'XY'"),
        ("tess", "OAF_angry/OAF_back_bored", "unknown emotion 'bored'"),
    ],
)
def test_a_name_that_the_publisher_does_not_know_is_an_error(tmp_path: Path, name: str, sound: str, message: str) -> None:
    lay_out(tmp_path, LAYOUTS[name], (".wav",))
    write_sound(tmp_path / f"{sound}.wav")
    with pytest.raises(BrokenRow, match=message) as caught:
        read_corpus(name, tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file", "line", "message"),
    [
        ("iemocap", EVALUATION, "[1.0 - 2.0]\tSes04M_a_M000\tfun\t[1, 1, 1]", ":2: unknown emotion 'fun'"),
        ("iemocap", EVALUATION, "[1.0 - 2.0] neu", r":2: should be \[start - end\]"),
        ("expresso", "read_transcriptions.txt", "ex01_bored_00001\tNo.", ":6: unknown style 'bored'"),
        ("expresso", "read_transcriptions.txt", "ex09_happy_00001\tNo.", ":6: unknown speaker 'ex09'"),
        ("expresso", "read_transcriptions.txt", "something else", ":6: no utterance of this corpus"),
        ("speechocean762", "train/wav.scp", "000060001 WAVE/SPEAKER0006/000060001.WAV", "utt2spk: no line for '000060001'"),
        ("speechocean762", "train/spk2age", "0001 twelve", "spk2age: 0001: age 'twelve' is no number of years"),
        ("speechocean762", "train/spk2gender", "0001 x", "spk2gender: 0001: unknown gender 'x'; the publisher's are: m, f"),
        ("crema_d", "VideoDemographics.csv", "1092,20,Unsaid,x,y", ":6: unknown sex 'Unsaid'; the publisher's are: Male, Female"),
    ],
)  # fmt: skip
def test_a_line_that_the_publisher_would_not_write_is_an_error(tmp_path: Path, name: str, file: str, line: str, message: str) -> None:
    lay_out(tmp_path, LAYOUTS[name])
    with (tmp_path / file).open("a") as listed:
        listed.write(line + "\n")
    with pytest.raises(BrokenRow, match=message) as caught:
        read_corpus(name, tmp_path)
    assert str(tmp_path / Path(file).parent) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file"), [("crema_d", "VideoDemographics.csv"), ("esd", "0007/0007.txt"), ("speechocean762", "test/spk2age")]
)
def test_a_list_that_is_missing_is_named(tmp_path: Path, name: str, file: str) -> None:
    (lay_out(tmp_path, LAYOUTS[name]) / file).unlink()
    with pytest.raises(FileNotFoundError, match="it is part of the corpus, copy it from the publisher's archive") as caught:
        read_corpus(name, tmp_path)
    assert str(tmp_path / file) in str(caught.value)


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    (lay_out(tmp_path, LAYOUTS["expresso"]) / "read_transcriptions.txt").write_bytes(b"\xff\xff")
    with pytest.raises(BrokenRow, match=r"read_transcriptions\.txt: not text in utf-8"):
        read_corpus("expresso", tmp_path)


@everywhere
def test_other_rates_and_stereo_are_converted_and_warned_of_once(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    lay_out(tmp_path, LAYOUTS[name], (".wav",))
    rows = read_corpus(name, tmp_path).data.utterances
    for row, rate in zip(rows, (48_000, RATE, 22_050), strict=False):
        soundfile.write(tmp_path / row.file_name, tone(rate=rate), rate)
    assert [row.seconds for row in read_corpus(name, tmp_path).data.utterances] == pytest.approx([row.seconds for row in rows], abs=0.01)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"{tmp_path}: of {len(rows)} clips 2 were at another rate and 0 in stereo; converted to 16000 Hz mono"]


def test_a_speaker_in_two_splits_is_an_error(tmp_path: Path) -> None:
    lay_out(tmp_path, MYST)
    shutil.copytree(tmp_path / "data/train/001", tmp_path / "data/test/001")
    (moved,) = (tmp_path / "data/test/001").rglob("*.wav")
    moved.rename(moved.with_stem("myst_001_2014-01-02_MX_1.1_001"))
    with pytest.raises(BrokenRow, match=r"speaker 'myst/001' stands in train .* and test "):
        read_corpus("myst", tmp_path, disjoint=("speaker",))


def test_myst_is_read_from_its_data_folder_too(tmp_path: Path) -> None:
    lay_out(tmp_path, MYST)
    whole, inner = read_corpus("myst", tmp_path).data, read_corpus("myst", tmp_path / "data").data
    assert [row.id for row in whole.utterances] == [row.id for row in inner.utterances]
