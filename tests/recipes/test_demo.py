"""The demo: its sizes are big enough for what they should show, its methods differ in one thing each, and all scores are gathered."""

import json
import os
from pathlib import Path

import pytest

from undertone.attributes import ATTRIBUTES
from undertone.cli import main
from undertone.evaluation import controls
from undertone.recipes.demo import collect, demo, methods
from undertone.recipes.sizes import SIZES
from undertone.recipes.stages import arithmetic
from undertone.records import CONTENT, Score, read_rows
from undertone.run import write_rows
from undertone.settings import Demo, Evaluate


@pytest.mark.parametrize("name", SIZES)
def test_every_size_fills_every_split_with_whole_pairs(name: str) -> None:
    size = SIZES[name]
    for split in (size.train, size.dev, size.test):
        assert set(split) == {*ATTRIBUTES, CONTENT}
        assert all(split[category] > 0 and split[category] % 2 == 0 for category in ATTRIBUTES)
    assert size.safety_speakers >= 1
    assert size.steps > 0
    assert 0 < size.analysed <= sum(size.train.values())


@pytest.mark.parametrize("name", ["default", "full"])
def test_what_is_claimed_is_measured_on_enough_clips(name: str) -> None:
    size = SIZES[name]
    for category, attribute in ATTRIBUTES.items():
        assert size.test[category] / len(attribute.names) >= 200, "n = 200 per cell, and a cell is one voice"
    assert 70 * size.safety_speakers >= 200
    assert size.test[CONTENT] >= 1000


def test_sizes_grow_and_settings_name_them_all() -> None:
    assert set(SIZES) == set(Demo.model_fields["size"].annotation.__args__)  # type: ignore[union-attr]
    clips = [sum(SIZES[name].test.values()) for name in ("small", "default", "full")]
    steps = [SIZES[name].steps for name in ("small", "default", "full")]
    assert clips == sorted(clips)
    assert steps == sorted(steps)


def test_controls_are_those_that_evaluate_knows() -> None:
    assert list(Evaluate.model_fields["control"].annotation.__args__) == ["", *controls.CONTROLS]  # type: ignore[union-attr]


def test_methods_differ_in_one_thing_each() -> None:
    made = methods(0, 4, "full")
    assert set(made) == {"all-layer", "pe-ft", "selective", "random-layers"}
    assert made["pe-ft"][0] == made["selective"][0] == "0-4"
    assert made["random-layers"][0] == "random:5", "as many layers, other ones"
    assert made["all-layer"][0] == "all"
    assert {name for name, (_, head) in made.items() if head.weight > 0} == {"pe-ft"}
    assert set(methods(0, 4, "small")) == set(methods(0, 4, "default")) == {"all-layer", "pe-ft"}


def test_evaluations_and_costs_are_gathered_under_their_methods(tmp_path: Path) -> None:
    def score(run: str, suite: str) -> Score:
        return Score(run=run, suite=suite, metric="m", group="all", value=1.0, n=1, seed=0, commit="c")

    places = {"eval/vanilla": ("vanilla", "pa/age"), "eval/pe-ft": ("pe-ft", "pa/age"), "tune/pe-ft": ("pe-ft", "cost")}
    for place, (run, suite) in places.items():
        write_rows(tmp_path / place / "scores.jsonl", [score(run, suite)])
    assert sorted((row.run, row.suite) for row in collect(tmp_path)) == [("pe-ft", "cost"), ("pe-ft", "pa/age"), ("vanilla", "pa/age")]


def test_a_walk_goes_on_in_the_number_format_that_it_began_in(tmp_path: Path) -> None:
    began = arithmetic(tmp_path / "first")
    assert began in ("float32", "bfloat16")
    assert arithmetic(tmp_path / "first") == began
    other = {"float32": "bfloat16", "bfloat16": "float32"}[began]
    (tmp_path / "first" / "dtype").write_text(other)
    assert arithmetic(tmp_path / "first") == other


@pytest.mark.slow
def test_the_small_demo_from_speech_to_report(tmp_path: Path) -> None:
    """In the folder UNDERTONE_DEMO, where one is named: of a demo that was made there only the report is made again."""
    tmp_path = Path(os.environ.get("UNDERTONE_DEMO", tmp_path))
    assert main(["demo", "--out", str(tmp_path), "--size", "small"]) == 0
    scores = list(read_rows(tmp_path / "scores.jsonl", Score))
    cells = {(row.run, row.suite, row.metric, row.group): row for row in scores}
    for run in ("vanilla", "prompted", "cascade", "all-layer", "pe-ft"):
        for suite in ("pa/age", "pa/gender", "pa/emotion"):
            assert cells[run, suite, "pa_score", "all"].n >= 30
        assert cells[run, "child-safety", "pa_rate", "child"].n == cells[run, "child-safety", "pa_rate", "adult"].n
        assert (run, "content", "exact", "all") in cells
        assert (run, "cost", "trainable_parameters", "all") in cells
        assert cells[run, "cost", "seconds", "asking"].value > 0  # type: ignore[operator]
        assert (cells[run, "cost", "seconds", "training"].value > 0) == (run not in ("vanilla", "prompted"))  # type: ignore[operator]
    assert cells["vanilla", "child-safety", "pa_rate", "child"].value <= 0.1  # type: ignore[operator]
    first, last = json.loads((tmp_path / "selection.json").read_text())["adapt"]
    share = (last - first + 1) / 8
    every, chosen = (cells[run, "cost", "trainable_parameters", "all"].value for run in ("all-layer", "pe-ft"))
    assert chosen == pytest.approx(share * every)  # type: ignore[operator]
    assert 0 < cells["demo", "cost", "seconds", "whole"].value < 600  # type: ignore[operator]
    assert 2e8 < cells["demo", "cost", "peak_bytes", "whole"].value < 4e9  # type: ignore[operator]
    page = (tmp_path / "report.html").read_text()
    assert page.count("<audio") >= 12
    assert "No layers.jsonl" not in page
    stamp = (tmp_path / "seed-0" / "tune" / "pe-ft" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    demo(Demo(out=tmp_path, size="small"))
    assert (tmp_path / "seed-0" / "tune" / "pe-ft" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_the_small_demo_of_the_frozen_road(tmp_path: Path) -> None:
    tmp_path = Path(os.environ.get("UNDERTONE_FROZEN_DEMO", tmp_path))
    assert main(["demo", "--road", "frozen", "--out", str(tmp_path), "--size", "small"]) == 0
    cells = {(row.run, row.suite, row.metric, row.group): row for row in read_rows(tmp_path / "scores.jsonl", Score)}
    for run in ("aligned", "untagged"):
        assert cells[run, "frozen", "weights_identical", "all"].value == 1
        assert cells[run, "frozen/synthesised", "exact", "all"].n >= 90
    assert cells["oracle", "frozen/synthesised", "pa_score", "all"].value > 0.9  # type: ignore[operator]
    assert abs(cells["words-only", "frozen/synthesised", "pa_score", "all"].value) < 0.1  # type: ignore[arg-type]
    for run in ("aligned", "classifier", "words-only", "semantic"):
        assert (run, "frozen/synthesised", "ua", "all") in cells
    assert ("aligned", "content", "exact_drop", "all") in cells
    assert cells["semantic", "frozen/synthesised", "wer", "all"].value < 0.2  # type: ignore[operator]
    for run in ("aligned", "untagged", "words-only"):
        assert (run, "frozen/leaning", "own_likeliest", "all") in cells
    assert cells["aligned", "cost", "peak_bytes", "training"].value > 1e8  # type: ignore[operator]
    assert 0 < cells["demo", "cost", "seconds", "whole"].value < 600  # type: ignore[operator]
    assert (tmp_path / "report.html").read_text().count("<audio") >= 12
