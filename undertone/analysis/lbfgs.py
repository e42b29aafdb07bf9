"""Many smooth convex problems at once: L-BFGS (Liu & Nocedal 1989), every problem with a history and a step of its own.

Nobody waits for anybody: each evaluation tries a point of every problem; those that fell enough move on, the others halve their step, and
who has arrived leaves.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Value = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Points (problem, …) of the problems with the numbers (problem,) → their values (problem,) and gradients (problem, …)."""

FALL = 1e-4
"""Share of the promised fall that a step must bring (Armijo)."""

NOISE = 1e-6
"""Relative rise that float32 cannot tell from a fall."""


class History(NamedTuple):
    """The last steps (place, problem, n), what they did to the gradient, 1 / (step · change), and how many there were (problem,)."""

    steps: Tensor
    changes: Tensor
    inverse: Tensor
    seen: Tensor

    def of(self, kept: Tensor) -> "History":
        """Of the problems in `kept` alone."""
        return History(self.steps[:, kept], self.changes[:, kept], self.inverse[:, kept], self.seen[kept])

    def add(self, step: Tensor, change: Tensor, moved: Tensor) -> None:
        """Note the (problem, n) `step` of the problems that `moved`, in the place of the oldest."""
        curvature = (step * change).sum(1)
        which = (moved & (curvature > 0)).nonzero()[:, 0]
        place = self.seen[which] % len(self.steps)
        self.steps[place, which], self.changes[place, which] = step[which], change[which]
        self.inverse[place, which] = 1 / curvature[which]
        self.seen[which] += 1

    def direction(self, gradient: Tensor) -> Tensor:
        """Where to go (problem, n): the two loops over the history, newest step first and then oldest first."""
        size, every = len(self.steps), torch.arange(len(gradient), device=gradient.device)
        found, shares = gradient.clone(), []
        places = [(self.seen - back) % size for back in range(1, size + 1)]
        for back, place in enumerate(places, start=1):
            known = back <= self.seen  # a place that was never filled holds zeros, one that was filled is known
            share = self.inverse[place, every] * (self.steps[place, every] * found).sum(1) * known
            found -= share[:, None] * self.changes[place, every]
            shares.append(share)
        last = places[0]
        bend = self.inverse[last, every] * self.changes[last, every].square().sum(1)
        found /= torch.where(self.seen > 0, bend, 1.0)[:, None]
        for place, share in zip(reversed(places), reversed(shares), strict=True):
            back_share = self.inverse[place, every] * (self.changes[place, every] * found).sum(1)
            found += ((share - back_share) * (share != 0))[:, None] * self.steps[place, every]
        return -found


def minimise(value: Value, start: Tensor, enough: Tensor, memory: int = 10, most: int = 1000) -> Tensor:
    """Points (problem, …) at which no part of the gradient is above `enough` (problem,), or where `most` evaluations have led.

    From `start` (problem, …); `value` is called with the points that are still on their way, and their numbers.
    """
    found, alive = start.clone(), torch.arange(len(start), device=start.device)
    point = start.flatten(1)
    loss, gradient = _at(value, point, start, alive)
    empty = point.new_zeros(memory, *point.shape)
    past = History(empty, empty.clone(), point.new_zeros(memory, len(point)), torch.zeros_like(alive))
    way = -gradient
    length = 1 / way.norm(dim=1).clamp(min=1)
    for _ in range(most):
        tried = point + length[:, None] * way
        there, slope = _at(value, tried, start, alive)
        promised = length * (way * gradient).sum(1)
        moved = there <= loss + FALL * promised + NOISE * loss.abs()
        past.add(tried - point, slope - gradient, moved)
        point, gradient = (torch.where(moved[:, None], new, old) for new, old in ((tried, point), (slope, gradient)))
        loss = torch.where(moved, there, loss)
        under = gradient.abs().amax(1) > enough[alive]
        found.view(len(found), -1)[alive] = point
        if not under.any():
            break
        way = torch.where(moved[:, None], past.direction(gradient), way)
        length = torch.where(moved, 1.0, length / 2)
        if not under.all():
            alive, point, loss, gradient, way, length = (one[under] for one in (alive, point, loss, gradient, way, length))
            past = past.of(under)
    return found


def _at(value: Value, point: Tensor, like: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
    loss, gradient = value(point.view(-1, *like.shape[1:]), alive)
    return loss, gradient.flatten(1)
