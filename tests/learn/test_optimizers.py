"""Optimizers: steps worked by hand, the step size over a run, and what a checkpoint keeps of each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_agent import are_equal, make_agent, make_batch, parameters

from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.optimizers import OPTIMIZERS, CentredRMSProp, set_learning_rate
from mujigae.agents.learning_rate import learning_rate_at
from mujigae.config.run import Run
from mujigae.errors import ConfigError


def run_of(**options: Any) -> Run:
    return Run.from_flat(options, DQNConfig)


def steps_of(
    optimizer: torch.optim.Optimizer, parameter: torch.Tensor, gradients: list[float]
) -> list[float]:
    places = []
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
        places.append(float(parameter.detach()))
    return places


def test_rmsprop_divides_by_the_root_of_the_variance_and_epsilon_worked_by_hand() -> None:
    """Decay 1/2, epsilon 1/4, step size 1.

    g = 2: m = 1, n = 2: n - m^2 + eps = 1.25. g = 4: m = 2.5, n = 9: 9 - 6.25 + 0.25 = 3.
    """
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = CentredRMSProp([parameter], lr=1.0, decay=0.5, eps=0.25)
    first = -2 / math.sqrt(1.25)
    assert steps_of(optimizer, parameter, [2.0, 4.0]) == pytest.approx([first, first - 4 / math.sqrt(3)])


def test_rmsprop_on_mean_gradients_takes_the_steps_of_the_paper_on_summed_ones() -> None:
    mean, total = (torch.zeros(1, requires_grad=True) for _ in range(2))
    gradients = [0.3, -0.1, 0.02, 0.5]
    ours = steps_of(CentredRMSProp([mean], 1e-2, 0.95, 0.01 / 32**2), mean, gradients)
    theirs = steps_of(CentredRMSProp([total], 1e-2, 0.95, 0.01), total, [32 * g for g in gradients])
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_rmsprop_of_equal_gradients_stays_finite_where_rounding_makes_a_variance_negative() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    places = steps_of(CentredRMSProp([parameter], 1e-3, 0.5, 1e-12), parameter, [1e4 / 3] * 200)
    assert np.isfinite(places).all()


def test_parameter_without_gradient_stays() -> None:
    moved, still = (torch.zeros(2, requires_grad=True) for _ in range(2))
    moved.grad = torch.ones(2)
    CentredRMSProp([moved, still], lr=0.1).step()
    assert still.tolist() == [0.0, 0.0]
    assert (moved != 0).all()


@pytest.mark.parametrize("is_recorded", [False, True])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, CentredRMSProp])
def test_step_size_can_change_between_steps(optimizer: Any, is_recorded: bool) -> None:
    """A recorded one is a tensor that keeps its place."""
    rate = torch.tensor(1.0) if is_recorded else 1.0
    parameter = torch.zeros(1, requires_grad=True)
    made = optimizer([parameter], lr=rate)
    steps_of(made, parameter, [1.0])
    before = float(parameter.detach())
    set_learning_rate(made, 0.0)
    assert steps_of(made, parameter, [1.0]) == [before]
    assert (made.param_groups[0]["lr"] is rate) == is_recorded


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("linear", [0.8, 0.6, 0.4, 0.4]),
        ("exponential", [0.8, 0.8 / math.sqrt(2), 0.4, 0.4]),
        ("asymptotic", [0.8, 0.4 + 0.4 * math.exp(-0.5), 0.4 + 0.4 / math.e, 0.4 + 0.4 * math.exp(-2)]),
    ],
)
def test_learning_rate_follows_its_schedule_over_updates(schedule: str, rates: list[float]) -> None:
    run = run_of(
        learning_rate=0.8, learning_rate_end=0.4, learning_rate_updates=100, learning_rate_schedule=schedule
    )
    assert [learning_rate_at(run, updates) for updates in (0, 50, 100, 200)] == pytest.approx(rates)


def test_learning_rate_stays_where_no_end_is_said() -> None:
    assert [learning_rate_at(run_of(learning_rate=0.8), updates) for updates in (0, 10**9)] == [0.8, 0.8]


def test_learning_rate_ends_with_the_budget_where_no_updates_are_said() -> None:
    """1,000 steps, the first update after 200, two updates every 8 steps: 200 updates."""
    options = {"steps": 1_000, "min_replay_steps": 200, "learn_period_steps": 8, "num_updates": 2}
    run = run_of(learning_rate=1.0, learning_rate_end=0.5, **options)
    assert [learning_rate_at(run, updates) for updates in (100, 199, 200)] == pytest.approx(
        [0.75, 0.5025, 0.5]
    )


def test_agent_learns_by_its_schedule_and_says_the_rate_of_the_next_update() -> None:
    schedule = {"learning_rate": 1e-3, "learning_rate_end": 1e-9, "learning_rate_updates": 2}
    agent = make_agent(**schedule)
    assert agent.scalars()["learning_rate"] == 1e-3
    agent.learn(make_batch())
    assert agent.scalars()["learning_rate"] == pytest.approx(5e-4, rel=1e-3)
    agent.learn(make_batch())
    before = parameters(agent.online)
    agent.learn(make_batch())
    for left, right in zip(before, parameters(agent.online), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_restored_optimizer_goes_on_bit_for_bit(name: str) -> None:
    agent, other = make_agent(optimizer=name), make_agent(optimizer=name, seed=1)
    agent.learn(make_batch())
    other.restore(agent.tensors(), agent.state())
    assert any(key.startswith(f"{name}.") for key in agent.tensors())
    for _ in range(3):
        agent.learn(make_batch(seed=1)), other.learn(make_batch(seed=1))
    assert are_equal(parameters(agent.online), parameters(other.online))


def test_state_of_another_optimizer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tensor .*rmsprop|^tensor .*adam"):
        make_agent().restore(make_agent(optimizer="rmsprop").tensors(), make_agent().state())


def test_rmsprop_teaches_the_agent_its_rewards() -> None:
    agent = make_agent(optimizer="rmsprop", learning_rate=2e-3)
    batch = make_batch()._replace(discount=torch.zeros(5))
    errors = [float(agent.learn(batch).priorities.mean()) for _ in range(400)]
    assert errors[-1] < 0.1 * errors[0]


def test_decay_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^rmsprop_decay: expected less than 1, got 1.0$"):
        DQN(run_of(rmsprop_decay=1.0), spaces.Box(-1, 1, (3,)), spaces.Discrete(2))


def test_noise_begins_anew_where_the_saved_generator_is_of_another_device() -> None:
    """That of CUDA has a state of 16 bytes. The same step of the same run begins with the same noise."""
    agent = make_agent(noisy=True)
    agent.learn(make_batch())
    saved = {**agent.tensors(), "noise_rng": torch.zeros(16, dtype=torch.uint8)}
    first, second = (make_agent(noisy=True) for _ in range(2))
    for other in (first, second):
        other.restore(saved, agent.state())
    assert torch.equal(first.noise_rng.get_state(), second.noise_rng.get_state())
    assert not torch.equal(first.noise_rng.get_state(), make_agent(noisy=True).noise_rng.get_state())
    assert are_equal(parameters(first.online), parameters(agent.online))
