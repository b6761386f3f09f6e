"""Networks for continuous actions: the density of a squashed Gaussian, stacked critics, values that are quadratic in the action."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mujigae.networks.actors import Actor, GaussianActor, squashed
from mujigae.networks.critics import Critics, StackedLinear
from mujigae.networks.quadratic import Quadratic, QuadraticNetwork, advantage, positive


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- actors ---


def test_density_of_a_squashed_gaussian_integrates_to_one() -> None:
    # Over a, by the rule of midpoints: p(a) = exp(log pi(a)), a = tanh(mean + std * noise).
    mean, log_std = torch.tensor([[0.3]]), torch.tensor([[-0.5]])
    width = 2e-4
    a = torch.arange(-1 + width / 2, 1, width, dtype=torch.float64)[:, None]
    noise = (torch.atanh(a) - mean) / log_std.exp()
    again, log_prob = squashed(mean.double(), log_std.double(), noise)
    torch.testing.assert_close(again, a)
    assert (log_prob.exp().sum() * width).item() == pytest.approx(1.0, abs=1e-4)


def test_log_probability_of_two_numbers_is_worked_out_by_hand() -> None:
    # u = (0, 1), std = (1, 2): log N - log(1 - tanh(u)^2), summed.
    mean, log_std = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, math.log(2.0)]])
    action, log_prob = squashed(mean, log_std, torch.zeros(1, 2))
    torch.testing.assert_close(action, torch.tensor([[0.0, math.tanh(1.0)]]))
    log_normals = -math.log(2 * math.pi) - math.log(2.0)
    expected = log_normals - math.log(1 - math.tanh(1.0) ** 2)
    assert log_prob.item() == pytest.approx(expected, rel=1e-6)


def test_log_probability_is_finite_far_out_where_tanh_is_one() -> None:
    action, log_prob = squashed(torch.tensor([[40.0]]), torch.tensor([[0.0]]), torch.zeros(1, 1))
    assert action.item() == 1.0
    assert log_prob.item() == pytest.approx(-math.log(2 * math.pi) / 2 - 2 * (math.log(2) - 40.0), rel=1e-6)


def test_actions_lie_within_one_whatever_the_observation_is_made_of() -> None:
    for obs in (random(7, 3) * 1e3, torch.randint(256, (7, 3), dtype=torch.uint8), random(7, 3).double()):
        action = Actor((3,), 2, (8,))(obs)
        assert (action.shape, action.dtype) == ((7, 2), torch.float32)
        assert action.abs().max() <= 1
        mean, log_std = GaussianActor((3,), 2, (8,))(obs * 1000)
        assert mean.shape == log_std.shape == (7, 2)
        assert -20 <= log_std.min() <= log_std.max() <= 2


# --- critics ---


def test_stacked_critics_are_as_many_networks_of_plain_layers() -> None:
    critics = Critics(3, 4, 2, (8, 5))
    obs, action = random(6, 4), random(6, 2, seed=1)
    values = critics(obs, action)
    assert (values.shape, values.dtype) == ((3, 6), torch.float32)
    for c in range(3):
        features = torch.cat([obs, action], 1)
        for i, layer in enumerate(critics.layers):
            assert isinstance(layer, StackedLinear)
            features = nn.functional.linear(features, layer.weight[c].T, layer.bias[c, 0])
            features = features.relu() if i < 2 else features
        torch.testing.assert_close(values[c], features.squeeze(1))
    torch.testing.assert_close(critics.first(obs, action), values[0])


def test_stacked_layers_begin_as_plain_ones_do() -> None:
    layer = StackedLinear(2, 16, 500)
    assert layer.weight.abs().max().item() <= 0.25  # 1 / sqrt(16)
    assert layer.weight.std().item() == pytest.approx(nn.Linear(16, 500).weight.std().item(), rel=0.05)
    assert not torch.equal(layer.weight[0], layer.weight[1])


# --- values that are quadratic in the action ---


def test_advantage_is_worked_out_by_hand() -> None:
    # L = [[2, 0], [1, 3]], a - mu = (1, -1): P = L L^T = [[4, 2], [2, 10]]; d^T P d = 4 - 4 + 10 = 10; half of it: 5.
    factor = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])
    best = torch.tensor([[0.25, 0.5]])
    assert advantage(best + torch.tensor([[1.0, -1.0]]), best, factor).tolist() == [-5.0]
    assert advantage(best, best, factor).tolist() == [0.0]


@pytest.mark.parametrize("num_numbers", [1, 2, 5])
def test_no_action_is_better_than_the_best_one(num_numbers: int) -> None:
    network = QuadraticNetwork((3,), num_numbers, (16,))
    with torch.no_grad():
        q = network(random(40, 3) * 3)
        assert q.best.abs().max() <= 1
        torch.testing.assert_close(q.at(q.best), q.value, rtol=0, atol=0)
        for seed in range(20):  # brute force
            action = torch.rand(40, num_numbers, generator=torch.Generator().manual_seed(seed)) * 2 - 1
            assert (q.at(action) <= q.value).all()
            assert (advantage(action, q.best, q.factor) < 0).all()


def test_factor_is_lower_triangular_with_a_positive_diagonal() -> None:
    q = QuadraticNetwork((3,), 4, ())(random(9, 3))
    assert torch.equal(q.factor, q.factor.tril())
    assert (q.factor.diagonal(dim1=1, dim2=2) > 0).all()


def test_positive_is_worked_out_by_hand_and_has_a_slope_everywhere() -> None:
    entry = torch.tensor([-1e6, -1.5, 0.0, 1.5, 1e6], requires_grad=True)
    value = positive(entry)
    torch.testing.assert_close(value, torch.tensor([1e-6, 0.5, 1.0, 2.0, 1e6]))
    value.sum().backward()
    assert entry.grad is not None
    torch.testing.assert_close(entry.grad, torch.tensor([1e-12, 0.2, 0.5, 0.8, 1.0]))


def test_best_action_at_its_bound_without_curvature_can_still_be_learned() -> None:
    """Where two of five runs on Pendulum once ended: through tanh and exp there is no gradient left."""
    network = QuadraticNetwork((3,), 1, ())
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.copy_(torch.tensor([0.0, 19.0, -19.0]))
    network.values(random(1, 3), torch.tensor([[-0.5]])).sum().backward()
    gradient = network.output.bias.grad
    assert gradient is not None
    assert (gradient.abs() > 1e-6).all()


def test_values_are_those_of_one_critic() -> None:
    network = QuadraticNetwork((3,), 2, (8,))
    obs, action = random(5, 3), random(5, 2)
    q: Quadratic = network(obs)
    torch.testing.assert_close(network.values(obs, action), q.at(action)[None])
