"""The quantile loss by hand and against plain loops, and the two heads that learn by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from mujigae.errors import ConfigError
from mujigae.losses import quantile_huber
from mujigae.networks import QuantileHead

Array = NDArray[np.float64]


def by_loops(
    quantiles: Array, next_quantiles: Array, reward: float, discount: float, fractions: Array
) -> float:
    """Equations 9 and 10 and algorithm 1 of Dabney et al. 2018 for one row, in float64: O(N N')."""
    total = 0.0
    for tau, quantile in zip(fractions, quantiles, strict=True):
        mean = 0.0
        for following in next_quantiles:
            u = reward + discount * following - quantile
            huber = u**2 / 2 if abs(u) <= 1 else abs(u) - 0.5
            mean += abs(tau - (u < 0)) * huber / len(next_quantiles)
        total += mean
    return total


def arguments(
    batch_size: int, sizes: tuple[int, int], seed: int, fractions_of_rows: bool, scale: float = 2.0
) -> dict[str, Tensor]:
    """Random ones, with three actions."""
    g = torch.Generator().manual_seed(seed)
    shape = (batch_size, sizes[0]) if fractions_of_rows else (sizes[0],)
    return {
        "output": (scale * torch.randn(batch_size, 3, sizes[0], generator=g)).requires_grad_(),
        "target_output": (scale * torch.randn(batch_size, 3, sizes[1], generator=g)).requires_grad_(),
        "selector_q": torch.randn(batch_size, 3, generator=g).requires_grad_(),
        "action": torch.randint(3, (batch_size,), generator=g),
        "reward": torch.randn(batch_size, generator=g),
        "discount": torch.rand(batch_size, generator=g) * torch.randint(2, (batch_size,), generator=g),
        "fractions": torch.rand(shape, generator=g),
    }


# --- the loss ---------------------------------------------------------------------------------------------------------


def test_loss_worked_by_hand() -> None:
    # The selector takes action 1, whose quantiles are 2 and 6: targets 1 + 0.5 * 2 = 2 and 1 + 0.5 * 6 = 4.
    # Output 0 of the taken action is 1.5, tau 1/4: errors 0.5 and 2.5, Huber 0.125 and 2, times 1/4: mean 0.265625.
    # Output 1 is 3, tau 3/4: errors -1 and 1, Huber 0.5 each, times 1/4 and 3/4: mean 0.25.
    out = quantile_huber(
        torch.tensor([[[1.5, 3.0], [9.0, 9.0]]]),
        torch.tensor([[[100.0, 100.0], [2.0, 6.0]]]),
        torch.tensor([[0.0, 1.0]]),
        torch.tensor([0]),
        torch.tensor([1.0]),
        torch.tensor([0.5]),
        torch.tensor([0.25, 0.75]),
    )
    assert out.loss.item() == pytest.approx(0.265625 + 0.25)
    assert out.priority.item() == out.loss.item()


def test_terminal_row_learns_its_reward_alone() -> None:
    out = quantile_huber(
        torch.tensor([[[0.0, 5.0]]]),
        torch.full((1, 1, 3), 1e6),
        torch.zeros(1, 1),
        torch.tensor([0]),
        torch.tensor([5.0]),
        torch.tensor([0.0]),
        torch.tensor([0.25, 0.75]),
    )
    assert out.loss.item() == pytest.approx(0.25 * 4.5)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from([0.1, 2.0, 50.0]),
)
def test_loss_agrees_with_plain_loops(
    batch_size: int, num_quantiles: int, num_targets: int, seed: int, fractions_of_rows: bool, scale: float
) -> None:
    a = arguments(batch_size, (num_quantiles, num_targets), seed, fractions_of_rows, scale)
    n: dict[str, Any] = {name: value.detach().double().numpy() for name, value in a.items()}
    fractions = np.broadcast_to(n["fractions"], (batch_size, num_quantiles))
    expected = [
        by_loops(
            n["output"][b, int(n["action"][b])],
            n["target_output"][b, n["selector_q"][b].argmax()],
            n["reward"][b],
            n["discount"][b],
            fractions[b],
        )
        for b in range(batch_size)
    ]
    out = quantile_huber(**a)
    np.testing.assert_allclose(out.loss.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_the_taken_action_of_the_online_output_alone() -> None:
    a = arguments(4, (5, 3), 0, True)
    out = quantile_huber(**a)
    assert not out.priority.requires_grad
    out.loss.sum().backward()
    gradient = a["output"].grad
    assert gradient is not None
    is_taken = torch.nn.functional.one_hot(a["action"], 3).bool()
    assert (gradient[is_taken] != 0).all()
    assert (gradient[~is_taken] == 0).all()
    assert a["target_output"].grad is None
    assert a["selector_q"].grad is None


def test_quantiles_of_a_known_distribution_are_found() -> None:
    """One state, one action, terminal rewards uniform on [0, 100]: the quantile of tau is 100 tau, but for Huber's bend."""
    fractions = torch.tensor([0.1, 0.5, 0.9])
    quantiles = torch.zeros(1, 1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([quantiles], lr=0.5)
    reward = torch.linspace(0, 100, 1001)
    zeros = torch.zeros(1001)
    for _ in range(1000):
        optimizer.zero_grad()
        output = quantiles.expand(1001, 1, 3)
        rest = torch.zeros(1001, 1, 1), torch.zeros(1001, 1), zeros.long(), reward, zeros, fractions
        quantile_huber(output, *rest).loss.mean().backward()
        optimizer.step()
    assert quantiles[0, 0].tolist() == pytest.approx([10.0, 50.0, 90.0], abs=0.6)


def test_bfloat16_outputs_are_computed_in_float32() -> None:
    a = arguments(4, (5, 3), 0, False)
    low = {name: a[name].detach().to(torch.bfloat16) for name in ("output", "target_output", "selector_q")}
    exact = quantile_huber(**{**a, **{name: value.float() for name, value in low.items()}})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = quantile_huber(**{**a, **low})
    assert out.loss.dtype == torch.float32
    torch.testing.assert_close(out.loss, exact.loss)


@pytest.mark.parametrize(
    ("argument", "shape", "message"),
    [
        ("output", (4, 3), "output must have shape"),
        ("target_output", (4, 2, 3), r"target_output must have shape \(4, 3, 3\)"),
        ("target_output", (4, 3), "target_output must have shape"),
        ("selector_q", (4, 2), "selector_q must have shape"),
        ("reward", (4, 1), "reward must have shape"),
        ("fractions", (3,), r"fractions must have shape \[5\] or \[4, 5\] to go with .*, got \(3,\)"),
        ("fractions", (5, 4), "fractions must have shape"),
    ],
)
def test_wrong_shape_is_named(argument: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantile_huber(**{**arguments(4, (5, 3), 0, False), argument: torch.zeros(shape)})


# --- fixed fractions --------------------------------------------------------------------------------------------------


def test_fixed_fractions_are_the_midpoints_of_equal_shares() -> None:
    assert QuantileHead(4).fractions.tolist() == [0.125, 0.375, 0.625, 0.875]
    assert QuantileHead(4).state_dict() == {}


def test_value_is_the_mean_quantile_and_each_quantile_a_return_of_the_distribution() -> None:
    head, output = QuantileHead(4), torch.tensor([[[1.0, 2.0, 3.0, 10.0]]])
    assert head.values(output).item() == 4.0
    returns, probabilities = head.distribution(output)
    assert returns.tolist() == output.tolist()
    assert probabilities.tolist() == [[[0.25] * 4]]


def test_number_of_quantiles_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_quantiles must be at least 1, got 0"):
        QuantileHead(0)
