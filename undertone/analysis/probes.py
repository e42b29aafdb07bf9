"""Linear probes of every layer: all folds of a layer solved as one problem, and all that is asked of its clips from the same products.

Each probe is L2-regularised multinomial logistic regression with C = 0.1 on standardised features and balanced classes, tested on
speakers it never saw (METHOD A.2), that of intent on texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.analysis.logistic import Features, pose, solve
from undertone.records import Utterance


def speaker_folds(speakers: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold number of each clip; all clips of a speaker, or of whatever else the names stand for, share one."""
    names = sorted(set(speakers))
    if len(names) < folds:
        raise ValueError(f"{folds} folds need at least as many speakers, the data has {len(names)}: lower folds or add speakers")
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[j]: i % folds for i, j in enumerate(order)}
    return np.array([fold[name] for name in speakers])


class Question(NamedTuple):
    """What is asked of some `clips`: class numbers as `labels`, and the `folds` in which each is held out."""

    clips: Sequence[int]
    labels: Sequence[int]
    folds: NDArray[np.int64]


def probe(states: Tensor, labels: Sequence[int], folds: NDArray[np.int64], strength: float = 0.1) -> NDArray[np.bool_]:
    """Whether each layer's held-out prediction is right, (layer, clip).

    `states` (layer, clip, width), `labels` class numbers, `folds` the fold in which a clip is held out, `strength` scikit-learn's C.
    """
    return probe_all(states, [Question(range(len(folds)), labels, folds)], strength)[0]


def probe_all(states: Tensor, questions: Sequence[Question], strength: float = 0.1) -> list[NDArray[np.bool_]]:
    """As `probe`, of every question; what a layer's clips cost is paid once."""
    right: list[list[NDArray[np.bool_]]] = [[] for _ in questions]
    for layer in states:
        features = Features.of(layer)
        for question, rows in zip(questions, right, strict=True):
            rows.append(_held_out(features.some(question.clips), question, strength))
    return [np.stack(rows) for rows in right]


def _held_out(features: Features, question: Question, strength: float) -> NDArray[np.bool_]:
    """(clip,) whether the question's held-out predictions are right."""
    numbers, own = np.unique(question.folds, return_inverse=True)
    target = torch.as_tensor(np.asarray(question.labels))
    kept = torch.as_tensor(np.arange(len(numbers))[:, None] != own)  # (fold, clip)
    scores = solve(features, pose(features.z, target, kept, strength)).scores
    predicted = scores.argmax(1)[torch.as_tensor(own), torch.arange(len(target))]
    return np.asarray(predicted == target)


def askable(rows: Sequence[Utterance], attribute: str) -> list[int]:
    """Indices of the rows of which `attribute` may be asked. A child's gender is hardly audible (FIELD), so gender is asked of adults;
    and since gender pairs are therefore always adults, age is not asked of them: their words alone would tell it."""
    left_out = {
        "gender": [row.attributes.get("age") == "child" for row in rows],
        "age": [row.category == "gender" for row in rows],
    }.get(attribute, [False] * len(rows))
    return [i for i, (row, out) in enumerate(zip(rows, left_out, strict=True)) if attribute in row.attributes and not out]


class Linear(NamedTuple):
    """Fitted probes: standardise by `mean` and `spread` (…, width), add a one, multiply by `weights` (…, class, width + 1)."""

    weights: Tensor
    mean: Tensor
    spread: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Scores (…, clip, class) of `x` (clip, width)."""
        slopes, constant = self.folded()
        return x.float() @ slopes.transpose(-1, -2) + constant[..., None, :]

    def folded(self) -> tuple[Tensor, Tensor]:
        """Slopes (…, class, width) and constants (…, class) for features that are not standardised."""
        slopes = self.weights[..., :-1] / self.spread[..., None, :]
        return slopes, self.weights[..., -1] - (slopes @ self.mean[..., None])[..., 0]


def fit(x: Tensor, labels: Sequence[int], strength: float = 0.1) -> Linear:
    """One probe on all of `x` (clip, width)."""
    features = Features.of(x)
    problem = pose(features.z, torch.as_tensor(np.asarray(labels)), torch.ones(1, len(x), dtype=torch.bool), strength)
    found = solve(features, problem)
    slopes = problem.weights(features.z, found.alpha)[0]
    intercept = (found.scores[0] - slopes @ features.z.T).mean(1, keepdim=True)
    return Linear(torch.cat([slopes, intercept], 1), features.mean, features.spread)
