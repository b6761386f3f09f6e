"""The cross-entropy method: within its bounds, never worse than what it tried, better than random shooting at equal samples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mujigae.agents.cem.maximise import cross_entropy_maximum


def draws(iterations: int, num_rows: int, num_samples: int, num_numbers: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(iterations, num_rows, num_samples, num_numbers, generator=generator)
    drawn[0].uniform_(-1, 1, generator=generator)
    return drawn


def quadratic(peak: Tensor) -> object:
    """Values of actions [B, N, A], largest at `peak` [B, A]."""
    return lambda actions: -(actions - peak[:, None]).square().sum(-1)


def test_one_iteration_is_random_shooting() -> None:
    peak = torch.tensor([[0.3, -0.2], [0.9, 0.9]])
    drawn = draws(1, 2, 50, 2)
    found = cross_entropy_maximum(quadratic(peak), drawn, num_elites=5)  # type: ignore[arg-type]
    for row in range(2):
        values = [-((action - peak[row]) ** 2).sum().item() for action in drawn[0, row]]  # brute force
        nearest = max(range(50), key=values.__getitem__)
        assert torch.equal(found.action[row], drawn[0, row, nearest])
        assert found.value[row].item() == pytest.approx(values[nearest])


def test_second_iteration_draws_around_the_elites() -> None:
    # One row, one number; the two best of (-0.5, 0.2, 0.6, 0.9) for the value a are 0.6 and 0.9: mean 0.75, deviation 0.15.
    drawn = torch.tensor([[-0.5, 0.2, 0.6, 0.9], [0.0, 1.0, -1.0, 5.0]]).reshape(2, 1, 4, 1)
    tried: list[list[float]] = []

    def values_of(actions: Tensor) -> Tensor:
        tried.append(actions.flatten().tolist())
        return actions.squeeze(-1)

    found = cross_entropy_maximum(values_of, drawn, num_elites=2)
    assert tried[1] == pytest.approx([0.75, 0.9, 0.6, 1.0])  # 0.75 + 5 * 0.15 is clipped
    assert (found.action.item(), found.value.item()) == (1.0, 1.0)


def test_best_of_all_iterations_is_kept() -> None:
    # Only the first iteration's 0.9 is worth anything.
    drawn = torch.tensor([[0.9, 0.1], [-3.0, -3.0]]).reshape(2, 1, 2, 1)
    found = cross_entropy_maximum(lambda a: (a.squeeze(-1) == drawn[0, 0, 0]).float(), drawn, num_elites=2)
    assert found.action.item() == pytest.approx(0.9)


def test_beats_random_shooting_at_equal_samples_on_a_quadratic() -> None:
    num_rows, num_numbers = 200, 3
    peak = torch.rand(num_rows, num_numbers, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    cem = cross_entropy_maximum(quadratic(peak), draws(4, num_rows, 32, num_numbers), num_elites=6)  # type: ignore[arg-type]
    shooting = cross_entropy_maximum(quadratic(peak), draws(1, num_rows, 128, num_numbers), num_elites=6)  # type: ignore[arg-type]
    assert cem.value.mean() > shooting.value.mean() / 4  # both are negative: a quarter of the loss
    assert (cem.value > shooting.value).float().mean() > 0.9


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_actions_stay_within_their_bounds_when_the_best_lies_outside(iterations: int) -> None:
    outside = torch.full((20, 2), 3.0)
    found = cross_entropy_maximum(quadratic(outside), draws(iterations, 20, 64, 2), num_elites=8)  # type: ignore[arg-type]
    assert found.action.abs().max() <= 1
    if iterations == 5:
        assert found.action.mean() > 0.97
