"""Pairs for the report: taken in file order, answered by every run that compares, and found from wherever the file lies."""

import json
from pathlib import Path

import pytest
from conftest import RATE, tone

from undertone.audio import write_flac
from undertone.recipes.examples import listening, write_examples
from undertone.recipes.report import report
from undertone.records import Judgement, Reply, Score, Utterance, read_rows
from undertone.reporting.folder import Example, source
from undertone.run import write_atomic, write_rows
from undertone.settings import Evaluate, Report
from undertone.speech.folder import write_folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five pairs about age, one of child safety, and a content clip, all in the test split."""
    rows = []
    for i in range(6):
        for value, other in (("child", "adult"), ("adult", "child")):
            rows.append(
                Utterance(
                    id=f"{value}-{i}", text=f"question {i}", file_name=f"clips/{value}-{i}.flac", seconds=0.5, attributes={"age": value},
                    speaker="s", source="t", split="test", suite="pa" if i < 5 else "child-safety", category="age", pair=f"p{i}",
                    contrast=other, reply=f"for the {value}", contrast_reply=f"for the {other}",
                )
            )  # fmt: skip
    rows.append(rows[0].model_copy(update={"id": "c", "category": "content", "pair": None, "file_name": "clips/c.flac", "contrast": None}))
    for row in rows:
        write_flac(tmp_path / "data" / row.file_name, tone(), RATE)
    write_folder(tmp_path / "data", rows)
    return tmp_path / "data"


def evaluation(folder: Path, data: Path, name: str, says: str = "", **more: object) -> Path:
    """A finished evaluation that answers `says`, or to each voice what suits it."""
    rows = list(read_rows(data / "metadata.jsonl", Utterance))
    write_atomic(folder / "settings.json", Evaluate(data=data, name=name, **more).model_dump_json())
    replies = {row.id: says or row.reply or "" for row in rows}
    write_rows(folder / "replies.jsonl", [Reply(utterance_id=key, run=name, text=text) for key, text in replies.items()])
    verdicts = [(row.id, 1 if replies[row.id] == row.reply else -1) for row in rows if row.pair]
    write_rows(folder / "judgements.jsonl", [Judgement(utterance_id=key, run=name, judge="rule", value=value) for key, value in verdicts])
    score = Score(run=name, suite="pa/age", metric="pa_score", group="all", value=0.5, n=10, seed=0, commit="abc123")
    write_rows(folder / "scores.jsonl", [score])
    return folder


def test_the_first_pairs_of_every_suite_with_every_run(data: Path, tmp_path: Path) -> None:
    runs = [evaluation(tmp_path / "v", data, "vanilla", "for the adult"), evaluation(tmp_path / "t", data, "pe-ft")]
    write_examples(tmp_path / "deep" / "page" / "examples.jsonl", runs)
    rows = list(read_rows(tmp_path / "deep" / "page" / "examples.jsonl", Example))
    assert [row.text for row in rows] == ["question 0", "question 1", "question 2", "question 5"]
    child, adult = rows[0].voices
    assert (child.value, adult.value) == ("child", "adult")
    assert list(child.replies) == ["vanilla", "pe-ft"]
    assert (child.replies, child.verdicts) == ({"vanilla": "for the adult", "pe-ft": "for the child"}, {"vanilla": -1, "pe-ft": 1})
    assert (adult.replies, adult.verdicts) == ({"vanilla": "for the adult", "pe-ft": "for the adult"}, {"vanilla": 1, "pe-ft": 1})
    assert not Path(child.file).is_absolute()
    assert (tmp_path / "deep" / "page" / child.file).resolve() == (data / "clips" / "child-0.flac").resolve()


def test_a_pair_that_one_run_was_not_asked_is_left_out(data: Path, tmp_path: Path) -> None:
    whole, part = evaluation(tmp_path / "v", data, "vanilla"), evaluation(tmp_path / "t", data, "pe-ft")
    kept = [row for row in read_rows(part / "replies.jsonl", Reply) if row.utterance_id not in ("adult-0", "child-5")]
    write_rows(part / "replies.jsonl", kept)
    found = listening([source(whole), source(part)])
    assert [row.text for row in found.examples] == ["question 1", "question 2", "question 3"]
    write_rows(part / "replies.jsonl", [])
    assert "no pair in common" in listening([source(whole), source(part)]).absent


def test_controls_and_scaled_adapters_are_not_compared(data: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    runs = [
        evaluation(tmp_path / "c", data, "pe-ft", control="text-only"),
        evaluation(tmp_path / "s", data, "pe-ft", "half", adapter=adapter, strength=0.5),
        evaluation(tmp_path / "at", data, "pe-ft@0.25", "a quarter"),
    ]
    assert "No examples.jsonl" in listening([source(run) for run in runs]).absent
    runs.append(evaluation(tmp_path / "t", data, "pe-ft", "as trained", adapter=adapter))
    found = listening([source(run) for run in runs]).examples
    assert found[0].voices[0].replies == {"pe-ft": "as trained"}


def test_the_report_of_two_evaluations_plays_both_voices_and_says_when_it_cannot(data: Path, tmp_path: Path) -> None:
    runs = [evaluation(tmp_path / "v", data, "vanilla", "for the adult"), evaluation(tmp_path / "t", data, "pe-ft")]
    html = report(Report(runs=runs, out=tmp_path / "page.html")).read_text()
    assert html.count("<audio") == 8
    assert html.count('class="answer unsuited"') == 4, "vanilla gives the child the adult's answer, pair by pair"
    assert html.count('class="answer suits"') == 12
    data.rename(tmp_path / "elsewhere")
    html = report(Report(runs=runs, out=tmp_path / "page.html")).read_text()
    assert "<audio" not in html
    assert f"not at {data} any more" in html


def test_a_manifest_of_ones_own_is_listened_to_as_well(data: Path, tmp_path: Path) -> None:
    rows = [row for row in read_rows(data / "metadata.jsonl", Utterance) if row.pair]
    lines = [f"{data / row.file_name},{row.id},{row.text},{row.value},{row.pair},test,age,{row.contrast}" for row in rows]
    (tmp_path / "mine.csv").write_text("\n".join(["wav,id,text,age,pair,split,category,contrast", *lines]) + "\n")
    run = evaluation(tmp_path / "v", data, "vanilla")
    table = json.loads((run / "settings.json").read_text()) | {"data": str(tmp_path / "mine.csv"), "columns": {"audio": "wav"}}
    write_atomic(run / "settings.json", json.dumps(table))
    found = listening([source(run)])
    assert len(found.examples) == 3, found.absent
    assert all(
        Path(voice.file).samefile(data / "clips" / f"{voice.value}-{i}.flac") for i in range(3) for voice in found.examples[i].voices
    )
