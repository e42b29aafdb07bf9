"""Sides, timed in turn on one machine, each in a process of its own: seconds, peak memory, and ratios of medians as `Score` rows."""

import argparse
import json
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol

import numpy as np
from peers.served import peak_bytes

from undertone.records import Score, read_rows
from undertone.run import commit, processor, write_rows

RESULTS = Path(__file__).parents[1] / "results" / "speed.jsonl"

Side = Callable[[], Callable[[], Any]]
"""Opens what it needs and returns what is timed, whose last result is kept; a function of a module, so that a new process finds it."""


class Foreign(NamedTuple):
    """A side in another environment: `script` serves it by `peers/served.py`, run by the environment's own `python`."""

    python: Path
    script: Path
    arguments: Sequence[str]


class Timed(NamedTuple):
    """Seconds of every round, most resident memory of the process in bytes, and the last round's result."""

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


def in_turn(ours: Side, peer: Side | Foreign, pairs: int = 5, threads: int = 0, warm: int = 1) -> Compared:
    """Run both sides `pairs` times, one after the other; `warm` rounds before are not counted."""
    return Compared(*rounds([ours, peer], pairs, threads, warm))


def rounds(sides: Sequence[Side | Foreign], count: int, threads: int = 0, warm: int = 1) -> list[Timed]:
    """Run every side `count` times, one after the other; `warm` rounds before are not counted. RuntimeError names what a side died of."""
    threads = threads or os.cpu_count() or 1
    processes: list[_Process] = []
    try:
        processes.extend(_There(side, threads) if isinstance(side, Foreign) else _Here(side, threads) for side in sides)
        seconds = [[process.round() for process in processes] for _ in range(count + warm)][warm:]
        return [Timed([one[i] for one in seconds], *process.end()) for i, process in enumerate(processes)]
    finally:
        for process in processes:
            process.close()


class _Process(Protocol):
    def round(self) -> float: ...

    def end(self) -> tuple[int, Any]: ...

    def close(self) -> None: ...


class _Here:
    """A side in a new process of this environment."""

    def __init__(self, side: Side, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(side, there, threads))
        self._process.start()
        there.close()  # so that the side's death is the pipe's end
        self._answer()  # it has opened what it needs, and another side's opening does not disturb it

    def _answer(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError("a side of the comparison died; what it said stands above") from None

    def round(self) -> float:
        self._pipe.send("go")
        return float(self._answer())

    def end(self) -> tuple[int, Any]:
        self._pipe.send("end")
        peak, result = self._answer()
        return peak, result

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _serve(side: Side, pipe: Connection, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    work, result = side(), None
    pipe.send("open")
    while pipe.recv() == "go":
        began = time.perf_counter()
        result = work()
        pipe.send(time.perf_counter() - began)
    pipe.send((peak_bytes(), result))


class _There:
    """A side in another environment's process, a line of JSON an answer."""

    def __init__(self, side: Foreign, threads: int) -> None:
        words = [str(side.python), str(side.script), *side.arguments]
        own = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONPATH": ""}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is open as long as the process runs
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=os.environ | own
        )
        self._name = side.script.stem

    def _ask(self, word: str) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and its answer is empty
        answer = self._process.stdout.readline()
        if not answer:
            self._said.seek(0)
            raise RuntimeError(f"{self._name}: {self._said.read().strip().rpartition(chr(10))[2][-600:]}")
        return json.loads(answer)

    def round(self) -> float:
        return float(self._ask("go")["seconds"])

    def end(self) -> tuple[int, Any]:
        found = self._ask("end")
        return found["peak"], found["result"]

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate()
        self._said.close()


def rows(suite: str, peer: str, group: str, found: Compared, details: Mapping[str, Any]) -> list[Score]:
    """The ratio of times and the share of memory, with what both sides took."""
    took = {"ours_seconds": median(found.ours.seconds), "peer_seconds": median(found.peer.seconds)}
    more = {**took, "ours_bytes": found.ours.peak, "peer_bytes": found.peer.peak, **details}
    low, high = found.interval()
    n = len(found.ours.seconds)
    return [
        row(suite, peer, group, "ratio", found.ratio, n, more).model_copy(update={"low": low, "high": high}),
        row(suite, peer, group, "memory_share", found.ours.peak / found.peer.peak, n, more),
    ]


def row(suite: str, run: str, group: str, metric: str, value: float | None, n: int, details: Mapping[str, Any]) -> Score:
    """One number, with the machine; `value` None: it could not be measured, and `details` say why."""
    import torch
    import transformers

    machine = f"{processor()}, {os.cpu_count()} threads, torch {torch.__version__}, transformers {transformers.__version__}"
    about: dict[str, Any] = {"run": run, "suite": f"speed/{suite}", "group": group, "details": {"machine": machine, **details}}
    return Score(metric=metric, value=value, n=n, unscored=int(value is None), seed=0, commit=commit(), **about)


def keep(new: Sequence[Score], path: Path = RESULTS) -> None:
    """Put the rows into the result file, in the place of what was measured before, and print them."""
    known = {(row.run, row.suite, row.metric, row.group): row for row in (read_rows(path, Score) if path.exists() else [])}
    known |= {(row.run, row.suite, row.metric, row.group): row for row in new}
    write_rows(path, list(known.values()))
    for one in new:
        said = "not measured" if one.value is None else f"{one.value:.3g}"
        print(one.suite, one.run, one.group, one.metric, said, one.low, one.high, dict(one.details))


def flags(about: str | None, pairs: int = 5) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=pairs, help="rounds of every side that are counted (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="threads of every side (all cores)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file that the rows go to (%(default)s)")
    return parser
