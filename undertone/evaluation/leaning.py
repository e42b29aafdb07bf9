"""Does a model lean towards the reply that suits the style it hears? Judge-free: its own likelihoods of every style's reply [O].

It generalises the preference of a minimal pair (METHOD B.5) to any number of styles. A sum of log-probabilities favours the shorter
reply; where lengths differ much, pass means per token. Chance is 1 / styles in both numbers.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undertone.evaluation.metrics import RATE, MakeScore
from undertone.intervals import Array, clustered_mean
from undertone.records import Score


class Leaning(NamedTuple):
    """Per row: `likeliest` 1 where the own style's reply is the most probable, 1/k where it shares that with others to k in all, else 0;
    `probability` its softmax probability among the styles' replies."""

    likeliest: Array
    probability: Array


def leaning(likelihoods: ArrayLike, own: Sequence[int]) -> Leaning:
    """From log-likelihoods (row, style) of each style's reply and the column of each row's own style.

    ValueError names the row whose number is not finite, or whose own style has no column.
    """
    table, column = np.asarray(likelihoods, dtype=float), np.asarray(own, dtype=np.int64)
    if table.ndim != 2 or table.shape[1] < 2 or len(table) != len(column):
        raise ValueError(
            f"likelihoods are (row, style), two styles at least, and own has one column a row; got {table.shape} and {column.shape}"
        )
    _check(table, column)
    mine = table[np.arange(len(table)), column]
    best = table == table.max(1, keepdims=True)
    probability = np.exp(mine - np.logaddexp.reduce(table, axis=1))
    return Leaning(np.where(best[np.arange(len(table)), column], 1 / best.sum(1), 0.0), probability)


def _check(table: Array, column: NDArray[np.int64]) -> None:
    if len(broken := np.flatnonzero(~np.isfinite(table).all(1))):
        raise ValueError(f"row {broken[0]}: a log-likelihood is not finite; leave the row out, or score the reply that is missing")
    if len(outside := np.flatnonzero((column < 0) | (column >= table.shape[1]))):
        raise ValueError(f"row {outside[0]}: own style {column[outside[0]]} has no column; there are {table.shape[1]} styles")


def leaning_scores(
    found: Leaning, styles: Sequence[str], clusters: Sequence[Hashable], score: MakeScore, resamples: int, seed: int, suite: str
) -> Iterator[Score]:
    """own_likeliest and own_probability of all rows and of each style; `styles` and `clusters` are those of the rows."""
    for group in dict.fromkeys(["all" for _ in styles] + list(styles)):
        kept = [place for place, style in enumerate(styles) if group in ("all", style)]
        for metric, values in (("own_likeliest", found.likeliest), ("own_probability", found.probability)):
            mean = clustered_mean(values[kept], [clusters[place] for place in kept], resamples, seed, RATE)
            yield score(suite, metric, group, mean.value, mean.n, low=mean.low, high=mean.high)
