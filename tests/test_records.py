"""Rows: what is written comes back, and what is no row is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertone import attributes
from undertone.records import BrokenRow, Judgement, Rejected, Reply, Score, Utterance, parse_row, read_rows, to_line, unique
from undertone.run import write_rows

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
said = st.fixed_dictionaries({}, optional={name: st.sampled_from(row.names) for name, row in attributes.ATTRIBUTES.items()})


@given(text=texts, values=said, seconds=st.floats(0, 1e3), reply=st.none() | texts)
def test_an_utterance_comes_back_from_its_line(text: str, values: dict[str, str], seconds: float, reply: str | None) -> None:
    row = Utterance(
        id="a", text=text, file_name="a.flac", seconds=seconds, attributes=values, speaker="s", source="t", split="dev", reply=reply
    )
    assert parse_row(to_line(row), Utterance, "x:1") == row


@given(text=texts)
def test_a_line_break_inside_a_text_is_no_end_of_a_row(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    rows = [Reply(utterance_id="a", run="r", text=f"{text}\u2028\x85\x1c\r{text}"), Reply(utterance_id="b", run="r", text="")]
    path = tmp_path_factory.getbasetemp() / "replies.jsonl"
    write_rows(path, rows)
    assert list(read_rows(path, Reply)) == rows


@given(line=st.text(max_size=60) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_an_arbitrary_line_is_a_row_or_named(line: str) -> None:
    for kind in (Utterance, Rejected, Judgement, Score):
        with pytest.raises(BrokenRow, match=r"^here:7: "):
            parse_row(line, kind, "here:7")


@pytest.mark.parametrize("value", ["5", "[1]", '"child"', '{"age": 3}', "[" * 5000, "9" * 5000, "NaN"])
def test_attributes_that_are_no_object_are_named(value: str, utterance: Callable[..., Utterance]) -> None:
    line = to_line(utterance()).replace(json.dumps(json.loads(to_line(utterance()))["attributes"]), value)
    with pytest.raises(BrokenRow, match=r"^f:1: "):
        parse_row(line, Utterance, "f:1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attributes": {"accent": "scots"}}, "unknown attribute 'accent'; known: age, gender, emotion"),
        ({"attributes": {"age": "senior"}}, "age has no value 'senior'; known: adult, child"),
        ({"category": "emotion"}, "emotion has no value"),
        ({"category": "age", "contrast": "male"}, "age has no value 'male'"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"split": "validation"}, "split: "),
        ({"seconds": float("nan")}, "seconds: "),
    ],
)
def test_what_does_not_fit_is_named(utterance: Callable[..., Utterance], tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "metadata.jsonl"
    path.write_text(to_line(utterance(0)) + json.dumps(utterance(1).model_dump() | change) + "\n")
    with pytest.raises(BrokenRow) as caught:
        list(read_rows(path, Utterance))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"rows\.jsonl"):
        list(read_rows(tmp_path / "rows.jsonl", Reply))
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(BrokenRow, match=r"rows\.jsonl: not UTF-8"):
        list(read_rows(tmp_path / "rows.jsonl", Reply))


def test_a_duplicate_id_is_named(utterance: Callable[..., Utterance]) -> None:
    with pytest.raises(BrokenRow, match="rows: duplicate id 'u1'"):
        unique([utterance(0), utterance(1), utterance(1)], Path("rows"))


def test_every_line_has_the_same_attribute_keys(utterance: Callable[..., Utterance]) -> None:
    lines = [json.loads(to_line(utterance(attributes=values))) for values in ({}, {"age": "child"}, {"emotion": "sad", "gender": "male"})]
    assert {tuple(line["attributes"]) for line in lines} == {tuple(attributes.ATTRIBUTES)}


def test_rows_are_frozen(utterance: Callable[..., Utterance]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        utterance().text = "other"  # type: ignore[misc]
