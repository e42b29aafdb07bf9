"""What is a speaker's own, taken out: frames relative to the mean of all that a speaker says. No label is used, but several clips of each
speaker are needed, and of a voice heard for the first time there are none."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from undertone.records import Utterance

Frames = NDArray[np.float32]


class Scale(NamedTuple):
    """Mean and spread (bins,) of one speaker's frames, clips counting alike."""

    mean: Frames
    spread: Frames


def scales(
    rows: Iterable[Utterance], frames: Callable[[Utterance], Frames], of: Callable[[Utterance], str] = lambda row: row.speaker
) -> Mapping[str, Scale]:
    """Speaker, or whatever else a clip is `of`, → scale, in one pass over `frames` (frame, bins) of the clips; nothing is kept of them."""
    sums: dict[str, list[NDArray[np.float64]]] = {}
    for row in rows:
        made = frames(row).astype(np.float64)
        moments = [np.ones(1), made.mean(0), np.square(made).mean(0)]
        sums[of(row)] = [a + b for a, b in zip(sums[of(row)], moments, strict=True)] if of(row) in sums else moments
    return {name: _scale(*found) for name, found in sums.items()}


def _scale(count: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]) -> Scale:
    mean = first / count
    spread = np.sqrt(np.maximum(second / count - np.square(mean), 0))
    return Scale(mean.astype(np.float32), np.maximum(spread, 1e-4).astype(np.float32))
