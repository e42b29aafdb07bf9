"""Linear probes of every layer, all folds solved as one problem.

Each probe is L2-regularised multinomial logistic regression with C = 0.1 on standardised features and balanced classes, tested on
speakers it never saw (METHOD A.2), that of intent on texts. Layers × folds share nothing, so their losses add up to one convex
objective for one L-BFGS.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    for layer in states:  # one at a time: all of them standardised for every fold would be 2.5 GB at 7 B
        x = _standardised(layer.float(), kept)
        predicted = (x @ _fit(x, target, kept, strength)).argmax(-1)
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
    """A fitted probe: standardise by `mean` and `spread`, add a one, multiply by `weights` (width + 1, class)."""

    weights: Tensor
    mean: Tensor
    spread: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Class numbers of `x` (clip, width)."""
        scaled = (x.float() - self.mean) / self.spread
        return (scaled @ self.weights[:-1] + self.weights[-1]).argmax(-1)


def fit(x: Tensor, labels: Sequence[int], strength: float = 0.1) -> Linear:
    """One probe on all of `x` (clip, width)."""
    x = x.float()
    mean, spread = x.mean(0), x.std(0, correction=0).clamp(min=1e-6)
    scaled = torch.cat([(x - mean) / spread, torch.ones(len(x), 1)], dim=-1)
    weights = _fit(scaled[None], torch.as_tensor(np.asarray(labels)), torch.ones(1, len(x), dtype=torch.bool), strength)
    return Linear(weights[0], mean, spread)


def _standardised(states: Tensor, kept: Tensor) -> Tensor:
    """(fold, clip, width + 1) of one layer's `states`: each fold standardised by its training clips, with a column of ones."""
    weight = kept[:, :, None].float()
    count = weight.sum(1, keepdim=True)
    mean = (states * weight).sum(1, keepdim=True) / count
    spread = (((states - mean) ** 2 * weight).sum(1, keepdim=True) / count).sqrt().clamp(min=1e-6)
    scaled = (states - mean) / spread
    return torch.cat([scaled, torch.ones_like(scaled[..., :1])], dim=-1)


def _fit(x: Tensor, target: Tensor, kept: Tensor, strength: float) -> Tensor:
    """Weights (fold, width + 1, class) at the joint optimum; the intercept is not regularised."""
    classes = int(target.max()) + 1
    onehot = torch.nn.functional.one_hot(target, classes).float()
    per_class = kept.float() @ onehot  # (fold, class)
    balance = (kept.sum(1, keepdim=True) / (classes * per_class.clamp(min=1)))[:, target] * kept
    # Two softmax columns share what one logistic column carries alone, so the same weight costs half as much: undone here.
    penalty = 1.0 if classes == 2 else 0.5
    weights = torch.zeros(len(x), x.shape[-1], classes, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=200, history_size=10, line_search_fn="strong_wolfe", tolerance_grad=1e-5)

    def loss() -> Tensor:
        solver.zero_grad()
        log_likelihood = ((x @ weights).log_softmax(-1) * onehot).sum(-1)
        value = penalty * weights[:, :-1].square().sum() - strength * (log_likelihood * balance).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()
