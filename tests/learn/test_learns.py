"""Agents that are right learn: tiny environments with a known optimum in seconds, CartPole in minutes (-m learns)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from envs_by_hand import Registry
from gymnasium import spaces

from mujigae.agents.presets import resolve
from mujigae.envs.make import make
from mujigae.runs.session import evaluate_run, train_run
from mujigae.training.evaluate import evaluate
from mujigae.training.loop import build, run

SHORT = {
    "hidden_sizes": (32,),
    "head_size": 32,
    "learning_rate": 1e-3,
    "target_update_period_updates": 50,
    "tau": 1.0,
    "learn_period_steps": 4,
    "num_updates": 1,
    "batch_size": 32,
    "min_replay_steps": 200,
    "epsilon_steps": 1_500,
    "steps": 3_000,
    "num_threads": 1,
}


def mean_return(preset: str, env_id: str, num_episodes: int, **changes: Any) -> float:
    """Trains to the budget and plays whole games in an environment of its own."""
    config = resolve(preset, env_id, changes)
    training = build(config)
    with closing(training.environment):
        for _ in run(training):
            pass
    with closing(make(replace(config.env, num_envs=5), training=False)) as environment:
        scores = evaluate(training.agent, environment, num_episodes=num_episodes, seed=1)
    return float(scores.mean())


@pytest.mark.parametrize("preset", ["dqn", "double", "dueling", "prioritized", "n_step"])
def test_the_best_way_along_the_chain_is_found(preset: str) -> None:
    assert mean_return(preset, "mujigae/Chain-v0", 5, **SHORT) == pytest.approx(0.6)


def test_the_ball_is_caught_from_pixels() -> None:
    changes = SHORT | {"torso": "tiny_pixels", "head_size": 64, "steps": 6_000}
    assert mean_return("n_step", "mujigae/Catch-v0", 50, **changes) >= 0.9


class Aim(gymnasium.Env[Any, Any]):
    """One step: what an action is short of 1.0 or past it costs its square."""

    observation_space: gymnasium.Space[Any] = spaces.Box(-1, 1, (1,), np.float32)
    action_space: gymnasium.Space[Any] = spaces.Box(-2.0, 4.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(1, np.float32), -float((action[0] - 1.0) ** 2), True, False, {}


@pytest.mark.parametrize("preset", ["ddpg", "td3", "sac", "naf", "cem"])
def test_the_best_of_all_actions_is_aimed_at(preset: str, register: Registry) -> None:
    changes = {
        **{"hidden_sizes": (32,), "learning_rate": 3e-3, "batch_size": 32, "min_replay_steps": 100},
        **{"steps": 400, "best_episodes": 0, "num_threads": 1},
    }
    assert mean_return(preset, register(Aim), 5, **changes) > -0.1


@pytest.mark.learns
@pytest.mark.parametrize("preset", ["td3", "sac", "naf"])
def test_pendulum_is_swung_up_within_its_budget(preset: str, tmp_path: Path) -> None:
    folder = train_run(resolve(preset, "Pendulum-v1"), root=tmp_path, say=lambda _: None).folder
    assert evaluate_run(folder, 100, network="best").mean() >= -180.0


@pytest.mark.learns
@pytest.mark.parametrize("preset", ["dqn", "rainbow"])
def test_cartpole_is_balanced_within_its_budget(preset: str, tmp_path: Path) -> None:
    folder = train_run(resolve(preset, "CartPole-v1"), root=tmp_path, say=lambda _: None).folder
    assert evaluate_run(folder, 100, network="best").mean() >= 475.0
