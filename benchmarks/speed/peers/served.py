"""Serves a side of a comparison to `timing.py` from an environment that need not have undertone: standard library only."""

import gc
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def peak_bytes() -> int:
    """Most resident memory of this process; of processes that it starts, nothing. The kernel's VmHWM, where there is one: `ru_maxrss`
    begins at what the parent had when it started this process."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(work: Callable[[], tuple[float, Any]]) -> None:
    """Answer "go" with the seconds of a round and "end" with the peak memory and the last result, a line of JSON each. Whatever else is
    printed goes to standard error. `work` says its own seconds: it may open what is not to be timed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = None
    for line in sys.stdin:
        if line.strip() == "end":
            print(json.dumps({"peak": peak_bytes(), "result": result}), file=answers, flush=True)
            return
        gc.collect()  # what the last round opened is not to be held beside what this one opens
        seconds, result = work()
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)
