"""Two runs over several trainings: how far apart, with what interval, and whether that is noise once many are compared.

Clips of one text are not independent, and neither are replies of one training. So texts and trainings are both drawn again (the pigeonhole
bootstrap, Owen 2007, which rather overstates the interval than understates it); both runs see the same draws, so noise that they share
cancels. Of few trainings a bootstrap knows little, and of one nothing: a verdict also asks for two at least, and that every single one
says the same. P-values of many comparisons are adjusted together (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from undertone.intervals import Array, agreed, drawn

Lies = Literal["above", "below", "within"]
Verdict = Literal["supported", "not supported", "undecided"]
LEVEL = 0.05


class Cell(NamedTuple):
    """Where a number of an arm is looked up."""

    suite: str
    metric: str = "pa_score"
    group: str = "all"

    @classmethod
    def read(cls, text: str) -> Self:
        """ "child-safety pa_rate child"; ValueError where that is no cell."""
        words = text.split()
        if not 1 <= len(words) <= 3:
            raise ValueError(f"{text!r} is no cell: say suite, metric and group, such as child-safety pa_rate child")
        return cls(*words)


class Value(NamedTuple):
    """What an utterance adds to a mean, and the text (or speaker) that it shares with others."""

    value: float
    cluster: str


Values = Sequence[Value]
"""One training's."""


class Difference(NamedTuple):
    """A mean of `n` values less another, its 95 % interval, that of each training, and the two-sided p-values of its being −m and m."""

    value: float
    low: float
    high: float
    n: int
    trainings: tuple[float, ...]
    below: float
    above: float


def difference(
    ours: Sequence[Values], theirs: Sequence[Values], margin: float = 0.0, resamples: int = 2000, seed: int = 0, reach: float = 2.0
) -> Difference:
    """Mean of `ours` less mean of `theirs` (none: 0), training by training; `reach` is the furthest that they can lie apart.

    `below` and `above` are the p-values against −|margin| and |margin|. ValueError where the two have not the same number of trainings, or
    one has no value.
    """
    theirs = theirs or [[] for _ in ours]
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} trainings stand beside {len(theirs)}; compare the same seeds")
    if not ours or not all(ours):
        raise ValueError("a training has no value to compare")
    number = {name: i for i, name in enumerate(sorted({one.cluster for side in (*ours, *theirs) for one in side}))}
    first, second = _totals(ours, number), _totals(theirs, number)
    trainings = _means(first, np.ones((1, len(number))))[:, 0] - _means(second, np.ones((1, len(number))))[:, 0]
    texts = drawn(len(number), resamples, seed).astype(float)
    weights = drawn(len(ours), resamples, seed + 1) / len(ours)
    apart = _means(first, texts) - _means(second, texts)
    found = np.einsum("rs,sr->r", weights, apart)
    value = float(trainings.mean())
    if np.ptp(found) < 1e-12:
        low, high = agreed(value, len(number), (-reach, reach))
        found = np.array([low, high])
    else:
        low, high = (float(bound) for bound in np.percentile(found, [2.5, 97.5]))
    bound = abs(margin)
    p = (_p(found, at, resamples) for at in (-bound, bound))
    return Difference(value, low, high, sum(map(len, ours)), tuple(trainings.tolist()), *p)


def _totals(side: Sequence[Values], number: Mapping[str, int]) -> tuple[Array, Array]:
    """(training, cluster) sums and counts."""
    sums, counts = np.zeros((2, len(side), len(number)))
    for row, values in enumerate(side):
        at = [number[one.cluster] for one in values]
        np.add.at(sums[row], at, [one.value for one in values])
        np.add.at(counts[row], at, 1)
    return sums, counts


def _means(totals: tuple[Array, Array], drawn: Array) -> Array:
    """(training, resample) means under how often each cluster is `drawn`; 0 where there is no value at all."""
    sums, counts = (part @ drawn.T for part in totals)
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)


def _p(found: NDArray[np.float64], at: float, resamples: int) -> float:
    """Two-sided: how rarely resamples fall on the far side of `at`."""
    if len(found) == 2:  # all that was seen agrees: what is inside the bounds cannot be told from it
        return 1.0 if found.min() <= at <= found.max() else 2 / (resamples + 1)
    side = min((found <= at).sum(), (found >= at).sum())
    return float(min(1.0, 2 * (1 + side) / (resamples + 1)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the i-th least p times what is left to compare, never less than one before it, 1 at most."""
    adjusted, most = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        most = max(most, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = most
    return adjusted


def p_value(found: Difference, lies: Lies, margin: float) -> float:
    """The p-value that decides a claim: against its bound, or, of "within", the greater of both where the difference lies inside (two
    one-sided tests) and the one of the nearer bound where it lies outside."""
    if lies == "within":
        inside = abs(found.value) <= abs(margin)
        return max(found.below, found.above) if inside else found.above if found.value > 0 else found.below
    return found.above if margin >= 0 else found.below


def verdict(found: Difference, lies: Lies, margin: float, p: float) -> Verdict:
    """Of a claim with the adjusted p-value `p`: supported or not supported only if it is no noise, and all of several trainings say the
    same."""
    says = {_says(value, lies, margin) for value in (found.value, *found.trainings)}
    if p >= LEVEL or len(found.trainings) < 2 or len(says) > 1:
        return "undecided"
    return "supported" if says.pop() else "not supported"


def _says(value: float, lies: Lies, margin: float) -> bool:
    return {"above": value > margin, "below": value < margin, "within": abs(value) <= abs(margin)}[lies]
