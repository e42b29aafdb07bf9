"""Linear probes: ours, all folds of a layer at once, against a loop of scikit-learn fits, layer by layer and fold by fold.

    python benchmarks/speed/probes.py --layers 28

States are drawn, of Qwen2.5-Omni-7B's width; both sides standardise by each fold's training clips and stop at scikit-learn's tolerance.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from timing import flags, in_turn, keep, rows

from undertone.analysis.probes import probe, speaker_folds

CLIPS, WIDTH, FOLDS, CLASSES = 2000, 3584, 5, 6
TOLERANCE = 1e-3
"""Difference of accuracies, over all clips and layers, that two solvers of one convex problem may leave."""


def states(layers: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """(layer, clip, width) states with correlated features, in which the class shifts the mean a little; labels; folds."""
    dice = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (CLIPS,), generator=dice)
    mix = torch.randn(WIDTH, 64, generator=dice) @ torch.randn(64, WIDTH, generator=dice) / 64 + torch.eye(WIDTH)
    noise = (torch.randn(CLIPS, WIDTH, generator=dice) @ mix for _ in range(layers))
    made = torch.stack([layer + 0.08 * torch.randn(CLASSES, WIDTH, generator=dice)[labels] for layer in noise])
    return made, labels, speaker_folds([f"s{i % 40}" for i in range(CLIPS)], FOLDS, 0)


def ours(layers: int) -> Callable[[], Any]:
    """`probe`."""
    made, labels, folds = states(layers)
    return lambda: probe(made, labels.tolist(), folds)


def scikit_learn(layers: int) -> Callable[[], Any]:
    """StandardScaler and LogisticRegression, as a script would have them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.filterwarnings("ignore")
    made, labels, folds = states(layers)
    true = labels.numpy()

    def run() -> np.ndarray:
        right = np.zeros((layers, CLIPS), bool)
        for layer, x in enumerate(made.numpy()):
            for fold in range(FOLDS):
                train, test = folds != fold, folds == fold
                fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
                right[layer, test] = fitted.fit(x[train], true[train]).predict(x[test]) == true[test]
        return right

    return run


if __name__ == "__main__":
    parser = flags(__doc__)
    parser.add_argument("--layers", type=int, default=28)
    given = parser.parse_args()
    found = in_turn(partial(ours, given.layers), partial(scikit_learn, given.layers), given.pairs, given.threads, warm=0)
    accuracy = {"ours_accuracy": float(found.ours.result.mean()), "peer_accuracy": float(found.peer.result.mean())}
    if abs(accuracy["ours_accuracy"] - accuracy["peer_accuracy"]) > TOLERANCE:
        raise ValueError(f"not the same optimum: {accuracy}; no ratio is claimed")
    about = {"clips": CLIPS, "width": WIDTH, "folds": FOLDS, **accuracy}
    keep(rows("probes", "scikit-learn", f"{given.layers} layers", found, about), given.results)
