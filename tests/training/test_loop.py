"""The loop learns, cuts batches without changing them, survives SIGKILL, and gives on two processes what it gives on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent))
import small

HERE = Path(__file__).parent / "small.py"


def train_losses(logged: list[dict[str, float]]) -> list[float]:
    return [row["train/loss"] for row in logged if "train/loss" in row]


def test_loss_falls_and_parts_of_a_batch_add_up(tmp_path: Path) -> None:
    whole = train_losses(small.run(tmp_path / "whole", 12, 12, dropout=0.0))  # type: ignore[arg-type]
    parts = train_losses(small.run(tmp_path / "parts", 12, 12, accumulate=3, dropout=0.0))  # type: ignore[arg-type]
    assert whole == pytest.approx(parts, rel=1e-4)
    assert whole[-1] < whole[0] - 0.2


def program(
    folder: Path, steps: int, batch: int, die_after: int = 10**9, dropout: float = 0.1, processes: int = 1
) -> subprocess.CompletedProcess[str]:
    start = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--master-port=29511"]
    )
    words = [*start, str(HERE), str(folder), str(steps), str(batch), str(die_after), str(dropout)]
    folder.mkdir(exist_ok=True)
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "ACCELERATE_USE_CPU": "1"})


def test_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    assert program(tmp_path / "straight", 7, 6).returncode == 0
    assert program(tmp_path / "killed", 7, 6, die_after=4).returncode == -9
    assert not (tmp_path / "killed" / "adapter").exists()
    done = program(tmp_path / "killed", 7, 6)
    assert done.returncode == 0, done.stderr
    resumed = json.loads((tmp_path / "killed" / "log.json").read_text())
    assert resumed[0]["step"] == 4, "four steps were finished and must not be trained again"
    straight, again = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("straight", "killed"))
    assert all(straight[name].equal(again[name]) for name in straight)


def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    assert program(tmp_path / "one", 5, 12, dropout=0.0).returncode == 0
    two = program(tmp_path / "two", 5, 12, dropout=0.0, processes=2)
    assert two.returncode == 0, two.stderr[-2000:]
    one, both = (train_losses(json.loads((tmp_path / name / "log.json").read_text())) for name in ("one", "two"))
    assert both == pytest.approx(one, rel=1e-4)
