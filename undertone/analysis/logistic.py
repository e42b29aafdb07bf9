"""L2-regularised multinomial logistic regressions that share their clips: all folds at once, in coordinates of clips.

At the optimum a probe's weights are a sum of the clips it was fitted on, w = Σ αᵢ zᵢ, and α is −error / penalty. So what is sought is α,
and the residual ρ = error + penalty · α is the gradient in the metric of the clips' products K = z zᵀ. There L-BFGS (Liu & Nocedal 1989)
runs:

- its first guess of the curvature is the true one at equal probabilities, K + penalty / curvature, taken anew every few steps. It needs
  the clips' products once per layer for all questions and one inverse for all folds, with every feature scaled by all clips alike;
- what a step does to the scores is exact: z (e ∘ zᵀ step), with the fold's own scale e, two products in which all folds read the clips
  together. So the optimum is that of each fold's own standardising, whatever the first guess was worth;
- the scores along a step are then known, and its length is found without another product.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

STALE = 1e-6
"""What is smaller than this share is rounding: a feature whose spread is so of its mean, or whose variance in a fold is so of that over all
clips, is constant and left unscaled; so is a step's curvature of what it could be."""


RENEWED = 10
"""After so many steps the curvature is taken anew where the probabilities are then."""

FLAT = 1e-3
"""Least curvature of a clip that is counted with, for the sake of those that are as good as certain."""


class Features(NamedTuple):
    """Clips of one layer: `z` (clip, width) standardised over all clips, by `mean` and `spread` (width,), and `products` (clip, clip) of
    clips with each other, or (0, 0) where features are fewer than clips and no product is needed."""

    z: Tensor
    mean: Tensor
    spread: Tensor
    products: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Of `x` (clip, width), any type; in float32 from here on."""
        mean = x.float().mean(0)
        z = x.float() - mean
        spread = z.square().mean(0).sqrt()
        spread = torch.where(spread > STALE * mean.abs(), spread, 1.0)
        z /= spread
        return cls(z, mean, spread, _products(z) if len(z) < z.shape[1] else z.new_empty(0, 0))

    def some(self, clips: Sequence[int]) -> Self:
        """Of some clips alone, standardised as before."""
        chosen = torch.as_tensor(clips, device=self.z.device)
        products = self.products[chosen][:, chosen] if len(self.products) else self.products
        return self._replace(z=self.z[chosen], products=products)


class Problem(NamedTuple):
    """What the folds ask: `truth` (class, clip), the `weight` (fold, 1, clip) of each clip's loss, 0 where it is held out, which classes
    a fold has `seen` (fold, class, 1), the `scale` (fold, 1, width) e of the squared features, and the `penalty` (fold, 1, 1) on α."""

    truth: Tensor
    weight: Tensor
    seen: Tensor
    scale: Tensor
    penalty: Tensor

    def chances(self, scores: Tensor) -> Tensor:
        """(fold, class, clip) probabilities; none for a class that a fold never saw."""
        return scores.masked_fill(~self.seen, -torch.inf).softmax(1)

    def error(self, scores: Tensor) -> Tensor:
        """(fold, class, clip) derivative of the losses by the scores."""
        return self.weight * (self.chances(scores) - self.truth)

    def weights(self, z: Tensor, alpha: Tensor) -> Tensor:
        """(fold, class, width) weights of `z` (clip, width) that `alpha` (fold, class, clip) stands for."""
        return _times(alpha, z) * self.scale

    def image(self, z: Tensor, alpha: Tensor) -> Tensor:
        """(fold, class, clip) scores of all clips, but for the intercept."""
        return _times(self.weights(z, alpha), z.T)


class Step(NamedTuple):
    """A step in α, what it did to the scores and to the residual, (fold, class, clip) each, and 1 / the product of the last two
    (fold, 1, 1)."""

    step: Tensor
    image: Tensor
    change: Tensor
    inverse: Tensor


class Found(NamedTuple):
    """α and the scores of all clips, held out or not, intercept included, (fold, class, clip) each; a class that a fold never saw scores
    −∞."""

    alpha: Tensor
    scores: Tensor


def pose(z: Tensor, target: Tensor, kept: Tensor, strength: float) -> Problem:
    """Probes of `target` (clip,) class numbers, one a fold on the clips it has `kept` (fold, clip), classes balanced, `strength` as
    scikit-learn's C."""
    weight = kept.float()
    count = weight.sum(1, keepdim=True)
    mean = weight @ z / count
    variance = weight @ z.square() / count - mean.square()
    scale = torch.where(variance > STALE, variance, 1.0).reciprocal()
    truth = torch.nn.functional.one_hot(target).float()
    members = weight @ truth
    classes = (members > 0).sum(1, keepdim=True)
    balance = strength * (count / (classes * members.clamp(min=1)))[:, target] * weight
    # Two softmax columns share what one logistic column carries alone, so the same weight costs half as much: undone here.
    penalty = torch.where(classes == 2, 2.0, 1.0)
    return Problem(truth.T.contiguous(), balance[:, None], (members > 0)[..., None], scale[:, None], penalty[..., None])


def solve(features: Features, problem: Problem, enough: float = 1e-6, memory: int = 5, most: int = 200) -> Found:
    """Found where a step promises to lower no fold's mean loss by more than `enough`, or after `most` steps."""
    z, weight = features.z, problem.weight
    alpha = z.new_zeros(len(weight), *problem.truth.shape)
    scores = torch.zeros_like(alpha)
    residual = problem.error(scores)
    near = enough * weight.sum(2, keepdim=True)
    past: list[Step] = []
    for number in range(most):
        if number % RENEWED == 0:
            guess = _curvature(features, problem, scores)
        step, image = _direction(residual, past, guess, lambda found: problem.image(z, found))
        promised = _product(residual, image)
        length = _length(problem, scores, step, image)
        step, image = -length * step, -length * image
        alpha += step
        scores += image
        if (promised.abs() <= near).all():
            break
        change = problem.error(scores) + problem.penalty * alpha - residual
        residual = residual + change
        past = [*past[1 - memory :], _step(step, image, change)]
    return Found(alpha, scores.masked_fill(~problem.seen, -torch.inf))


def _step(step: Tensor, image: Tensor, change: Tensor) -> Step:
    """A step to remember; one that is all rounding is given no say."""
    bend = _product(image, change)
    real = bend > STALE * (_product(image, image) * _product(change, change)).sqrt()
    return Step(step, image, change, torch.where(real, 1 / bend, 0.0))


def _direction(
    residual: Tensor, past: Sequence[Step], guess: Callable[[Tensor], tuple[Tensor, Tensor]], image_of: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Where the residual points once the curvature is accounted for, and what that does to the scores: the two loops of L-BFGS."""
    shares = []
    for last in reversed(past):
        shares.append(last.inverse * _product(last.image, residual))
        residual = residual - shares[-1] * last.change
    step, intercept = guess(residual)
    image = image_of(step) + intercept
    for last, share in zip(past, reversed(shares), strict=True):
        more = share - last.inverse * _product(last.change, image)
        step, image = step + more * last.step, image + more * last.image
    return step, image


def _length(problem: Problem, scores: Tensor, step: Tensor, image: Tensor, most: float = 16.0, tries: int = 3) -> Tensor:
    """(fold, 1, 1) how far to go against `step`: Newton's method along the line, kept between bounds that close in."""
    ahead, bend = (problem.penalty * _product(step, one) for one in (scores, image))
    low, length = torch.zeros_like(ahead), torch.ones_like(ahead)
    high = torch.full_like(ahead, most)
    for _ in range(tries):
        chances = problem.chances(scores - length * image)
        slope = length * bend - ahead - _product(image, problem.weight * (chances - problem.truth))
        mean = (chances * image).sum(1, keepdim=True)
        curve = bend + _product(problem.weight * chances, (image - mean).square())
        low, high = torch.where(slope < 0, length, low), torch.where(slope < 0, high, length)
        newton = length - slope / curve
        length = torch.where((newton > low) & (newton < high), newton, (low + high) / 2)
    return length


def _curvature(features: Features, problem: Problem, scores: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Newton's step: (fold, class, clip) residual → step of α, whose sum over the clips is 0, and the intercept's (fold, class, 1).

    (K + D) α + 1 b = D ρ / penalty with D = penalty / (weight · curvature); a clip's curvature is the mean of what its loss has in all
    directions, (1 − Σ p²) / (classes − 1), which is exact at equal probabilities.
    """
    kept = problem.weight > 0
    directions = (problem.seen.sum(1, keepdim=True) - 1).clamp(min=1)
    bent = (1 - problem.chances(scores).square().sum(1, keepdim=True)) / directions
    weight = (problem.weight * bent.clamp(min=FLAT)).where(kept, 1.0)
    inverse = (_by_clips if len(features.products) else _by_features)(features, problem, problem.penalty / weight, kept)
    one = inverse(kept.float())
    total = one.sum(2, keepdim=True)

    def guess(residual: Tensor) -> tuple[Tensor, Tensor]:
        free = inverse(residual / weight)
        intercept = free.sum(2, keepdim=True) / total
        return free - one * intercept, intercept

    return guess


def _by_clips(features: Features, _: Problem, diagonal: Tensor, kept: Tensor) -> Callable[[Tensor], Tensor]:
    """y (fold, …, clip) → y (K + D)⁻¹ among the clips each fold has kept, D being the folds' mean.

    The whole matrix is inverted once; a fold's part of the inverse V lacks what the held-out clips h would take, V h (h V h)⁻¹ h V.
    """
    mean = (diagonal * kept).sum(0)[0] / kept.sum(0)[0].clamp(min=1)
    whole = torch.cholesky_inverse(torch.linalg.cholesky(features.products + torch.diag(mean.clamp(min=STALE))))
    out = [(~one[0]).nonzero()[:, 0] for one in kept]
    factors = [torch.linalg.cholesky(whole[clips][:, clips]) for clips in out]

    def inverse(y: Tensor) -> Tensor:
        found, taken = _times(y, whole), torch.zeros_like(y)
        for fold, (clips, factor) in enumerate(zip(out, factors, strict=True)):
            taken[fold][:, clips] = torch.cholesky_solve(found[fold][:, clips].T, factor).T
        return (found - _times(taken, whole)) * kept

    return inverse


def _by_features(features: Features, problem: Problem, diagonal: Tensor, kept: Tensor) -> Callable[[Tensor], Tensor]:
    """As `_by_clips`, where features are fewer: by a factor of zᵀ D⁻¹ z + 1 for each fold, in its own scale."""
    root = problem.scale.sqrt()
    one = torch.eye(features.z.shape[1], device=features.z.device)
    own = (features.z * scale * some.T for scale, some in zip(root, kept, strict=True))
    factors = [torch.linalg.cholesky((z / some.T).T @ z + one) for z, some in zip(own, diagonal, strict=True)]

    def inverse(y: Tensor) -> Tensor:
        inner = _times(y / diagonal * kept, features.z) * root
        inner = torch.stack([torch.cholesky_solve(one.T, factor).T for one, factor in zip(inner, factors, strict=True)])
        return (y - _times(inner * root, features.z.T)) / diagonal * kept

    return inverse


def _product(one: Tensor, other: Tensor) -> Tensor:
    """(fold, 1, 1) of two (fold, class, clip)."""
    return (one * other).sum((1, 2), keepdim=True)


def _times(y: Tensor, matrix: Tensor) -> Tensor:
    """(fold, class, column) products of `y` (fold, class, row) with `matrix` (row, column), all folds at once."""
    return (y.flatten(0, 1) @ matrix).view(*y.shape[:2], -1)


def _products(z: Tensor, blocks: int = 8) -> Tensor:
    """z zᵀ; what lies above the diagonal is copied from below, so that little more than half is multiplied."""
    made = z.new_zeros(len(z), len(z))
    end = 0
    for rows in z.chunk(blocks):
        start, end = end, end + len(rows)
        torch.mm(rows, z[:end].T, out=made[start:end, :end])
    return made.tril() + made.tril(-1).T
