"""Folds solved together in coordinates of clips reach each fold's own optimum."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from undertone.analysis import logistic
from undertone.analysis.logistic import Features, Problem, pose, solve
from undertone.analysis.probes import Question, probe, probe_all

FOLDS = 4


def clips(count: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States (clip, width) far from 0 and of unequal scales, class numbers, and what each fold keeps (fold, clip)."""
    dice = torch.Generator().manual_seed(count + width)
    target = torch.randint(classes, (count,), generator=dice)
    states = torch.randn(count, width, generator=dice) + 0.6 * torch.randn(classes, width, generator=dice)[target]
    kept = torch.arange(FOLDS)[:, None] != torch.arange(count) % FOLDS
    return states * (1 + 3 * torch.rand(width, generator=dice)) + 5, target, kept


@pytest.mark.parametrize(("count", "width", "classes"), [(120, 300, 6), (150, 400, 2), (200, 12, 6), (200, 20, 2)])
def test_every_fold_reaches_the_optimum_of_its_own_standardising(count: int, width: int, classes: int) -> None:
    states, target, kept = clips(count, width, classes)
    features = Features.of(states)
    problem = pose(features.z, target, kept, 0.1)
    quick, thorough = solve(features, problem), solve(features, problem, 1e-10)
    for fold, own in enumerate(kept.numpy()):
        scaler = StandardScaler().fit(states[own].double().numpy())
        x = scaler.transform(states.double().numpy())
        theirs = LogisticRegression(C=0.1, class_weight="balanced", max_iter=9999, tol=1e-10).fit(x[own], target[own])
        of_optimum = torch.from_numpy(theirs.predict_log_proba(x)).float().T
        torch.testing.assert_close(thorough.scores[fold].log_softmax(0), of_optimum, rtol=1e-3, atol=2e-3)
        assert (quick.scores[fold].argmax(0) == of_optimum.argmax(0)).float().mean() >= 0.99
        ours = problem.weights(features.z, quick.alpha)[fold] * torch.from_numpy(scaler.scale_) / features.spread
        ours = ours - ours.mean(0) if classes > 2 else (ours[1] - ours[0])[None]
        assert torch.nn.functional.cosine_similarity(ours, torch.from_numpy(theirs.coef_), dim=1).min() > 0.9999


def test_few_products_with_the_clips_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs what one step of a plain solver costs for all folds."""
    asked: list[int] = []
    image = Problem.image
    monkeypatch.setattr(Problem, "image", lambda self, z, alpha: asked.append(len(alpha)) or image(self, z, alpha))
    states, target, kept = clips(120, 300, 6)
    features = Features.of(states)
    solve(features, pose(features.z, target, kept, 0.1))
    assert asked == [FOLDS] * len(asked)
    assert len(asked) <= 12


def test_questions_that_share_clips_are_answered_as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    products = logistic._products
    monkeypatch.setattr(logistic, "_products", lambda z: made.append(len(z)) or products(z))
    states, target, _ = clips(160, 200, 3)
    folds = np.arange(160) % FOLDS
    some = list(range(0, 160, 2))
    questions = [Question(range(160), target.tolist(), folds), Question(some, (target[some] > 0).long().tolist(), folds[some] // 2)]
    together = probe_all(states[None], questions)
    assert made == [160], "the clips are multiplied once"
    for question, right in zip(questions, together, strict=True):
        alone = probe(states[None][:, list(question.clips)], question.labels, question.folds)
        assert (right == alone).mean() >= 0.98
        assert right.shape == alone.shape


def test_a_feature_that_varies_in_held_out_clips_alone_is_borne() -> None:
    states, target, kept = clips(120, 300, 3)
    states[:, 0] = torch.where(kept[0], 1.0, 3.0)
    features = Features.of(states)
    scores = solve(features, pose(features.z, target, kept, 0.1)).scores
    assert scores.isfinite().all()
    assert (scores[0].argmax(0) == target)[kept[0]].float().mean() > 0.95


@pytest.mark.parametrize("width", [20, 300])
def test_a_fold_that_never_saw_a_class_is_fitted_as_if_there_were_none(width: int) -> None:
    states, target, kept = clips(160, width, 12)
    target = torch.where(kept[1], target % 4, target)
    features = Features.of(states)
    scores = solve(features, pose(features.z, target, kept, 0.1)).scores[1]
    assert scores[4:].eq(-torch.inf).all()
    own = kept[1].numpy()
    scaler = StandardScaler().fit(states[own].numpy())
    theirs = LogisticRegression(C=0.1, class_weight="balanced", max_iter=9999, tol=1e-8)
    theirs.fit(scaler.transform(states[own].numpy()), target[own])
    assert (scores.argmax(0).numpy() == theirs.predict(scaler.transform(states.numpy()))).mean() >= 0.98


def test_clips_that_are_all_the_same_are_borne() -> None:
    states, target, kept = clips(40, 60, 3)
    features = Features.of(states[:1].expand(40, -1))
    assert solve(features, pose(features.z, target, kept, 0.1)).scores.isfinite().all()
