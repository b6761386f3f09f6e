"""Schedules: values at the start, in the middle, at the end and after it, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.config.run import Run
from mujigae.exploration.schedules import exponential, linear
from mujigae.training.schedules import beta_at


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (25, 0.76), (50, 0.52), (100, 0.04), (1_000, 0.04)])
def test_linear_schedule_is_a_straight_line_and_then_stays(step: int, value: float) -> None:
    assert linear(1.0, 0.04, 100, step) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (50, 0.1), (75, 10**-1.5), (100, 0.01), (101, 0.01)])
def test_exponential_schedule_falls_by_a_constant_factor_and_then_stays(step: int, value: float) -> None:
    assert exponential(1.0, 0.01, 100, step) == pytest.approx(value)


@pytest.mark.parametrize("schedule", [linear, exponential])
def test_schedule_over_zero_steps_is_at_its_end_at_once(schedule: object) -> None:
    assert schedule(1.0, 0.25, 0, 0) == 0.25  # type: ignore[operator]


@pytest.mark.parametrize("schedule", [linear, exponential])
def test_schedule_ends_exactly_at_its_end(schedule: object) -> None:
    assert schedule(1.0, 0.1, 7, 7) == 0.1  # type: ignore[operator]


def test_exponential_schedule_halves_in_equal_times() -> None:
    values = [exponential(0.8, 0.1, 30, step) for step in (0, 10, 20, 30)]
    assert values == pytest.approx([0.8, 0.4, 0.2, 0.1])


def epsilon(step: int, **options: Any) -> float | None:
    """What the agent says of a step, after it has acted in it."""
    agent = DQN(
        Run.from_flat({"hidden_sizes": (2,), "head_size": 0, **options}, DQNConfig),
        spaces.Box(-1.0, 1.0, (3,), np.float32),
        spaces.Discrete(2),
    )
    agent.act(np.zeros((1, 3), np.float32), step)
    return agent.scalars()["epsilon"]


@pytest.mark.parametrize("kind", ["linear", "exponential"])
def test_epsilon_follows_the_configured_schedule(kind: str) -> None:
    schedule = {"epsilon_schedule": kind, "epsilon_start": 1.0, "epsilon_end": 0.01, "epsilon_steps": 1_000}
    middle = 0.505 if kind == "linear" else 0.1
    values = [epsilon(step, **schedule) for step in (0, 500, 1_000, 99_999)]
    assert values == pytest.approx([1.0, middle, 0.01, 0.01])


def test_noisy_networks_explore_without_epsilon() -> None:
    assert epsilon(0, noisy=True) == 0.0


def test_beta_reaches_its_end_with_the_budget_when_nothing_else_is_said() -> None:
    config = Run.from_flat({"steps": 1_000, "beta_start": 0.4, "beta_end": 1.0})
    assert [beta_at(config, step) for step in (0, 500, 1_000, 2_000)] == pytest.approx([0.4, 0.7, 1.0, 1.0])


def test_beta_has_steps_of_its_own() -> None:
    config = Run.from_flat({"steps": 1_000, "beta_steps": 100, "beta_start": 0.0, "beta_end": 1.0})
    assert math.isclose(beta_at(config, 25), 0.25)
    assert beta_at(config, 100) == 1.0
