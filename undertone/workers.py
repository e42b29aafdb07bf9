"""Worker processes that end with whoever started them, even where that one is killed; and how a process holds its memory."""

import ctypes
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(count: int, start: Callable[..., None], *arguments: Any) -> ProcessPoolExecutor:
    """A pool of `count` fresh processes; each calls `start(*arguments)` first.

    Spawned, not forked: the parent may hold threads of torch, and the synthesiser's C library must start fresh.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(start, arguments))


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""


def keep_memory() -> None:
    """Have the C library keep what is freed. Every step takes and frees the same hundreds of megabytes; what was given back is zeroed page
    by page when it is taken again, 7 % of a training step's time. Without glibc nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(M_TRIM_THRESHOLD, 1 << 30)
    if not mallopt(M_MMAP_THRESHOLD, 1 << 30):
        mallopt(M_MMAP_THRESHOLD, 1 << 25)  # the most that glibc took before 2.35


def _begin(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """A pool's workers outlive a killed parent and go on writing into folders that the next run writes into as well."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
