"""The benchmarks on recordings run to their end: eight actors of tones, a step or two."""

import argparse
from pathlib import Path

import pytest
import recorded
import steps
from layouts import Layout, lay_out

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
def test_every_step_is_weighed_against_all_of_them(data: Path, tmp_path: Path) -> None:
    given = argparse.Namespace(data=data, base="undertone-tiny-ears", out=tmp_path / "out")
    rows = steps.run_suite(given, "frozen/ravdess4", recorded.FOUR)
    assert {row.run: row.n for row in rows if row.metric == "ua" and row.group == "all"} == dict.fromkeys(steps.ARMS, 64)
    gains = {row.run: row.value for row in rows if row.metric == "ua_difference"}
    assert gains.keys() == steps.ARMS.keys() - {"base"}
    assert gains["ears"] == 0, "which are the base here"
