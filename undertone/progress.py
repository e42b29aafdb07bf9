"""How long work comes along: bars with rate and time left, quiet where nobody watches, and TensorBoard's curves."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from undertone.run import naming


def bar(title: str, total: int | None = None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Wraps an iterable in a bar called `title` on stderr; without a terminal it passes the iterable on."""

    def wrap(items: Iterable[Any]) -> Iterable[Any]:
        from tqdm import tqdm

        watched: Iterable[Any] = tqdm(items, desc=title, total=total, disable=total == 0 or not sys.stderr.isatty(), dynamic_ncols=True)
        return watched

    return wrap


def tensorboard(folder: Path) -> Callable[[Mapping[str, float], int], None]:
    """A logger of scalars for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)  # type: ignore[no-untyped-call]

    def log(values: Mapping[str, float], step: int) -> None:
        with naming(folder):
            for name, value in values.items():
                writer.add_scalar(name, value, step)  # type: ignore[no-untyped-call]
            writer.flush()  # type: ignore[no-untyped-call]

    return log
