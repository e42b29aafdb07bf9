"""Stages side by side: as many as there are cores to use, and no row is lost between them."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from conftest import RATE, tone

from undertone.audio import write_flac
from undertone.recipes.stages import at_once, listen
from undertone.records import Rejected, Utterance, read_rows
from undertone.run import write_rows
from undertone.speech.folder import write_folder


def test_no_more_processes_than_this_one_may_use_cores() -> None:
    able = os.sched_getaffinity(0)
    assert at_once() == (1 if torch.cuda.is_available() else min(8, len(able)))
    os.sched_setaffinity(0, {min(able)})
    try:
        assert at_once() == 1
    finally:
        os.sched_setaffinity(0, able)


def test_processes_that_listen_side_by_side_note_what_they_turn_away_once(tmp_path: Path, utterance: Callable[..., Utterance]) -> None:
    rows = [utterance(i) for i in range(6)]
    for row in rows:
        write_flac(tmp_path / row.file_name, tone(seconds=0.3), RATE)
    write_folder(tmp_path, rows)
    spoken_badly = Rejected(id="x", file_name="clips/x.flac", reason="too quiet")
    write_rows(tmp_path / "rejected.jsonl", [spoken_badly])
    for row in rows[:3]:
        (tmp_path / row.file_name).write_bytes(b"")
    for _ in range(2):
        listen(tmp_path)
    kept = list(read_rows(tmp_path / "rejected.jsonl", Rejected))
    assert kept[0] == spoken_badly
    assert sorted(row.id for row in kept[1:]) == ["u0", "u1", "u2"]
    assert not (tmp_path / ".listening").exists()
