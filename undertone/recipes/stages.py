"""Stages of a longer walk, side by side in processes of one thread each: matrices this small gain more from processes than threads."""

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from undertone import settings
from undertone.records import Rejected
from undertone.run import Journal, write_atomic
from undertone.workers import cores, processes

SHARES = ".listening"
"""Folder in a data folder where processes that listen side by side note what they turn away."""


class Stage(NamedTuple):
    """A recipe and its settings."""

    recipe: Callable[[Any], Any]
    chosen: settings.Settings


def at_once() -> int:
    """How many stages run side by side: one a core that this process may use, eight at most; one where a GPU does the work."""
    from undertone.models import choose_device

    if choose_device("") != "cpu":
        return 1
    return min(8, cores())


def arithmetic(folder: Path) -> str:
    """The number format of a walk in `folder`: the faster one here when it began, and the same where it goes on."""
    from undertone.models import faster_format

    kept = folder / "dtype"
    if not kept.exists():
        write_atomic(kept, faster_format())
    return kept.read_text()


def side_by_side(stages: Iterable[Stage]) -> None:
    """Run the stages, `at_once` of them at a time; the first error ends the walk once the others have finished."""
    with processes(at_once(), _one_thread) as pool:
        for done in [pool.submit(stage.recipe, stage.chosen) for stage in stages]:
            done.result()


def listen(data: Path) -> None:
    """Fill the feature store of a data folder, each process its share of the clips; those turned away stand in its rejected.jsonl."""
    count = at_once()
    side_by_side(Stage(_listen_share, Share(data=data, number=i, of=count)) for i in range(count))
    kept = Journal(data / "rejected.jsonl")
    known = {row.id for row in kept.rows(Rejected)}
    for share in sorted((data / SHARES).glob("*/rejected.jsonl")):
        new = [row for row in Journal(share).rows(Rejected) if row.id not in known]
        kept.append(new)
        known |= {row.id for row in new}
    shutil.rmtree(data / SHARES, ignore_errors=True)


class Share(settings.Model):
    """Every `of`-th clip from number `number` on."""

    number: int
    """first clip"""
    of: int
    """step"""


def _listen_share(chosen: Share) -> None:
    from undertone.recipes.opening import open_corridor

    # A file of rejected rows each: opening one cuts off a line that another process is only just writing.
    corridor = open_corridor(chosen, chosen.data / SHARES / str(chosen.number))
    rows = corridor.data.utterances
    corridor.listen(rows[chosen.number :: chosen.of], chosen.batch)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def say(what: str) -> None:
    """One line a stage, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
