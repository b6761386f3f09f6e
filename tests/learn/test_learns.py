"""Agents that are right learn: tiny environments with a known optimum in seconds, CartPole in minutes (-m learns)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.learns
@pytest.mark.parametrize("preset", ["dqn", "rainbow"])
def test_cartpole_is_balanced_within_its_budget(preset: str, tmp_path: Path) -> None:
    folder = train_run(resolve(preset, "CartPole-v1"), root=tmp_path, say=lambda _: None).folder
    assert evaluate_run(folder, 100, network="best").mean() >= 475.0
