"""Losses of continuous actions against numbers worked out by hand, and maximisers against brute force."""

from __future__ import annotations

import math

import pytest
import torch

from mujigae.losses.continuous import (
    bootstrap_target,
    clipped_double_q,
    policy_loss,
    smoothed,
    soft_policy_loss,
    soft_value,
    squared_errors,
    temperature_loss,
)


def test_target_bootstraps_at_a_time_limit_and_not_at_a_terminal_state() -> None:
    # Rows: within an episode, truncated (the same discount), terminated; gamma 0.5.
    target = bootstrap_target(
        torch.tensor([4.0, 4.0, 4.0]), torch.tensor([1.0, 1.0, 1.0]), torch.tensor([0.5, 0.5, 0.0])
    )
    assert target.tolist() == [3.0, 3.0, 1.0]
    assert not target.requires_grad


def test_least_critic_counts_row_by_row() -> None:
    assert clipped_double_q(torch.tensor([[1.0, 5.0], [2.0, -3.0]])).tolist() == [1.0, -3.0]
    assert clipped_double_q(torch.tensor([[1.0, 5.0]])).tolist() == [1.0, 5.0]


def test_noise_on_the_target_action_is_clipped_and_so_is_the_action() -> None:
    action = torch.tensor([[0.0, 0.9, -0.9, 0.1]])
    noise = torch.tensor([[2.0, 0.3, -0.3, -0.2]])
    torch.testing.assert_close(smoothed(action, noise, 0.5), torch.tensor([[0.5, 1.0, -1.0, -0.1]]))


def test_squared_errors_sum_over_critics_and_rank_by_their_mean_error() -> None:
    # Row 0: errors 2 and -1: (4 + 1) / 2; row 1: errors 0 and 3: 9 / 2.
    values = torch.tensor([[1.0, 2.0], [4.0, -1.0]], requires_grad=True)
    rows = squared_errors(values, torch.tensor([3.0, 2.0]))
    assert rows.loss.tolist() == [2.5, 4.5]
    assert rows.priority.tolist() == [1.5, 1.5]
    assert not rows.priority.requires_grad
    rows.loss.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[-2.0, 0.0], [1.0, -3.0]]


def test_policy_loss_is_the_mean_value_to_be_raised() -> None:
    value = torch.tensor([1.0, 4.0], requires_grad=True)
    loss = policy_loss(value)
    assert loss.item() == -2.5
    loss.backward()
    assert value.grad is not None
    assert value.grad.tolist() == [-0.5, -0.5]


def test_soft_value_adds_the_entropy_at_its_weight() -> None:
    value, log_prob = torch.tensor([1.0, 2.0]), torch.tensor([-2.0, 0.5])
    alpha = torch.tensor(0.5)
    assert soft_value(value, log_prob, alpha).tolist() == [2.0, 1.75]
    assert soft_policy_loss(value, log_prob, alpha).item() == -1.875


@pytest.mark.parametrize(("log_prob", "sign"), [(-3.0, 1.0), (-1.0, -1.0)])
def test_temperature_falls_while_the_entropy_is_above_its_target(log_prob: float, sign: float) -> None:
    # Target entropy 2; the entropy is 3 or 1. With alpha = e^0.5 the gradient of log alpha is alpha (entropy - 2).
    log_alpha = torch.tensor(0.5, requires_grad=True)
    loss = temperature_loss(log_alpha.exp(), torch.full((4,), log_prob, requires_grad=True), 2.0)
    loss.backward()
    assert log_alpha.grad is not None
    assert log_alpha.grad.item() == pytest.approx(sign * math.exp(0.5))


def test_temperature_loss_has_no_gradient_to_the_policy() -> None:
    log_prob = torch.zeros(4, requires_grad=True)
    temperature_loss(torch.tensor(1.0, requires_grad=True), log_prob, 2.0).backward()
    assert log_prob.grad is None


def test_bfloat16_values_are_computed_in_float32() -> None:
    low = torch.tensor([[1.0078125, 3.0]], dtype=torch.bfloat16)
    assert clipped_double_q(low).dtype == torch.float32
    assert squared_errors(low, torch.tensor([1.0, 2.0])).loss.dtype == torch.float32
    assert bootstrap_target(low[0], torch.tensor([1.0, 1.0]), torch.tensor([0.5, 0.5])).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_target(torch.zeros(3), torch.zeros(3, 1), torch.zeros(3)),
            "reward must have the shape",
        ),
        (
            lambda: bootstrap_target(torch.zeros(3), torch.zeros(3), torch.zeros(2)),
            "discount must have the shape",
        ),
        (
            lambda: bootstrap_target(torch.zeros(3, 1), torch.zeros(3), torch.zeros(3)),
            r"values must have shape \[B\]",
        ),
        (lambda: clipped_double_q(torch.zeros(3)), r"values must have shape \[C, B\]"),
        (lambda: squared_errors(torch.zeros(3), torch.zeros(3)), r"values must have shape \[C, B\]"),
        (lambda: squared_errors(torch.zeros(2, 3), torch.zeros(3, 1)), "target must have the shape"),
        (
            lambda: soft_value(torch.zeros(3), torch.zeros(3, 1), torch.tensor(1.0)),
            "log_prob must have the shape",
        ),
    ],
)
def test_wrong_shapes_are_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
