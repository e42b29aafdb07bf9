"""The data folder: written, read, refused, and opened by Hugging Face datasets."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE, tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undertone import attributes
from undertone.audio import BadSound, write_flac
from undertone.records import BrokenRow, Rejected, Utterance, read_rows
from undertone.speech.folder import AXES, load_wave, read_folder, write_folder

Make = Callable[..., Utterance]


def test_what_is_written_is_read(tmp_path: Path, utterance: Make) -> None:
    rows = [utterance(0), utterance(1, split="test"), utterance(2, split="dev", attributes={"emotion": "sad", "age": "adult"})]
    turned_away = [Rejected(id="u9", file_name="clips/u9.flac", reason="silent")]
    written = write_folder(tmp_path, rows, turned_away, disjoint=["text", "speaker"])
    data = read_folder(tmp_path)
    assert data == written
    assert list(data.utterances) == rows
    assert data.disjoint == ("speaker", "text")
    assert list(read_rows(tmp_path / "rejected.jsonl", Rejected)) == turned_away
    assert [row.id for row in read_folder(tmp_path, splits=["test", "dev"]).utterances] == ["u1", "u2"]
    assert {path.name for path in tmp_path.iterdir()} == {"metadata.jsonl", "rejected.jsonl", "folder.json"}


def test_a_wave_is_loaded_at_the_asked_rate_or_its_file_named(tmp_path: Path, utterance: Make) -> None:
    data = write_folder(tmp_path, [utterance(0)])
    with pytest.raises(BadSound, match=r"clips/u0\.flac: no such file"):
        load_wave(data, data.utterances[0], RATE)
    write_flac(tmp_path / "clips" / "u0.flac", tone(), RATE)
    assert len(load_wave(data, data.utterances[0], RATE)) == len(tone())
    assert len(load_wave(data, data.utterances[0], 24_000)) == pytest.approx(1.5 * len(tone()), abs=2)


def test_a_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no metadata\.jsonl there; make the data first .*--data"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("axis", AXES)
def test_a_folder_that_breaks_its_declaration_is_refused(tmp_path: Path, utterance: Make, axis: str) -> None:
    rows = [utterance(i, **{axis: "same" if i % 2 else f"x{i}"}, split=split) for i, split in enumerate(["train", "train", "test", "test"])]
    with pytest.raises(BrokenRow, match=axis):
        write_folder(tmp_path / "new", rows, disjoint=[axis])
    assert not (tmp_path / "new").exists()
    write_folder(tmp_path, rows)
    assert len(read_folder(tmp_path).utterances) == 4
    (tmp_path / "folder.json").write_text(json.dumps({"disjoint": [axis]}))
    with pytest.raises(BrokenRow, match=rf"{axis} 'same' stands in train \(u1\) and test \(u3\)"):
        read_folder(tmp_path)
    with pytest.raises(BrokenRow):
        read_folder(tmp_path, splits=["train"])


@pytest.mark.parametrize(
    "declaration", ['{"disjoint": ["colour"]}', '{"disjoint": "text"}', "[]", "{", "7", '{"disjoint": [["text"]]}', "\xff"]
)
def test_a_broken_declaration_is_named(tmp_path: Path, utterance: Make, declaration: str) -> None:
    write_folder(tmp_path, [utterance()])
    (tmp_path / "folder.json").write_text(declaration, encoding="latin-1")
    with pytest.raises(BrokenRow, match=r"folder\.json"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{}, {}], "duplicate id 'u0'"),
        ([{"suite": "child-safety"}], "u0: child-safety queries are for the test split only, not train"),
        ([{"pair": "p"}, {"id": "u1", "pair": "p", "text": "other words"}], "pair 'p' has rows of different text: u0 and u1"),
        ([{"pair": "p"}, {"id": "u1", "pair": "p", "split": "dev"}], "pair 'p' has rows of different split"),
        ([{"attributes": {"accent": "scots"}}], r":1: attributes: .*unknown attribute 'accent'"),
        ([{}, {"id": "u1", "split": "all"}], r":2: split: "),
    ],
)
def test_rows_that_cannot_stand_are_named(tmp_path: Path, utterance: Make, rows: list[dict[str, object]], said: str) -> None:
    lines = [json.dumps(utterance().model_dump() | row) for row in rows]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(BrokenRow, match=said) as caught:
        read_folder(tmp_path)
    assert str(tmp_path / "metadata.jsonl") in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode), line=st.integers(0, 2))
def test_arbitrary_lines_never_crash(tmp_path: Path, utterance: Make, content: bytes, line: int) -> None:
    write_folder(tmp_path, [utterance(0), utterance(1)])
    lines = (tmp_path / "metadata.jsonl").read_bytes().splitlines()
    lines.insert(line, content)
    (tmp_path / "metadata.jsonl").write_bytes(b"\n".join(lines))
    try:
        assert len(read_folder(tmp_path).utterances) == 2
    except BrokenRow as error:
        assert "metadata.jsonl" in str(error)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.tuples(names, names, st.sampled_from(["train", "dev", "test"])), max_size=6), axes=st.sets(st.sampled_from(AXES)))
def test_any_rows_round_trip_or_break_their_declaration(
    tmp_path: Path, utterance: Make, drawn: list[tuple[str, str, str]], axes: set[str]
) -> None:
    rows = [utterance(i, text=text, speaker=speaker, split=split) for i, (text, speaker, split) in enumerate(drawn)]
    places = {axis: {(getattr(row, axis), row.split) for row in rows} for axis in axes}
    kept_apart = all(len({value for value, _ in pairs}) == len(pairs) for pairs in places.values())
    try:
        write_folder(tmp_path, rows, disjoint=axes)
    except BrokenRow:
        assert not kept_apart
    else:
        assert kept_apart
        assert list(read_folder(tmp_path).utterances) == rows


OPENER = """
import json, sys
from datasets import load_dataset
splits = load_dataset("audiofolder", data_dir=sys.argv[1], cache_dir=sys.argv[2])
rows = [row for name in splits for row in splits[name]]
print(json.dumps([[row["id"], row["text"], row["attributes"], row["audio"]["sampling_rate"], len(row["audio"]["array"])] for row in rows]))
"""


def test_hugging_face_datasets_opens_the_folder(tmp_path: Path, utterance: Make) -> None:
    python = os.environ.get("UNDERTONE_DATASETS3_PYTHON")
    if not python:
        pytest.skip(
            "datasets 5 needs torchcodec, which has no CPU build; to run this: python -m venv d3 && "
            "d3/bin/pip install datasets==3.6.0 soundfile librosa, then UNDERTONE_DATASETS3_PYTHON=d3/bin/python"
        )
    values: list[dict[str, str]] = [{}, {"age": "child"}, {"gender": "male", "emotion": "sad"}]
    rows = [
        utterance(i, attributes=said, split=split) for i, (said, split) in enumerate(zip(values, ("train", "dev", "test"), strict=True))
    ]
    for row in rows:
        write_flac(tmp_path / "data" / row.file_name, tone(), RATE)
    write_folder(tmp_path / "data", rows, [Rejected(id="r", file_name="clips/r.flac", reason="silent")], disjoint=AXES[:2])
    done = subprocess.run(
        [python, "-c", OPENER, str(tmp_path / "data"), str(tmp_path / "cache")],
        capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    every = [{name: said.get(name) for name in attributes.ATTRIBUTES} for said in values]
    assert json.loads(done.stdout) == [[row.id, row.text, said, RATE, len(tone())] for row, said in zip(rows, every, strict=True)]


def test_waves_survive_the_folder(tmp_path: Path, utterance: Make) -> None:
    data = write_folder(tmp_path, [utterance(0)])
    write_flac(tmp_path / data.utterances[0].file_name, tone(), RATE)
    assert np.abs(load_wave(data, data.utterances[0], RATE) - tone()).max() < 1e-4
