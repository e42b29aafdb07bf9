"""What a clip's pooled states hold of pitch, energy and rate: ridge regression, speakers held out."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from undertone.intervals import Array, Estimate, clustered_statistic

MEASURES = ("f0_mean", "f0_range", "energy_mean", "energy_std", "peaks_per_second")
"""Of `speech.prosody.STATISTICS`: F0 mean and range, level and its spread, speaking rate."""


def held_out(states: ArrayLike, targets: ArrayLike, folds: Sequence[int], strength: float = 10.0) -> Array:
    """(clip, target) predictions of `targets` (clip, target) from `states` (clip, width), each clip by a ridge that never saw its fold.

    States are standardised by the training clips, `strength` weighs the penalty; the intercept is free.
    """
    x, y, fold = np.asarray(states, dtype=float), np.asarray(targets, dtype=float), np.asarray(folds)
    made = np.empty_like(y)
    for one in np.unique(fold):
        kept = fold != one
        mean, spread = x[kept].mean(0), x[kept].std(0) + 1e-8
        scaled, middle = (x[kept] - mean) / spread, y[kept].mean(0)
        weights = np.linalg.solve(scaled.T @ scaled + strength * np.eye(x.shape[1]), scaled.T @ (y[kept] - middle))
        made[~kept] = (x[~kept] - mean) / spread @ weights + middle
    return made


def determination(
    predicted: ArrayLike, true: ArrayLike, clusters: Sequence[Hashable], resamples: int = 1000, seed: int = 0
) -> list[Estimate]:
    """R² of each target = 1 − squared error / variance; 0 is the mean's guess, below it worse. No value where the truth does not vary.

    Whole clusters are drawn again; each draw has its own mean.
    """
    guess, truth = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
    truth, guess = truth - truth.mean(0), guess - truth.mean(0)  # squares of what is far from 0 lose digits
    return [
        clustered_statistic(np.stack([(y - x) ** 2, y, y**2, np.ones_like(y)], 1), _explained, clusters, resamples, seed)
        for x, y in zip(guess.T, truth.T, strict=True)
    ]


def _explained(sums: Array) -> Array:
    wrong, total, squares, count = np.moveaxis(sums, -1, 0)
    spread = squares - total**2 / count
    return np.where(spread > 0, 1 - wrong / spread, np.nan)
