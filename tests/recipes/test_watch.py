"""What a walk took: time goes on over sessions, memory counts the processes that were started."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from undertone.recipes.watch import Watch

EATER = "import time; held = bytearray(300_000_000); time.sleep(1.5)"


def test_time_adds_up_and_memory_counts_what_was_started(tmp_path: Path) -> None:
    with Watch(tmp_path / "watch.json") as first:
        subprocess.run([sys.executable, "-c", EATER], check=True)
    assert first.seen.seconds >= 1.5
    assert first.seen.peak_bytes > 300e6
    with Watch(tmp_path / "watch.json") as second:
        time.sleep(0.1)
    assert second.seen.seconds >= first.seen.seconds + 0.1
    assert second.seen.peak_bytes >= first.seen.peak_bytes


def test_a_walk_that_fails_is_counted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Watch(tmp_path / "watch.json"):
        raise RuntimeError
    assert (tmp_path / "watch.json").exists()


def test_the_memory_of_a_training_is_what_is_held_from_its_beginning_on() -> None:
    """In a process of its own: what an earlier training held is forgotten, what this one holds is seen although it is free again."""
    program = """
import torch
from undertone.recipes.watch import Memory
before = torch.ones(60_000_000)
del before
memory = Memory(torch.device("cpu"))
begun = memory.most()
during = torch.ones(100_000_000)
del during
print(begun, memory.most())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=120)
    begun, most = map(int, done.stdout.split())
    assert 350e6 < most - begun < 450e6
