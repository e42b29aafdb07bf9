"""The benchmark on recordings runs to its end: eight actors of tones, two steps."""

import argparse
from pathlib import Path

import pytest
import recorded
from layouts import Layout, lay_out

EMOTIONS = ("01", "03", "04", "05")


@pytest.mark.slow
def test_every_run_of_the_benchmark_is_scored_over_all_folds(tmp_path: Path) -> None:
    names = [(f"{actor:02d}", emotion, said) for actor in range(1, 9) for emotion in EMOTIONS for said in ("01", "02")]
    layout = Layout([f"Actor_{actor}/03-01-{emotion}-01-{said}-01-{actor}" for actor, emotion, said in names], {}, ())
    data = lay_out(tmp_path / "data", layout, (".flac",))
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
