"""Return heads: what outputs mean, worked by hand, and what every head has to keep."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from mujigae.errors import ConfigError
from mujigae.losses import huber
from mujigae.networks import (
    CategoricalHead,
    HLGaussHead,
    ImplicitQuantileHead,
    QuantileHead,
    ReturnHead,
    ScalarHead,
)

HEADS: dict[str, Callable[[], ReturnHead]] = {
    "scalar": lambda: ScalarHead(huber),
    "categorical": lambda: CategoricalHead(7, -2.0, 2.0),
    "hl_gauss": lambda: HLGaussHead(7, -2.0, 2.0),
    "quantile": lambda: QuantileHead(7),
    "implicit_quantile": lambda: ImplicitQuantileHead(5, num_action_fractions=1),
}


@pytest.fixture(params=sorted(HEADS))
def head(request: pytest.FixtureRequest) -> ReturnHead:
    return HEADS[request.param]()


def outputs(head: ReturnHead, batch_size: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, 3, head.num_outputs, generator=generator).requires_grad_()


# --- every head ---


def test_value_is_the_mean_of_the_distribution(head: ReturnHead) -> None:
    output = outputs(head)
    distribution = head.distribution(output)
    values = head.values(output)
    assert values.shape == (4, 3)
    assert values.dtype == torch.float32
    if distribution is not None:
        returns, probabilities = distribution
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(4, 3))
        torch.testing.assert_close((returns * probabilities).sum(-1), values)


def test_loss_and_priority_are_each_rows_own_and_gradients_reach_the_online_output_alone(
    head: ReturnHead,
) -> None:
    output, target_output = outputs(head), outputs(head, seed=1)
    action, reward = torch.tensor([0, 2, 1, 1]), torch.tensor([0.5, -1.0, 0.0, 2.0])
    selector_q = head.values(target_output)
    rest = selector_q, action, reward, torch.full((4,), 0.9)
    out = head.loss(output, target_output, *rest)
    assert out.loss.shape == out.priority.shape == (4,)
    assert not out.priority.requires_grad
    assert (out.priority >= 0).all()
    alone = [head.loss(*(part[i : i + 1] for part in (output, target_output, *rest))).loss for i in range(4)]
    torch.testing.assert_close(out.loss, torch.cat(alone))
    out.loss.sum().backward()
    assert output.grad is not None
    is_taken = torch.nn.functional.one_hot(action, 3).bool()
    assert (output.grad[is_taken].abs().sum(-1) > 0).all()
    assert (output.grad[~is_taken] == 0).all()
    assert target_output.grad is None


# --- values ---


def test_values_have_no_distribution() -> None:
    assert ScalarHead(huber).distribution(torch.zeros(1, 3, 1)) is None


# --- categorical ---


def test_categorical_values_are_the_means_over_the_support() -> None:
    head = CategoricalHead(3, v_min=-2.0, v_max=4.0)
    assert head.support.tolist() == [-2.0, 1.0, 4.0]
    probabilities = torch.tensor([[[0.5, 0.25, 0.25], [0.0, 0.0, 1.0], [0.2, 0.6, 0.2]]])
    values = head.values(probabilities.log().clamp(min=-100))
    assert values[0].tolist() == pytest.approx([-1 + 0.25 + 1, 4.0, -0.4 + 0.6 + 0.8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, -1.0, 1.0), "num_atoms must be at least 2, got 1"),
        ((7, 1.0, 1.0), "v_min must be less than v_max"),
        ((7, 0.0, math.inf), "v_min must be less than v_max and both finite"),
    ],
)
def test_support_out_of_range_is_refused_with_its_name(
    arguments: tuple[int, float, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        CategoricalHead(*arguments)
