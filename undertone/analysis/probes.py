"""Linear probes of every layer: all folds of a layer solved as one problem.

Each probe is L2-regularised multinomial logistic regression with C = 0.1 on standardised features and balanced classes, tested on
speakers it never saw (METHOD A.2), that of intent on texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.analysis.lbfgs import minimise
from undertone.records import Utterance


def speaker_folds(speakers: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold number of each clip; all clips of a speaker, or of whatever else the names stand for, share one."""
    names = sorted(set(speakers))
    if len(names) < folds:
        raise ValueError(f"{folds} folds need at least as many speakers, the data has {len(names)}: lower folds or add speakers")
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[j]: i % folds for i, j in enumerate(order)}
    return np.array([fold[name] for name in speakers])


def probe(states: Tensor, labels: Sequence[int], folds: NDArray[np.int64], strength: float = 0.1) -> NDArray[np.bool_]:
    """Whether each layer's held-out prediction is right, (layer, clip).

    `states` (layer, clip, width), `labels` class numbers, `folds` the fold in which a clip is held out, `strength` scikit-learn's C.
    """
    target = torch.as_tensor(np.asarray(labels))
    kept = torch.as_tensor(folds[None] != np.unique(folds)[:, None])  # (fold, clip)
    own = torch.searchsorted(torch.as_tensor(np.unique(folds)), torch.as_tensor(folds))
    right = []
    for layer in states:
        predicted = solve(layer.float(), target, kept, strength)(layer.float()).argmax(-1)
        right.append(predicted[own, torch.arange(len(target))] == target)
    return torch.stack(right).numpy()


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
    found = solve(x.float(), torch.as_tensor(np.asarray(labels)), torch.ones(1, len(x), dtype=torch.bool), strength)
    return Linear(*(part[0] for part in found))


def solve(x: Tensor, target: Tensor, kept: Tensor, strength: float) -> Linear:
    """A probe for each fold on the clips of `x` (clip, width) that it has `kept` (fold, clip); the intercept is not regularised.

    Standardising is folded into the weights, so that all folds read `x` at once, in two matrix products a step: 4 · clips · width ·
    folds · classes operations.
    """
    weight = kept.float()
    centre = x.mean(0)  # squares of what lies far from 0 would lose digits
    x = x - centre
    count = weight.sum(1, keepdim=True)
    mean = weight @ x / count
    spread = (weight @ x.square() / count - mean.square()).clamp(min=1e-12).sqrt()
    onehot = torch.nn.functional.one_hot(target).float()
    classes = onehot.shape[1]
    balance = strength * (count / (classes * (weight @ onehot).clamp(min=1)))[:, target] * weight
    # Two softmax columns share what one logistic column carries alone, so the same weight costs half as much: undone here.
    penalty = 1.0 if classes == 2 else 0.5

    def value(weights: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
        """(fold,) losses of the folds `of`, and their gradients."""
        slopes, constant = Linear(weights, mean[of], spread[of]).folded()
        scores = (x @ slopes.flatten(0, 1).T).view(len(x), len(of), classes) + constant
        total = scores.logsumexp(-1, keepdim=True)
        share = balance[of].T[..., None]
        loss = (share[..., 0] * (total[..., 0] - (scores * onehot[:, None]).sum(-1))).sum(0)
        error = share * ((scores - total).exp() - onehot[:, None])
        of_constant = error.sum(0)
        of_slopes = (error.flatten(1).T @ x).view(len(of), classes, -1) - of_constant[..., None] * mean[of][:, None]
        own = weights[..., :-1]
        slope = of_slopes / spread[of][:, None] + 2 * penalty * own
        return loss + penalty * own.square().sum((1, 2)), torch.cat([slope, of_constant[..., None]], -1)

    enough = 1e-4 * balance.sum(1)  # what scikit-learn asks of the mean loss
    weights = minimise(value, torch.zeros(len(kept), classes, x.shape[1] + 1, device=x.device), enough)
    return Linear(weights, mean + centre, spread)
