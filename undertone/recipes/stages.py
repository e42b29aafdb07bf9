"""Stages of a longer walk, side by side in processes of one thread each: matrices this small gain more from processes than threads."""

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from undertone import settings


class Stage(NamedTuple):
    """A recipe and its settings."""

    recipe: Callable[[Any], Any]
    chosen: settings.Settings


def side_by_side(stages: Iterable[Stage]) -> None:
    """Run the stages, one a core at a time; the first error ends the walk once the others have finished."""
    with ProcessPoolExecutor(os.cpu_count() or 1, get_context("spawn"), initializer=_one_thread) as pool:
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


def say(what: str) -> None:
    """One line a stage, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
