"""Leakage (METHOD A.2, arXiv 2609.00727): how much a prediction of the style follows the words instead of the voice.

NMI(pred, text) / (NMI(pred, text) + NMI(pred, style)): 0 where the prediction depends on the style alone, 1 where on the words alone.
Where there are nearly as many texts as clips, NMI with the text is high by chance: compare with the same predictions shuffled.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from undertone.evaluation.metrics import MakeScore
from undertone.intervals import Array, jackknife
from undertone.records import Score

Numbers = NDArray[np.int64]


def nmi(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Mutual information over the mean of both entropies (Strehl & Ghosh 2002 with the arithmetic mean, as scikit-learn has it), 0 to 1.

    Two labellings without a choice each agree: 1.
    """
    return _nmi(_numbers(first), _numbers(second))


def leakage(predicted: Sequence[Hashable], texts: Sequence[Hashable], styles: Sequence[Hashable]) -> float | None:
    """Between 0 and 1; None where the prediction depends on neither, as a constant one does."""
    value = _leakage(_numbers(predicted), _numbers(texts), _numbers(styles))
    return None if np.isnan(value) else value


def leakage_scores(
    predicted: Sequence[Hashable],
    texts: Sequence[Hashable],
    styles: Sequence[Hashable],
    clusters: Sequence[Hashable],
    score: MakeScore,
    suite: str,
) -> Iterator[Score]:
    """The leakage of all clips, with the jackknife's interval: drawing clips twice would make every NMI look larger than it is."""
    labels = _numbers(predicted), _numbers(texts), _numbers(styles)
    found = jackknife(lambda kept: _leakage(*(row[kept] for row in labels)), clusters, (0.0, 1.0))
    yield score(suite, "leakage", "all", found.value, found.n, low=found.low, high=found.high, unscored=len(predicted) - found.n)


def _leakage(predicted: Numbers, texts: Numbers, styles: Numbers) -> float:
    if not len(predicted) or len(np.unique(predicted)) < 2:
        return float("nan")
    words, voice = _nmi(predicted, texts), _nmi(predicted, styles)
    return words / (words + voice) if words + voice else float("nan")


def _numbers(labels: Sequence[Hashable]) -> Numbers:
    known = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels], dtype=np.int64)


def _nmi(first: Numbers, second: Numbers) -> float:
    if len(first) != len(second):
        raise ValueError(f"two labellings of the same clips are equally long; got {len(first)} and {len(second)}")
    together = first * (second.max(initial=0) + 1) + second
    alone = _entropy(first), _entropy(second)
    if not sum(alone):
        return 1.0
    shared = sum(alone) - _entropy(together)
    return max(0.0, shared) / (sum(alone) / 2) if shared > 1e-12 else 0.0


def _entropy(numbers: Numbers) -> float:
    _, counts = np.unique(numbers, return_counts=True)
    shares: Array = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0
