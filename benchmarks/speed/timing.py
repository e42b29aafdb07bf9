"""Two sides, timed in turn on one machine, each in a process of its own: seconds, peak memory, and a ratio of medians as a `Score` row."""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from undertone.records import Score, read_rows
from undertone.run import commit, processor, write_rows

RESULTS = Path(__file__).parents[1] / "results" / "speed.jsonl"

Side = Callable[[], Callable[[], Any]]
"""Opens what it needs and returns what is timed, whose last result is kept; a function of a module, so that a new process finds it."""


class Timed(NamedTuple):
    """Seconds of every round, most resident memory of the process and its children in bytes, and the last round's result."""

    seconds: list[float]
    peak: int
    result: Any


class Compared(NamedTuple):
    """Both sides of a comparison."""

    ours: Timed
    peer: Timed

    @property
    def ratio(self) -> float:
        """How many times faster than the peer we are."""
        return median(self.peer.seconds) / median(self.ours.seconds)

    def interval(self, resamples: int = 2000) -> tuple[float, float]:
        """95 % of the ratios that the rounds give when they are drawn again, in pairs."""
        drawn = np.random.default_rng(0).integers(len(self.ours.seconds), size=(resamples, len(self.ours.seconds)))
        ours, peer = (np.median(np.asarray(side.seconds)[drawn], axis=1) for side in self)
        low, high = np.percentile(peer / ours, [2.5, 97.5])
        return float(low), float(high)


def in_turn(ours: Side, peer: Side, pairs: int = 5, threads: int = 0, warm: int = 1) -> Compared:
    """Run both sides `pairs` times, one after the other; `warm` rounds before are not counted."""
    context = multiprocessing.get_context("spawn")
    sides = []
    for side in (ours, peer):
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(side, there, threads or os.cpu_count() or 1))
        process.start()
        sides.append((process, here))
    seconds: list[list[float]] = [[], []]
    for i in range(pairs + warm):
        for own, (_, pipe) in zip(seconds, sides, strict=True):
            pipe.send("go")
            took = pipe.recv()
            if i >= warm:
                own.append(took)
    timed = []
    for own, (process, pipe) in zip(seconds, sides, strict=True):
        pipe.send("end")
        peak, result = pipe.recv()
        process.join()
        timed.append(Timed(own, peak, result))
    return Compared(*timed)


def _serve(side: Side, pipe: Connection, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    work, result = side(), None
    while pipe.recv() == "go":
        began = time.perf_counter()
        result = work()
        pipe.send(time.perf_counter() - began)
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    pipe.send((1024 * sum(used), result))


def rows(suite: str, peer: str, group: str, found: Compared, details: Mapping[str, Any]) -> list[Score]:
    """The ratio of times and the share of memory, with what both sides took."""
    import torch
    import transformers

    machine = f"{processor()}, {os.cpu_count()} threads, torch {torch.__version__}, transformers {transformers.__version__}"
    took = {"ours_seconds": median(found.ours.seconds), "peer_seconds": median(found.peer.seconds)}
    more = {**took, "ours_bytes": found.ours.peak, "peer_bytes": found.peer.peak, "machine": machine, **details}
    low, high = found.interval()
    shared: dict[str, Any] = {"run": peer, "suite": f"speed/{suite}", "group": group, "n": len(found.ours.seconds), "seed": 0}
    shared |= {"commit": commit(), "details": more}
    return [
        Score(metric="ratio", value=found.ratio, low=low, high=high, **shared),
        Score(metric="memory_share", value=found.ours.peak / found.peer.peak, **shared),
    ]


def keep(new: Sequence[Score], path: Path = RESULTS, dry: bool = False) -> None:
    """Put the rows into the result file, in the place of what was measured before, and print them; `dry`: only print them."""
    known = {(row.run, row.suite, row.metric, row.group): row for row in (read_rows(path, Score) if path.exists() else [])}
    known |= {(row.run, row.suite, row.metric, row.group): row for row in new}
    if not dry:
        write_rows(path, list(known.values()))
    for row in new:
        print(row.suite, row.run, row.group, row.metric, f"{row.value:.3g}", row.low, row.high, dict(row.details))
