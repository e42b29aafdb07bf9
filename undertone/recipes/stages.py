"""Stages of a longer walk, side by side in processes of one thread each: matrices this small gain more from processes than threads."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from undertone import settings
from undertone.run import write_atomic
from undertone.workers import processes


class Stage(NamedTuple):
    """A recipe and its settings."""

    recipe: Callable[[Any], Any]
    chosen: settings.Settings


def side_by_side(stages: Iterable[Stage]) -> None:
    """Run the stages, one a core at a time; the first error ends the walk once the others have finished."""
    with processes(os.cpu_count() or 1, _one_thread) as pool:
        for done in [pool.submit(stage.recipe, stage.chosen) for stage in stages]:
            done.result()


def listen(data: Path) -> None:
    """Fill the feature store of a data folder, each core its share of the clips."""
    cores = os.cpu_count() or 1
    side_by_side(Stage(_listen_share, Share(data=data, number=i, of=cores)) for i in range(cores))


class Share(settings.Model):
    """Every `of`-th clip from number `number` on."""

    number: int
    """first clip"""
    of: int
    """step"""


def _listen_share(chosen: Share) -> None:
    from undertone.recipes.opening import open_corridor

    corridor = open_corridor(chosen, chosen.data)
    rows = corridor.data.utterances
    corridor.listen(rows[chosen.number :: chosen.of], chosen.batch)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


class Seen(NamedTuple):
    """Wall clock, and the most memory that this process and all it started held at once (shared pages counted in each)."""

    seconds: float
    peak_bytes: float


class Watch:
    """Looks twice a second, while open, at what the work takes; a run that goes on adds to what is in `path`."""

    def __init__(self, path: Path) -> None:
        self._path, self._done = path, threading.Event()
        self._before = Seen(**json.loads(path.read_text())) if path.exists() else Seen(0.0, 0.0)
        self._began, self.seen = time.monotonic(), self._before

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        import psutil

        here = psutil.Process()
        while not self._done.wait(0.5):
            held = 0
            for process in (here, *here.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    held += process.memory_info().rss
            self.seen = Seen(self._before.seconds + time.monotonic() - self._began, max(self.seen.peak_bytes, held))
            write_atomic(self._path, json.dumps(self.seen._asdict()))


def say(what: str) -> None:
    """One line a stage, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
