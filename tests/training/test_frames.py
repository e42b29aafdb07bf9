"""Frames of an encoder in training: kept as recorded, changed and masked in the share that was asked for, training clips alone."""

import numpy as np
import torch

from undertone.records import Split, Utterance
from undertone.training.frames import Frames

WAVE = np.linspace(-1, 1, 4000, dtype=np.float32)


def row(split: Split) -> Utterance:
    return Utterance(
        id=split, text="t", file_name="x.flac", seconds=1, attributes={}, speaker="s", source="t", split=split, category="content"
    )


def frames(share: float, masked: float) -> Frames:
    return Frames(lambda _: WAVE, lambda wave: wave.reshape(100, 40), lambda wave, rng: -wave, share, masked)


def test_masking_hides_stripes_and_nothing_else() -> None:
    made = frames(0.0, 1.0)
    torch.manual_seed(3)
    heard, plain = made.changed(row("train")), made.plain(row("train"))
    hidden = heard != plain
    assert 0 < hidden.float().mean() < 0.9
    assert heard[hidden].unique().numel() == 1
    torch.manual_seed(3)
    assert made.changed(row("train")).equal(heard)


def test_only_training_clips_are_changed() -> None:
    made = frames(1.0, 1.0)
    assert made.changed(row("test")).equal(made.plain(row("test")))
    assert (frames(1.0, 0.0).changed(row("train")) + frames(0.0, 0.0).plain(row("train"))).abs().max() < 1e-3
