"""Memory that is taken and freed again and again is not fetched from the system each time."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from undertone.workers import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
faults = []
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.full(4 << 20, 1.0) for _ in range(4)]  # 32 MB each, more than glibc ever keeps by itself
    del blocks
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sum(faults[4:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_freed_memory_is_kept() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True).stdout)
        for how in ("usual", "kept")
    }
    assert faults["kept"] < 0.1 * faults["usual"]
