"""Prompted recognition (METHOD B.4): the model is asked for an attribute of the voice, and its answer is read strictly.

UA is the mean of the recalls of the classes that occur in the truth, WA the share of right answers. An answer that names no value, or
more than one, is an answer that failed: a miss in both, and its share stands beside them as `unparsed`. It is not unscored, for a model
that evades the hard clips would win by that. Clusters are speakers: clips of one voice are not independent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from undertone.attributes import ATTRIBUTES, Attribute
from undertone.evaluation.metrics import RATE, SIGNED, MakeScore
from undertone.intervals import Array, Estimate, clustered_mean, clustered_statistic
from undertone.records import Score
from undertone.text import normalise

_ARTICLES = frozenset({"a", "an", "the"})
_OWNING = re.compile(r"['’]s\b")
_DENYING = re.compile(r"\b(?:not|never|neither|nor|cannot)\b|n['’]t\b")
"""Words after which a named value is not what is claimed: "not a child"."""


class Named(NamedTuple):
    """What a voice is, what the answer said it is (None: no value, or several), and the clip's cluster: its speaker."""

    truth: str
    said: str | None
    cluster: str


def parse_value(reply: str, attribute: str) -> str | None:
    """The one value of `attribute` that `reply` names, by its name or in the words of its note ("a woman's voice" → female).

    None where it names none or several, or denies something: "not a child" says what is not so. ValueError where no row of `ATTRIBUTES`
    has that name.
    """
    if attribute not in ATTRIBUTES:
        raise ValueError(f"unknown attribute {attribute!r}; known: {', '.join(ATTRIBUTES)}")
    if denies(reply):
        return None
    said = f" {normalise(_OWNING.sub('', reply))} "
    found = [value for value, own in phrases(ATTRIBUTES[attribute]).items() if any(f" {phrase} " in said for phrase in own)]
    return found[0] if len(found) == 1 else None


def denies(reply: str) -> bool:
    """Whether `reply` denies something, so that what it names is not what it claims."""
    return bool(_DENYING.search(reply.casefold()))


def phrases(attribute: Attribute) -> Mapping[str, set[str]]:
    """Value → its name, and the words that its note alone has: "is a woman" beside "is a man" → {"female", "woman"}."""
    notes = {value.name: normalise(value.note).split() for value in attribute.values}
    own = {}
    for name, words in notes.items():
        others = {word for other, rest in notes.items() if other != name for word in rest}
        own[name] = {normalise(name), " ".join(word for word in words if word not in others | _ARTICLES)} - {""}
    return own


def recognition_scores(rows: Sequence[Named], score: MakeScore, resamples: int, seed: int, attribute: str) -> Iterator[Score]:
    """ua, wa, macro f1 and unparsed of suite recognition/ATTRIBUTE, and the recall of each class that occurs, under the class as group.

    Macro F1 is the mean over the same classes as UA, F1 = 2·hits / (clips of the class + answers of the class).
    """
    suite, clusters = f"recognition/{attribute}", [row.cluster for row in rows]
    classes = _classes(rows)
    for metric, of in (("ua", unweighted_recall), ("f1", macro_f1)):
        found = clustered_statistic(_confusions(rows, classes), of, clusters, resamples, seed, RATE, _thinnest(rows))
        yield _row(score, suite, metric, "all", found)
    for metric, flags in (("wa", [row.said == row.truth for row in rows]), ("unparsed", [row.said is None for row in rows])):
        yield _row(score, suite, metric, "all", clustered_mean(flags, clusters, resamples, seed, RATE))
    for value in classes:
        own = [row for row in rows if row.truth == value]
        right = [row.said == value for row in own]
        yield _row(score, suite, "recall", value, clustered_mean(right, [row.cluster for row in own], resamples, seed, RATE))


def ua_difference(
    ours: Sequence[Named], theirs: Sequence[Named], score: MakeScore, resamples: int, seed: int, attribute: str
) -> Iterator[Score]:
    """UA of `ours` less UA of `theirs` on the same clips, in the same order; both see the same resamples, so shared noise cancels.

    ValueError names the first row at which truth or cluster differ, for then the clips are not the same.
    """
    for place, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if (our.truth, our.cluster) != (their.truth, their.cluster):
            raise ValueError(
                f"row {place}: {our.truth!r} of {our.cluster!r} stands beside {their.truth!r} of {their.cluster!r}; pair by clip"
            )
    classes = _classes(ours)
    parts = np.concatenate([_confusions(ours, classes), _confusions(theirs, classes)], axis=1)

    def gain(sums: Array) -> Array:
        first, second = np.split(sums, 2, axis=-1)
        return unweighted_recall(first) - unweighted_recall(second)

    found = clustered_statistic(parts, gain, [row.cluster for row in ours], resamples, seed, SIGNED, _thinnest(ours))
    yield _row(score, f"recognition/{attribute}", "ua_difference", "all", found)


def unweighted_recall(counts: Array) -> Array:
    """UA of confusion counts (…, class · (class + 1)), truth by answer with a last column for no or any other value; NaN where a class
    does not occur."""
    table = _table(counts)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    return np.asarray((hits / table.sum(-1)).mean(-1))


def macro_f1(counts: Array) -> Array:
    """Macro F1 of confusion counts as above; NaN where a class does not occur."""
    table = _table(counts)
    hits, truth, said = np.diagonal(table, axis1=-2, axis2=-1), table.sum(-1), table[..., :-1].sum(-2)
    return np.asarray(np.where(truth > 0, 2 * hits / (truth + said), np.nan).mean(-1))


def _table(counts: Array) -> Array:
    classes = int(np.sqrt(counts.shape[-1]))  # n · (n + 1) lies between n² and (n + 1)²
    return counts.reshape(*counts.shape[:-1], classes, classes + 1)


def _classes(rows: Sequence[Named]) -> list[str]:
    return sorted({row.truth for row in rows})


def _confusions(rows: Sequence[Named], classes: Sequence[str]) -> Array:
    """(row, class · (class + 1)) a one where truth and answer meet."""
    number = {name: place for place, name in enumerate(classes)}
    wide = len(classes) + 1
    cells: NDArray[np.int64] = np.array([number[row.truth] * wide + number.get(row.said or "", wide - 1) for row in rows], dtype=np.int64)
    return np.eye(len(classes) * wide)[cells]


def _thinnest(rows: Sequence[Named]) -> int:
    """How many clusters the class has that has the fewest."""
    held = {value: {row.cluster for row in rows if row.truth == value} for value in _classes(rows)}
    return min((len(clusters) for clusters in held.values()), default=0)


def _row(score: MakeScore, suite: str, metric: str, group: str, found: Estimate) -> Score:
    return score(suite, metric, group, found.value, found.n, low=found.low, high=found.high)
