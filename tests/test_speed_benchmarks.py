"""Every speed benchmark runs to its end and keeps rows: a round at the smallest size, its check that both sides did the same included.

What the rows say is not looked at: absolute times have no place in a test.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from undertone import settings
from undertone.recipes.synthesize import synthesize
from undertone.records import Score, read_rows

SPEED = Path(__file__).parents[1] / "benchmarks" / "speed"
COMMANDS = {
    "analysis": ["--clips", "24", "--warm", "0", "--data", "{data}"],
    "evaluation": ["--clips", "3"],
    "front_end": [],
    "probes": ["--layers", "1"],
    "road_b": ["--steps", "1", "--batch", "2"],
    "scaling": ["--clips", "4", "8", "--seconds", "1", "2", "--layers", "2", "4", "--usual", "4"],
    "step": ["--batch", "2"],
    "synthesis": ["--clips", "2"],
    "training": ["--steps", "2", "--batch", "2", "--peers", "trainer-trimmed"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "data"
    few = {"age": 60, "gender": 60, "emotion": 60, "content": 60}
    synthesize(settings.Synthesize(out=folder, train=few, dev=few, test=few, safety_speakers=0, speakers=12))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_speed_benchmark_keeps_rows(name: str, data: Path, tmp_path: Path) -> None:
    words = [word.format(data=data) for word in COMMANDS[name]]
    command = [sys.executable, "-W", "ignore", str(SPEED / f"{name}.py"), "--pairs", "1", "--results", str(tmp_path / "rows.jsonl"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found = list(read_rows(tmp_path / "rows.jsonl", Score))
    assert found
    assert all(row.suite.startswith("speed/") and row.value is not None for row in found)
