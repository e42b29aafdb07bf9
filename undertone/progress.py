"""Progress bars with rate and time left; quiet where nobody watches."""

import sys
from collections.abc import Callable, Iterable
from typing import Any


def bar(title: str, total: int | None = None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Wraps an iterable in a bar called `title` on stderr; without a terminal it passes the iterable on."""

    def wrap(items: Iterable[Any]) -> Iterable[Any]:
        from tqdm import tqdm

        watched: Iterable[Any] = tqdm(items, desc=title, total=total, disable=total == 0 or not sys.stderr.isatty(), dynamic_ncols=True)
        return watched

    return wrap
