"""Front-end frames of clips for an encoder that is being trained: made once and kept in memory, as far as it goes."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.audio import Wave
from undertone.records import Utterance
from undertone.speech.augment import spec_augment

KEPT = 2 << 30
"""Bytes of frames that are kept, in float16; of what is more, frames are made anew each time."""


class Frames:
    """Frames (frame, bins) by utterance, from `wave` by `front_end`.

    `change` alters the wave in the given `share` of the calls (augmentation), drawn by torch's generator, which the training loop seeds
    by step: a run that goes on hears what it would have heard. In the share `masked` stripes are hidden (SpecAugment). `adjust` is what is
    done to all frames behind that, where it is set.
    """

    def __init__(
        self,
        wave: Callable[[Utterance], Wave],
        front_end: Callable[[Wave], NDArray[np.float32]],
        change: Callable[[Wave, np.random.Generator], Wave] | None = None,
        share: float = 0.0,
        masked: float = 0.0,
    ) -> None:
        self._wave, self._front_end, self._change, self._share, self._masked = wave, front_end, change, share, masked
        self._kept: dict[str, Tensor] = {}
        self._room = KEPT
        self.adjust: Callable[[Utterance, NDArray[np.float32]], NDArray[np.float32]] = lambda row, frames: frames

    def plain(self, row: Utterance) -> Tensor:
        """As recorded."""
        return torch.from_numpy(self.adjust(row, self._made(row)))

    def _made(self, row: Utterance) -> NDArray[np.float32]:
        if row.id not in self._kept:
            made = torch.from_numpy(self._front_end(self._wave(row))).half()
            if self._room >= made.nbytes:
                self._room -= made.nbytes
                self._kept[row.id] = made
        else:
            made = self._kept[row.id]
        return made.float().numpy()

    def changed(self, row: Utterance) -> Tensor:
        """Changed and masked in so many of the calls as `share` and `masked` say, where the clip is for training."""
        if row.split != "train":
            return self.plain(row)
        altered = self._change is not None and torch.rand(()).item() < self._share
        made = self._front_end(self._change(self._wave(row), dice())) if self._change and altered else self._made(row)
        if self._masked and torch.rand(()).item() < self._masked:
            made = spec_augment(made, dice())
        return torch.from_numpy(self.adjust(row, made))


def dice() -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(1 << 31, ()).item()))
