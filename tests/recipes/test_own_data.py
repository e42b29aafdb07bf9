"""One's own data through the commands: tables, somebody else's audiofolder, and what is said of clips that had to be converted."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import RATE, tone

from undertone.audio import write_flac
from undertone.cli import main
from undertone.recipes.opening import read_data
from undertone.records import LayerScore, Score, Utterance, read_rows
from undertone.run import Journal
from undertone.settings import Evaluate
from undertone.speech.folder import write_folder

SPOKEN = [
    {"sex": sex, "sentence": f"how do i {deed}", "who": f"s{who}", "subject": deed, "couple": f"p{deed}{who}", "answer": f"{deed}, {sex}"}
    for who in range(4)
    for deed in ("cook", "swim")
    for sex in ("F", "M")
]
"""Sixteen clips as others describe them: two voices say each of two things, four speakers each."""

COLUMNS = ["--columns", "text", "sentence", "gender", "sex", "speaker", "who", "topic", "subject", "pair", "couple", "reply", "answer"]
MEANING = ["--values.gender", "F", "female", "M", "male"]
SMALL = ["--bootstrap", "20", "--batch", "16"]


def write_sounds(folder: Path, rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The clips of `rows`, each in the folder of its split, and the rows with their `file_name`."""
    named = [dict(row) | {"file_name": f"{row.get('place', 'test')}/{i}.flac"} for i, row in enumerate(rows)]
    for i, row in enumerate(named):
        write_flac(folder / row["file_name"], tone(110 + 5 * i if row["sex"] == "M" else 220 + 5 * i, 0.4), RATE)
        row.pop("place", None)
    return named


def write_table(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def theirs(folder: Path, form: str, rows: Sequence[Mapping[str, str]] = SPOKEN) -> Path:
    """An audiofolder that undertone did not write."""
    named = write_sounds(folder, rows)
    if form == "metadata.csv":
        write_table(folder / form, named)
    else:
        (folder / form).write_text("".join(json.dumps(row) + "\n" for row in named))
    return folder


both = pytest.mark.parametrize("form", ["metadata.jsonl", "metadata.csv"])


@both
def test_somebody_elses_audiofolder_is_evaluated(tmp_path: Path, form: str) -> None:
    data, out = theirs(tmp_path / "theirs", form), tmp_path / "run"
    words = ["evaluate", "--data", str(data), "--out", str(out), *COLUMNS, *MEANING, *SMALL, "--max-new-tokens", "2"]
    assert main(words) == 0
    scores = {(row.metric, row.group): row for row in read_rows(out / "scores.jsonl", Score)}
    assert scores["exact", "all"].n == len(SPOKEN)


@both
def test_a_run_goes_on_with_the_rows_that_it_began_with(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    data, out = theirs(tmp_path / "theirs", form, SPOKEN[:2]), tmp_path / "run"
    words = ["evaluate", "--data", str(data), "--out", str(out), *COLUMNS, *MEANING, *SMALL, "--max-new-tokens", "1"]
    assert main(words) == 0
    theirs(data, form, SPOKEN[:4])
    assert main(words) == 2
    assert str(out) in capsys.readouterr().err


@both
def test_somebody_elses_audiofolder_is_analysed(tmp_path: Path, form: str) -> None:
    data, out = theirs(tmp_path / "theirs", form), tmp_path / "run"
    words = ["analyze", "--data", str(data), "--out", str(out), *COLUMNS, *MEANING, *SMALL]
    assert main([*words, "--splits", "test", "--folds", "2", "--patch-pairs", "1"]) == 0
    known = {row.analysis for row in read_rows(out / "layers.jsonl", LayerScore) if row.attribute in ("gender", "content", "")}
    assert {"probe", "probe-text-only", "intent", "attribute-conditioned", "patching"} <= known
    assert (out / "selection.json").exists()


def test_labels_without_replies_are_enough_to_teach_names(tmp_path: Path) -> None:
    """No clip has a reply and none is in split dev, as in a published corpus: the labels are what is right to answer."""
    data = theirs(tmp_path / "theirs", "metadata.csv", [row | {"place": "train"} for row in SPOKEN])
    words = ["--data", str(data), *COLUMNS[:7], *MEANING, "--batch", "16"]
    tune = ["--naming", "gender", "--steps", "2", "--batch-size", "4", "--layers", "0", "--lora.rank", "2"]
    assert main(["finetune", *words, "--out", str(tmp_path / "tune"), *tune]) == 0
    made = json.loads((tmp_path / "tune" / "adapter" / "undertone.json").read_text())
    assert made["system"] == "is the speaker a man or a woman"
    costs = {row.metric: row for row in read_rows(tmp_path / "tune" / "scores.jsonl", Score) if row.suite == "cost"}
    assert costs["dev_loss"].n == 4, "one speaker of four picks the checkpoint"
    asked = ["--attribute", "gender", "--split", "train", "--adapter", str(tmp_path / "tune" / "adapter"), "--bootstrap", "0"]
    assert main(["recognize", *words, "--out", str(tmp_path / "asked"), *asked]) == 0
    assert {row.n for row in read_rows(tmp_path / "asked" / "scores.jsonl", Score) if row.metric == "ua"} == {len(SPOKEN)}


def test_a_folder_of_the_clip_gives_its_split_where_no_column_does(tmp_path: Path) -> None:
    places = ("train", "dev", "validation", "test", "elsewhere")
    data = theirs(tmp_path, "metadata.csv", [SPOKEN[0] | {"place": place} for place in places])
    rows = read_data(Evaluate(data=data), Journal(tmp_path / "rejected.jsonl")).utterances
    assert [row.split for row in rows] == ["train", "dev", "dev", "test", "train"]


def test_what_cells_mean_is_settable_for_every_form(tmp_path: Path) -> None:
    rows = [row | {"part": part} for row, part in zip(SPOKEN[:2], ("validation", "test"), strict=True)]
    named = [row | {"wav": row["file_name"]} for row in write_sounds(tmp_path, rows)]
    write_table(tmp_path / "own.csv", named)
    turns = [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "yes"}]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row | {"messages": turns, "audios": [row["wav"]]}) + "\n" for row in named))
    columns, values = {"gender": "sex", "split": "part"}, {"gender": {"F": "female", "M": "male"}, "split": {"validation": "dev"}}
    for name, more in (("own.csv", {"audio": "wav"}), ("own.jsonl", {})):
        chosen = Evaluate(data=tmp_path / name, columns=columns | more, values=values)
        found = read_data(chosen, Journal(tmp_path / "rejected.jsonl")).utterances
        assert [(row.attributes["gender"], row.split) for row in found] == [("female", "dev"), ("male", "test")]


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("analyze", [], "no clip says its attributes; add a column one of age, gender, emotion, or name one with --columns"),
        ("analyze", ["--columns", "gender", "sex", *MEANING], "no clip says its text; add a column text, or name one with --columns"),
        ("evaluate", [], "no clip says its reply; add a column reply, or name one with --columns"),
        ("evaluate", ["--columns", "reply", "answer", "--control", "text-only"], "no clip says its text"),
        ("evaluate", ["--columns", "gender", "sex"], "attributes: Value error, gender has no value 'F'; known: female, male"),
        ("evaluate", ["--columns", "gender", "gendre"], "no column gendre; there are: sex, sentence, "),
        ("evaluate", ["--columns", "gendre", "sex"], "unknown field 'gendre' (did you mean 'gender'?)"),
    ],
)
def test_what_somebody_elses_folder_does_not_say_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, words: list[str], said: str
) -> None:
    data = theirs(tmp_path / "theirs", "metadata.csv", SPOKEN[:2])
    split = ["--splits", "test"] if command == "analyze" else []
    assert main([command, "--data", str(data), "--out", str(tmp_path / "run"), *split, *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_folder_that_holds_no_data_says_how_to_make_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v1.5").mkdir()
    for name in ("v1.5", "nowhere"):
        assert main(["evaluate", "--data", str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2
        assert f"{tmp_path / name}: no metadata.jsonl there; make the data first" in capsys.readouterr().err


def test_names_of_others_make_no_sense_for_a_folder_of_ours(
    tmp_path: Path, utterance: Callable[..., Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, [utterance()])
    assert main(["evaluate", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--columns", "age", "years"]) == 2
    assert "its rows have undertone's own names and words already" in capsys.readouterr().err


def odd_clips(folder: Path, utterance: Callable[..., Utterance]) -> list[Utterance]:
    """A row in each split that sounds as it should, one at another rate, one in stereo as well, and one without sound."""
    rows = []
    for i, split in enumerate(split for split in ("train", "dev", "test") for _ in range(4)):
        rows.append(utterance(i, split=split, file_name=f"{i}.wav", category="age", contrast="adult", reply="yes", contrast_reply="no"))
        rate = RATE if i % 4 == 0 else 22_050
        sound = tone(150 + 10 * i, 0.4, rate)
        if i % 4 < 3:
            soundfile.write(folder / rows[-1].file_name, np.stack([sound] * 2, axis=1) if i % 4 == 2 else sound, rate)
    return rows


RECIPES = {
    "analyze": (["--splits", "train", "--bootstrap", "0", "--folds", "2"], 4),
    "finetune": (["--steps", "1", "--batch-size", "2", "--layers", "0", "--batch", "2"], 12),
    "evaluate": (["--max-new-tokens", "1", "--bootstrap", "0"], 4),
    "cascade": (["--max-new-tokens", "1", "--bootstrap", "0", "--cascade"], 8),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("form", ["folder", "own.csv"])
def test_a_run_says_once_what_it_converted_and_what_it_turned_away(
    tmp_path: Path, utterance: Callable[..., Utterance], caplog: pytest.LogCaptureFixture, name: str, form: str
) -> None:
    rows = odd_clips(tmp_path, utterance)
    if form == "folder":
        write_folder(tmp_path, rows)
    else:
        kept = ("id", "text", "speaker", "split", "category", "contrast", "reply", "contrast_reply")
        write_table(tmp_path / form, [row.model_dump(include=set(kept)) | {"audio": row.file_name, "age": "child"} for row in rows])
    words, heard = RECIPES[name]
    command, data = name if name != "cascade" else "evaluate", tmp_path if form == "folder" else tmp_path / form
    status = main([command, "--data", str(data), "--out", str(tmp_path / "run"), *words])
    assert status == (2 if name == "analyze" else 0), "there is nothing that analyze could choose layers by"
    clips = heard if form == "folder" else len(rows)
    fourth = clips // 4
    assert [record.getMessage().removeprefix(f"{data}: ") for record in caplog.records if record.name.startswith("undertone")] == [
        f"of {3 * fourth} clips {2 * fourth} were at another rate and {fourth} in stereo; converted to 16000 Hz mono",
        f"{fourth} clips cannot be used; {tmp_path / 'run' / 'rejected.jsonl'} says why",
    ]


APART = [SPOKEN[i] | {"part": part} for i, part in ((0, "train"), (1, "test"), (4, "test"))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "speaker 's0' stands in train ("),
        (["--columns", "split", "part", "gender", "sex"], ""),
        (["--disjoint"], ""),
        (["--disjoint", "text"], "text 'how do i cook' stands in train ("),
    ],
)
def test_speakers_of_ones_own_data_stand_in_one_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    data = theirs(tmp_path / "theirs", "metadata.csv", APART)
    columns = ["--columns", "split", "part", "speaker", "who", "text", "sentence", "gender", "sex", "reply", "answer"]
    line = ["evaluate", "--data", str(data), "--out", str(tmp_path / "run"), *([] if "--columns" in words else columns)]
    status = main([*line, *words, *MEANING, "--limit", "1", "--max-new-tokens", "1", "--bootstrap", "0"])
    err = capsys.readouterr().err
    if said:
        assert (status, len(err.splitlines())) == (2, 1)
        assert said in err
        assert ") and test (" in err
        assert "out of the setting disjoint" in err
    else:
        assert "disjoint" not in err
