"""One's own data: every reader of the table on real files, good and bad."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import BAD_FILES, RATE, tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undertone.records import BrokenRow, Utterance
from undertone.speech.corpora import guess, read_corpus, read_data
from undertone.speech.folder import load_wave, read_folder, write_folder

Row = Mapping[str, str]


def write_messages(folder: Path, rows: Sequence[Row]) -> Path:
    def line(row: Row) -> str:
        said = {name: value for name, value in row.items() if name not in ("audio", "text", "reply")}
        turns = [{"role": "user", "content": f"<audio>{row['text']}"}, {"role": "assistant", "content": row["reply"]}]
        return json.dumps({"messages": turns, "audios": [row["audio"]]} | said)

    (folder / "own.jsonl").write_text("\n".join(map(line, rows)))
    return folder / "own.jsonl"


def write_csv(folder: Path, rows: Sequence[Row]) -> Path:
    with (folder / "own.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        table.writeheader()
        table.writerows(rows)
    return folder / "own.csv"


def write_audiofolder(folder: Path, rows: Sequence[Row]) -> Path:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(dict(row) | {"file_name": row["audio"]}) + "\n" for row in rows))
    return folder


WRITERS: dict[str, Callable[[Path, Sequence[Row]], Path]] = {
    "messages": write_messages,
    "csv": write_csv,
    "audiofolder": write_audiofolder,
}
everywhere = pytest.mark.parametrize("name", WRITERS)


def _row(audio: str, **more: str) -> Row:
    return {"audio": audio, "text": f"words of {audio}", "reply": "yes", "speaker": "ann", "split": "test", "age": "child"} | more


@everywhere
def test_good_clips_become_utterances(clips: Path, name: str) -> None:
    path = WRITERS[name](clips, [_row("a.flac", contrast_reply="no", category="age", contrast="adult"), _row("b.flac", pair="p")])
    found = read_corpus(name, path)
    assert guess(path) == name
    assert found.rejected == []
    first, second = found.data.utterances
    assert (first.text, first.reply, first.contrast_reply, first.value) == ("words of a.flac", "yes", "no", "child")
    assert (second.speaker, second.split, second.pair, second.attributes) == ("ann", "test", "p", {"age": "child"})
    assert first.seconds == 0.5
    assert first.source == name
    assert np.abs(load_wave(found.data, first, RATE) - tone(150)).max() < 1e-4
    assert read_corpus(name, path) == found, "ids must not change between readings"


@everywhere
def test_bad_files_among_many_are_rejected_with_their_reasons(clips: Path, name: str) -> None:
    path = WRITERS[name](clips, [_row("a.flac"), *map(_row, BAD_FILES), _row("c.flac")])
    found = read_corpus(name, path)
    assert [row.file_name for row in found.data.utterances] == ["a.flac", "c.flac"]
    assert [row.file_name for row in found.rejected] == list(BAD_FILES)
    for row in found.rejected:
        assert BAD_FILES[row.file_name] in row.reason


@everywhere
@pytest.mark.parametrize("bad", BAD_FILES)
def test_strict_makes_a_bad_file_an_error(clips: Path, name: str, bad: str) -> None:
    path = WRITERS[name](clips, [_row("a.flac"), _row(bad)])
    with pytest.raises(ValueError, match=BAD_FILES[bad]) as caught:
        read_corpus(name, path, strict=True)
    assert bad in str(caught.value)


@everywhere
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([_row("a.flac", age="senior")], "age has no value 'senior'; known: adult, child"),
        ([_row("missing.wav", split="validation")], "split: "),
        ([_row("a.flac", id="x"), _row("b.flac", id="x")], "duplicate id 'x'"),
        ([_row("a.flac"), _row("a.flac")], "duplicate id"),
    ],
)
def test_faults_of_the_manifest_are_errors_that_name_it(clips: Path, name: str, rows: Sequence[Row], said: str) -> None:
    path = WRITERS[name](clips, rows)
    with pytest.raises(BrokenRow, match=said) as caught:
        read_corpus(name, path)
    assert str(path) in str(caught.value)


@everywhere
def test_own_data_must_keep_what_it_declares(clips: Path, name: str) -> None:
    path = WRITERS[name](clips, [_row("a.flac", split="train"), _row("b.flac")])
    assert read_corpus(name, path, disjoint=("text",)).data.disjoint == ("text",)
    with pytest.raises(BrokenRow, match="speaker 'ann' stands in train"):
        read_corpus(name, path, disjoint=("speaker",))


@everywhere
def test_conversions_are_warned_of_once(clips: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    for other in ("d.wav", "e.wav"):
        soundfile.write(clips / other, np.stack([tone(), tone()], axis=1), 22_050)
    read_corpus(name, WRITERS[name](clips, [_row("a.flac"), _row("d.wav"), _row("e.wav")]))
    said = "of 3 clips 2 were at another rate and 2 in stereo; converted to 16000 Hz mono"
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [said]


def test_a_folder_is_an_audiofolder_by_another_name(clips: Path) -> None:
    rows = [_row("a.flac"), _row("b.flac")]
    for path in (write_audiofolder(clips, rows), clips):
        found = read_corpus("folder", path)
        assert [row.file_name for row in found.data.utterances] == ["a.flac", "b.flac"]
        (clips / "metadata.jsonl").unlink(missing_ok=True)
        (clips / "metadata.csv").write_text("file_name,age\na.flac,child\nb.flac,child\n")


def test_data_of_ones_own_has_no_folds(clips: Path) -> None:
    path = write_csv(clips, [_row("a.flac")])
    with pytest.raises(ValueError, match="csv is data of one's own, which says its splits itself"):
        read_corpus("csv", path, fold=0)
    assert [row.text for row in read_data(path, {}, {}, corpus="csv").data.utterances] == ["words of a.flac"]


def test_an_audiofolder_may_keep_its_metadata_in_a_folder_a_split(clips: Path) -> None:
    for split, text in (("train", "open it"), ("validation", "close it"), ("test", "keep it")):
        (clips / split).mkdir()
        (clips / split / "a.flac").write_bytes((clips / "a.flac").read_bytes())
        (clips / split / "metadata.csv").write_text(f"file_name,text,age\na.flac,{text},child\nnone.flac,{text},child\n")
    found = read_data(clips, {}, {})
    assert [(row.split, row.file_name, row.text) for row in found.data.utterances] == [
        ("train", "train/a.flac", "open it"), ("dev", "validation/a.flac", "close it"), ("test", "test/a.flac", "keep it"),
    ]  # fmt: skip
    assert [row.file_name for row in found.rejected] == ["train/none.flac", "validation/none.flac", "test/none.flac"]
    assert all(len(load_wave(found.data, row, RATE)) for row in found.data.utterances)


def test_our_own_folder_is_read_as_it_was_written(clips: Path, utterance: Callable[..., Utterance]) -> None:
    rows = [utterance(i, file_name=f"{name}.flac", category="age", contrast="adult") for i, name in enumerate("abc")]
    write_folder(clips, rows)
    assert read_corpus("audiofolder", clips).data == read_folder(clips)


def _messages(folder: Path, *rows: Any) -> Path:
    (folder / "m.jsonl").write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return folder / "m.jsonl"


USER, ASSISTANT = {"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "hello"}


def test_the_shapes_that_both_trainers_take(clips: Path) -> None:
    parts = {"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": "what is it"}]}
    rows = [
        {"messages": [{"role": "system", "content": "be kind"}, USER, ASSISTANT], "audios": ["a.flac"], "rejected_response": "go away"},
        {"messages": [parts, ASSISTANT], "audios": [{"path": str(clips / "b.flac"), "bytes": None}], "text": "spoken", "speaker": 7},
        {"messages": [USER], "audios": "c.flac", "attributes": {"emotion": "sad", "age": None}, "solution": 3, "images": []},
    ]
    (clips / "llama_factory.json").write_text(json.dumps(rows, indent=2))
    for path in (_messages(clips, *rows), clips / "llama_factory.json"):
        first, second, third = read_corpus("messages", path, split="dev").data.utterances
        assert (first.text, first.reply, first.contrast_reply, first.split, first.speaker) == ("", "hello", "go away", "dev", "unknown")
        assert (second.text, second.speaker) == ("spoken", "7")
        assert (third.reply, third.attributes) == (None, {"emotion": "sad"})
    assert read_corpus("messages", _messages(clips, {**rows[1], "text": None})).data.utterances[0].text == "what is it"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [{"role": "user", "content": "hi"}, ASSISTANT]}, "0 sounds; a row is one clip"),
        ({"messages": [USER, ASSISTANT], "audios": ["a.flac", "b.flac"]}, "2 sounds"),
        ({"messages": [USER, ASSISTANT, USER, ASSISTANT], "audios": ["a.flac"]}, "2 user messages"),
        ({"messages": [{"role": "user", "content": "hi"}], "audios": ["a.flac"]}, "holds 0 <audio>"),
    ],
)
def test_rows_that_are_no_single_spoken_question_are_rejected(clips: Path, row: dict[str, Any], reason: str) -> None:
    found = read_corpus("messages", _messages(clips, row, {"messages": [USER, ASSISTANT], "audios": ["c.flac"]}))
    assert len(found.data.utterances) == 1
    assert reason in found.rejected[0].reason


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not JSON"),
        ("7", "should be an object"),
        ({"audios": ["a.flac"]}, "messages: missing"),
        ({"messages": 3, "audios": ["a.flac"]}, "messages: should be a list"),
        ({"messages": [3], "audios": ["a.flac"]}, "each has a role"),
        ({"messages": [{"role": "user", "content": 3}], "audios": ["a.flac"]}, "content should be"),
        ({"messages": [USER], "audios": [3]}, "audios: should be paths"),
        ({"messages": [USER], "audios": 3}, "audios: should be paths"),
        ({"messages": [USER], "audios": ["a.flac"], "text": 3}, "text: "),
        ({"messages": [USER], "audios": ["\ud800"]}, "surrogates not allowed"),
    ],
)
def test_a_broken_line_is_an_error_that_names_it(clips: Path, row: Any, said: str) -> None:
    path = _messages(clips, {"messages": [USER, ASSISTANT], "audios": ["a.flac"]}, row)
    with pytest.raises(BrokenRow, match=said) as caught:
        read_corpus("messages", path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_columns_and_values_of_a_table_are_mapped(clips: Path) -> None:
    (clips / "t.tsv").write_text("\ufeffwav\tsex\tsentence\tnote\na.flac\tM\thello, you\tx\n\nb.flac\t\t\ty\n")
    columns, values = {"audio": "wav", "gender": "sex", "text": "sentence"}, {"gender": {"M": "male"}}
    first, second = read_corpus("csv", clips / "t.tsv", columns=columns, values=values).data.utterances
    assert (first.text, first.attributes) == ("hello, you", {"gender": "male"})
    assert (second.text, second.attributes) == ("", {})


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("wav,text\na.flac,hi\n", {}, r"t\.csv:1: no column audio; there are: wav, text"),
        ("audio\na.flac\n", {"columns": {"text": "sentence"}}, r"t\.csv:1: no column sentence"),
        ("audio\na.flac\n", {"columns": {"gendre": "sex"}}, r"unknown field 'gendre' \(did you mean 'gender'\?\)"),
        ("audio,text\na.flac\n", {}, r"t\.csv:2: 1 cells under 2 columns"),
        ("audio,text\na.flac,hi,ho\n", {}, r"t\.csv:2: 3 cells under 2 columns"),
        ('audio,text\na.flac,"hi\n', {}, r"t\.csv:2: "),
        ("", {}, r"t\.csv:1: no column audio"),
    ],
)
def test_a_broken_table_is_an_error_that_names_it(clips: Path, text: str, options: dict[str, Any], said: str) -> None:
    (clips / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_corpus("csv", clips / "t.csv", **options)


def test_a_row_without_a_sound_is_rejected(clips: Path) -> None:
    (clips / "t.csv").write_text("audio,text\n,hi\na.flac,ho\n")
    assert [row.reason for row in read_corpus("csv", clips / "t.csv").rejected] == ["names no sound file"]


json_values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3))
shaped = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": json_values}), max_size=3)},
    optional=dict.fromkeys(("audios", "text", "id", "speaker", "attributes", "age", "split", "file_name", "reply"), json_values),
)


@everywhere
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode) | shaped.map(json.dumps).map(str.encode))
def test_arbitrary_manifests_are_read_or_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / {"messages": "x.jsonl", "csv": "x.csv", "audiofolder": "metadata.jsonl"}[name]
    path.write_bytes((b"audio,text\n" if name == "csv" else b"") + content)
    try:
        assert not read_corpus(name, path).data.utterances
    except BrokenRow as error:
        assert str(path) in str(error)


def test_a_corpus_that_nobody_reads_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown corpus 'mesages' \(did you mean 'messages'\?\)"):
        read_corpus("mesages", tmp_path)
    with pytest.raises(ValueError, match=r"no reader for '\.xml'; known: a folder with metadata\.jsonl or metadata\.csv, \.jsonl, "):
        guess(tmp_path / "a.xml")
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        read_corpus("messages", tmp_path / "none.jsonl")
