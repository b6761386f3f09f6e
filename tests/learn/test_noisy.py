from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn import functional

from mujigae.errors import ConfigError
from mujigae.networks import NoisyLinear, resample_noise


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_of(layer: NoisyLinear) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights' and biases' noise, measured from outside: sigma is 1, the means are 0."""
    probe = copy.deepcopy(layer).train()
    with torch.no_grad():
        for mu, sigma in ((probe.weight_mu, probe.weight_sigma), (probe.bias_mu, probe.bias_sigma)):
            mu.zero_()
            sigma.fill_(1)
        bias = probe(torch.zeros(probe.in_features))
        weight = (probe(torch.eye(probe.in_features)) - bias).T
    return weight, bias


def test_initial_values_follow_the_paper() -> None:
    layer = NoisyLinear(16, 400, sigma0=0.5)
    for mu in (layer.weight_mu, layer.bias_mu):
        assert mu.abs().max() <= 0.25
        assert mu.min() < -0.2
        assert mu.max() > 0.2
    for sigma in (layer.weight_sigma, layer.bias_sigma):
        assert torch.equal(sigma, torch.full_like(sigma, 0.125))  # 0.5 / sqrt(16)


def test_output_is_the_formula_worked_by_hand() -> None:
    layer = NoisyLinear(2, 1)
    with torch.no_grad():
        layer.weight_mu.copy_(torch.tensor([[1.0, -1.0]]))
        layer.weight_sigma.copy_(torch.tensor([[0.5, 0.25]]))
        layer.bias_mu.fill_(3.0)
        layer.bias_sigma.fill_(0.1)
        layer.noise.copy_(torch.tensor([2.0, -4.0, 0.5]))  # f(e) of the two inputs, then of the output
    # weights 1 + 0.5 * 2 * 0.5 = 1.5 and -1 + 0.25 * -4 * 0.5 = -1.5; bias 3 + 0.1 * 0.5 = 3.05
    assert layer(torch.tensor([[2.0, 1.0]])).item() == pytest.approx(2 * 1.5 - 1.5 + 3.05)
    assert layer.eval()(torch.tensor([[2.0, 1.0]])).item() == pytest.approx(2 - 1 + 3)


def test_noise_is_the_signed_square_root_of_the_generators_normals() -> None:
    layer = NoisyLinear(3, 2)
    layer.resample_noise(seeded(5))
    e = torch.randn(5, generator=seeded(5)).tolist()
    expected = [math.copysign(math.sqrt(abs(x)), x) for x in e]
    torch.testing.assert_close(layer.noise, torch.tensor(expected))


def test_weight_noise_is_of_rank_one_and_shares_the_output_factor_with_the_bias() -> None:
    layer = NoisyLinear(7, 5)
    layer.resample_noise(seeded(0))
    weight, bias = noise_of(layer)
    assert torch.linalg.matrix_rank(weight, rtol=1e-5) == 1
    torch.testing.assert_close(
        weight / bias[:, None], (weight[0] / bias[0]).expand(5, 7), rtol=1e-4, atol=1e-5
    )


def test_noise_has_the_covariance_of_products_of_factors() -> None:
    layer = NoisyLinear(2, 2)
    generator = seeded(1)
    draws = []
    for _ in range(4000):
        layer.resample_noise(generator)
        draws.append(torch.outer(layer.noise[2:], layer.noise[:2]).flatten())
    w = torch.stack(draws)  # [draws, 4]: w00 w01 w10 w11
    covariance = w.T @ w / len(w)
    # E[f(e)^2] = E|e| = sqrt(2/pi), so each variance is 2/pi, and different weights are uncorrelated ...
    torch.testing.assert_close(covariance, torch.eye(4) * (2 / math.pi), rtol=0, atol=0.08)
    # ... yet dependent: w00 w11 = w01 w10 in every draw, which independent noise would not keep.
    torch.testing.assert_close(w[:, 0] * w[:, 3], w[:, 1] * w[:, 2])


def test_one_draw_is_shared_by_the_batch_and_kept_until_resampled() -> None:
    layer = NoisyLinear(4, 3)
    x = torch.randn(1, 4, generator=seeded(0))
    rows = layer(x.expand(6, 4))
    torch.testing.assert_close(rows, rows[:1].expand(6, 3))
    torch.testing.assert_close(layer(x), rows[:1])
    layer.resample_noise(seeded(3))
    assert not torch.allclose(layer(x), rows[:1])


def test_eval_is_the_means_alone_and_identical_twice() -> None:
    layer = NoisyLinear(4, 3).eval()
    x = torch.randn(5, 4, generator=seeded(0))
    first = layer(x)
    layer.resample_noise(seeded(9))
    assert torch.equal(layer(x), first)
    assert torch.equal(first, functional.linear(x, layer.weight_mu, layer.bias_mu))


def test_same_generator_state_gives_same_noise_and_leaves_the_global_one_alone() -> None:
    a, b = NoisyLinear(4, 3), NoisyLinear(4, 3)
    before = torch.get_rng_state()
    a.resample_noise(seeded(2))
    b.resample_noise(seeded(2))
    assert torch.equal(a.noise, b.noise)
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_resampled_together_get_independent_noise() -> None:
    a, b = NoisyLinear(4, 3), NoisyLinear(4, 3)
    resample_noise([a, b], seeded(2))
    assert not torch.isin(a.noise, b.noise).any()


def test_training_mode_is_noisy_without_any_resampling() -> None:
    layer = NoisyLinear(4, 3)
    x = torch.ones(1, 4)
    assert not torch.allclose(layer(x), copy.deepcopy(layer).eval()(x))


def test_noise_is_not_saved() -> None:
    names = set(NoisyLinear(4, 3).state_dict())
    assert names == {"weight_mu", "weight_sigma", "bias_mu", "bias_sigma"}


def test_gradient_belongs_to_the_noise_of_the_forward_pass() -> None:
    layer = NoisyLinear(2, 1)
    layer.resample_noise(seeded(4))
    e0, e1, e_out = layer.noise.tolist()
    loss = layer(torch.tensor([[1.0, 3.0]])).sum()
    layer.resample_noise(seeded(5))  # as for the selection at next_obs, before backward
    loss.backward()
    assert layer.weight_sigma.grad is not None
    assert layer.bias_sigma.grad is not None
    torch.testing.assert_close(layer.weight_sigma.grad, torch.tensor([[e_out * e0, 3 * e_out * e1]]))
    torch.testing.assert_close(layer.bias_sigma.grad, torch.tensor([e_out]))


@pytest.mark.parametrize("sigma0", [-0.1, float("nan"), float("inf")])
def test_sigma0_out_of_range_is_refused(sigma0: float) -> None:
    with pytest.raises(ConfigError, match="sigma0"):
        NoisyLinear(2, 2, sigma0=sigma0)
