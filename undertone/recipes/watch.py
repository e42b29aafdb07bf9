"""What a long walk takes: wall clock and memory."""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from undertone.run import write_atomic


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
