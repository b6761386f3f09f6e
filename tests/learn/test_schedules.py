"""Schedules: values at the start, in the middle, at the end and after it, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.learning_rate import learning_rate_at, updates_of_budget
from mujigae.agents.presets import resolve
from mujigae.config.run import Run
from mujigae.exploration.schedules import asymptotic, exponential, linear
from mujigae.training.loop import build, run
from mujigae.training.schedules import beta_at


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (25, 0.76), (50, 0.52), (100, 0.04), (1_000, 0.04)])
def test_linear_schedule_is_a_straight_line_and_then_stays(step: int, value: float) -> None:
    assert linear(1.0, 0.04, 100, step) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (50, 0.1), (75, 10**-1.5), (100, 0.01), (101, 0.01)])
def test_exponential_schedule_falls_by_a_constant_factor_and_then_stays(step: int, value: float) -> None:
    assert exponential(1.0, 0.01, 100, step) == pytest.approx(value)


@pytest.mark.parametrize(
    ("step", "value"), [(0, 1.0), (100, 0.1 + 0.9 / math.e), (200, 0.1 + 0.9 / math.e**2), (10_000, 0.1)]
)
def test_asymptotic_schedule_leaves_the_same_share_of_the_way_in_equal_times(step: int, value: float) -> None:
    assert asymptotic(1.0, 0.1, 100, step) == pytest.approx(value)


@pytest.mark.parametrize("schedule", [linear, exponential, asymptotic])
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
def test_epsilon_follows_the_configured_schedule_from_the_first_update_on(kind: str) -> None:
    schedule = {"epsilon_schedule": kind, "epsilon_start": 0.8, "epsilon_end": 0.05, "epsilon_steps": 1_000}
    middle = 0.425 if kind == "linear" else 0.2
    steps = (0, 1_999, 2_000, 2_500, 3_000, 99_999)
    values = [epsilon(step, **schedule, min_replay_steps=2_000) for step in steps]
    assert values == pytest.approx([1.0, 1.0, 0.8, middle, 0.05, 0.05])


def test_epsilon_holds_before_it_falls() -> None:
    schedule = {"epsilon_start": 0.8, "epsilon_end": 0.4, "epsilon_steps": 100, "epsilon_hold_steps": 50}
    values = [epsilon(step, **schedule, min_replay_steps=1_000) for step in (1_000, 1_050, 1_100, 1_150)]
    assert values == pytest.approx([0.8, 0.8, 0.6, 0.4])


def test_epsilon_is_over_after_its_last_steps() -> None:
    options: dict[str, Any] = {"noisy": True, "noisy_epsilon": True, "epsilon_last_steps": 5_000}
    assert [epsilon(step, **options) for step in (4_999, 5_000)] == pytest.approx([0.05 + 0.95 * 0.6001, 0.0])


def test_epsilon_may_fall_as_the_sum_of_its_end_and_an_exponential() -> None:
    schedule = {"epsilon_schedule": "asymptotic", "epsilon_end": 0.1, "epsilon_steps": 500}
    values = [epsilon(step, **schedule) for step in (1_000, 1_500, 100_000)]
    assert values == pytest.approx([1.0, 0.1 + 0.9 / math.e, 0.1])


def test_first_update_waits_for_the_end_of_a_learn_period() -> None:
    options = {"min_replay_steps": 1_000, "learn_period_steps": 128}
    assert Run.from_flat(options).replay.first_update_steps == 1_024
    assert (epsilon(1_023, **options), epsilon(1_024, **options, noisy=True)) == (1.0, 0.0)


def test_noisy_networks_explore_without_epsilon_once_they_learn() -> None:
    assert [epsilon(step, noisy=True) for step in (0, 999, 1_000)] == [1.0, 1.0, 0.0]


def test_noisy_networks_may_explore_by_epsilon_too() -> None:
    options: dict[str, Any] = {"noisy": True, "noisy_epsilon": True, "epsilon_start": 0.5}
    assert epsilon(1_000, **options) == 0.5


def test_actions_are_random_until_the_first_update() -> None:
    agent = DQN(
        Run.from_flat({"hidden_sizes": (2,), "head_size": 0, "noisy": True}, DQNConfig),
        spaces.Box(-1.0, 1.0, (3,), np.float32),
        spaces.Discrete(4),
    )
    obs = np.zeros((4_000, 3), np.float32)
    shares = np.bincount(agent.act(obs, 999), minlength=4) / 4_000
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    assert len(set(agent.act(obs, 1_000))) == 1


def test_beta_rises_from_the_first_update_to_the_end_of_the_budget_when_nothing_else_is_said() -> None:
    config = Run.from_flat({"steps": 3_000, "beta_start": 0.4, "beta_end": 1.0, "min_replay_steps": 1_000})
    values = [beta_at(config, step, 0.0) for step in (0, 1_000, 2_000, 3_000, 4_000)]
    assert values == pytest.approx([0.4, 0.4, 0.7, 1.0, 1.0])
    resolved = resolve("prioritized", "CartPole-v1", {"steps": 3_000, "min_replay_steps": 1_000})
    assert beta_at(resolved, resolved.replay.first_update_steps, 0.0) == resolved.replay.beta_start
    assert beta_at(resolved, 2_999, 0.0) < beta_at(resolved, 3_000, 0.0) == 1.0


def test_beta_has_steps_of_its_own() -> None:
    options = {"steps": 1_000, "beta_steps": 100, "beta_start": 0.0, "min_replay_steps": 40}
    config = Run.from_flat(options)
    assert math.isclose(beta_at(config, 65, 0.0), 0.25)
    assert beta_at(config, 140, 0.0) == 1.0


def test_beta_is_at_its_end_where_the_minutes_of_a_run_are() -> None:
    options = {"steps": 1_000_000, "minutes": 2.0, "min_replay_steps": 1_000, "batch_size": 32}
    config = resolve("prioritized", "CartPole-v1", options)
    first = config.replay.first_update_steps
    values = [
        beta_at(config, step, seconds) for step, seconds in ((first, 30.0), (first + 4, 60.0), (5_000, 120.0))
    ]
    assert values == pytest.approx([0.4, 0.7, 1.0])
    assert beta_at(config, 1_000_000, 1.0) == 1.0  # by the steps, where those end it first
    own = resolve("prioritized", "CartPole-v1", {**options, "beta_steps": 100_000})
    assert beta_at(own, first + 50_000, 119.0) == pytest.approx(0.7)


def test_learning_rate_reaches_its_end_with_the_budget_and_stays_there_when_that_is_raised() -> None:
    options = {"steps": 3_000, "min_replay_steps": 1_000, "learning_rate": 1e-3, "learning_rate_end": 1e-4}
    config = resolve("dqn", "CartPole-v1", options)
    num_updates = updates_of_budget(config)
    values = [learning_rate_at(config, n) for n in (0, num_updates // 2, num_updates)]
    assert values == pytest.approx([1e-3, 5.5e-4, 1e-4], rel=1e-3)
    assert learning_rate_at(config.changed(steps=9_000), num_updates) == pytest.approx(1e-4)


def test_pong_is_at_the_end_of_beta_where_its_score_stops_it() -> None:
    config = resolve("pong")
    assert config.budget.stop_score is not None
    assert beta_at(config, config.budget.steps // 2, 0.0) == 1.0


@pytest.mark.parametrize(
    ("num_envs", "first", "period"), [(3, 5, 4), (16, 14, 12), (4, 5, 1), (4, 10, 8), (5, 20, 3)]
)
def test_schedules_begin_with_the_first_update_whatever_the_number_of_environments(
    num_envs: int, first: int, period: int
) -> None:
    options = {
        **{"num_envs": num_envs, "min_replay_steps": first, "learn_period_steps": period, "steps": 120},
        **{"epsilon_start": 0.5, "hidden_sizes": (2,), "head_size": 0, "num_threads": 1, "prioritized": True},
        "num_updates": 1,
    }
    training = build(resolve("dqn", "CartPole-v1", options))
    has_learned, last_random_step = False, 0
    for progress in run(training):
        epsilon = training.agent.scalars()["epsilon"]
        assert (epsilon == 1.0) == (not has_learned)
        assert (progress.beta > 0.4) <= has_learned
        has_learned = has_learned or len(progress.updates) > 0
        last_random_step = last_random_step if has_learned else progress.step
    assert has_learned
    assert first <= last_random_step + num_envs < first + period + num_envs
