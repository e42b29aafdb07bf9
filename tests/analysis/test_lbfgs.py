"""Many problems at once end where each ends by itself."""

import torch
from torch import Tensor

from undertone.analysis.lbfgs import minimise


def quadratics(problems: int = 5, width: int = 8) -> tuple[Tensor, Tensor]:
    """Bowls (problem, width, width), each ten times steeper than the one before, and what pulls in them (problem, width)."""
    dice = torch.Generator().manual_seed(0)
    half = torch.randn(problems, width, width, generator=dice)
    bowls = half @ half.transpose(1, 2) + torch.eye(width)
    return bowls * 10.0 ** torch.arange(problems)[:, None, None], torch.randn(problems, width, generator=dice)


def test_every_bowl_is_found_whatever_its_steepness() -> None:
    bowls, pull = quadratics()
    asked: list[list[int]] = []

    def value(points: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(of.tolist())
        bent = (bowls[of] @ points[..., None])[..., 0]
        return (points * (bent / 2 - pull[of])).sum(1), bent - pull[of]

    found = minimise(value, torch.zeros_like(pull), torch.full((len(pull),), 1e-4))
    torch.testing.assert_close(found, torch.linalg.solve(bowls, pull), rtol=1e-3, atol=1e-4)
    assert asked[0] == [0, 1, 2, 3, 4]
    assert len(asked[-1]) < 5, "who has arrived is asked no more"


def test_a_problem_ends_as_it_would_alone() -> None:
    bowls, pull = quadratics(2)

    def value(points: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
        steep = (points**4).sum(1) + ((bowls[of] @ points[..., None])[..., 0] * points).sum(1) / 2 - (points * pull[of]).sum(1)
        return steep, 4 * points**3 + (bowls[of] @ points[..., None])[..., 0] - pull[of]

    both = minimise(value, torch.zeros_like(pull), torch.full((2,), 1e-4))
    for i in range(2):
        alone = minimise(lambda points, of, i=i: value(points, of + i), torch.zeros(1, pull.shape[1]), torch.full((1,), 1e-4))  # type: ignore[misc]
        torch.testing.assert_close(both[i], alone[0], rtol=1e-3, atol=1e-4)


def test_the_last_point_is_given_where_evaluations_run_out() -> None:
    found = minimise(lambda points, of: (points.square().sum(1), 2 * points), torch.full((1, 3), 8.0), torch.zeros(1), most=1)
    assert 0 < found.abs().max() < 8
