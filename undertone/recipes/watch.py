"""What a long walk takes: wall clock and memory; and what memory one training takes."""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from undertone.records import Score
from undertone.run import Run, write_atomic

if TYPE_CHECKING:
    import torch

    from undertone.training.checkpoint import Progress


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
        self._note(0)

    def _look(self) -> None:
        while not self._done.wait(0.5):
            self._note(_held())

    def _note(self, held: float) -> None:
        self.seen = Seen(self._before.seconds + time.monotonic() - self._began, max(self.seen.peak_bytes, held))
        write_atomic(self._path, json.dumps(self.seen._asdict()))


class Memory:
    """The most memory that this process holds from now on: where the work is done on a GPU, what it has allocated there."""

    def __init__(self, device: "torch.device") -> None:
        self._gpu = device if device.type == "cuda" else None
        if self._gpu:
            import torch

            torch.cuda.reset_peak_memory_stats(self._gpu)
            return
        with suppress(OSError):  # where this cannot be forgotten, it is the most since the process began
            Path("/proc/self/clear_refs").write_text("5")

    def most(self) -> int:
        """Bytes."""
        if self._gpu:
            import torch

            return torch.cuda.max_memory_allocated(self._gpu)
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        import resource
        import sys

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def training_costs(
    run: Run, learnt: Iterable["torch.Tensor"], progress: "Progress", memory: Memory, dev: int, details: Mapping[str, Any]
) -> list[Score]:
    """What a training took: weights that it changed, seconds, memory (of its last session); and the dev loss of what it left, on `dev`
    clips."""
    score = partial(run.score, "cost", details=details)
    return [
        score("trainable_parameters", "all", sum(value.numel() for value in learnt), 1),
        score("seconds", "training", progress.seconds, 1),
        score("peak_bytes", "training", memory.most(), 1),
        score("dev_loss", "all", progress.best, dev),
    ]


def _held() -> float:
    """Bytes in memory of this process and of all that it started."""
    import psutil

    here, held = psutil.Process(), 0.0
    processes = [here]
    with suppress(psutil.Error):  # they come and go while one looks
        processes += here.children(recursive=True)
    for process in processes:
        with suppress(psutil.Error):
            held += process.memory_info().rss
    return held
