"""Stable-Baselines3's agents on mujigae's replay buffer.

The tests marked `learns` train with SB3's buffer and with ours, with the hyperparameters of RL Baselines3 Zoo, and ask of
both the score at which Gymnasium calls CartPole solved, and for Pendulum that of a policy that swings up and holds. One
seed each, whole games, played without exploring: that both reach it is what "the same score" means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_agents import CARTPOLE, score, small, weights
from sb3_streams import Noise
from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv

from mujigae.integrations.stable_baselines3 import ReplayBuffer

OURS = {"replay_buffer_class": ReplayBuffer}
N_STEP = OURS | {"replay_buffer_kwargs": {"n_steps": 3, "gamma": 0.99}}


# --- SB3's agents ---


@pytest.mark.parametrize("options", [OURS, N_STEP], ids=["one step", "three steps"])
@pytest.mark.parametrize("algorithm", [SAC, TD3, DDPG])
def test_continuous_agents_train(algorithm: Any, options: dict[str, Any]) -> None:
    agent = algorithm("MlpPolicy", "Pendulum-v1", **small(), **options)
    before = weights(agent)
    agent.learn(60)
    assert not any(torch.equal(old, new) for old, new in zip(before[:2], weights(agent)[:2], strict=True))


def test_dqn_trains_on_dicts_and_several_environments() -> None:
    space = spaces.Dict({"x": spaces.Box(-1, 1, (3,), np.float32), "place": spaces.Discrete(4)})
    env = DummyVecEnv([lambda i=i: Noise(space, seed=i) for i in range(3)])
    agent = DQN("MultiInputPolicy", env, **small(), **N_STEP).learn(300)
    assert isinstance(agent.replay_buffer, ReplayBuffer)
    assert len(agent.replay_buffer.replay) == 200
    assert agent.replay_buffer.replay.num_silent_boundaries == 0


def test_a_model_learns_the_same_from_the_only_row_of_either_buffer() -> None:
    learned = []
    for options in ({}, OURS):
        agent = DQN(
            "MlpPolicy", "CartPole-v1", **small(learning_starts=10**6, train_freq=1), **options
        ).learn(1)
        agent.train(gradient_steps=3, batch_size=4)
        learned.append(weights(agent))
    theirs, ours = learned
    assert all(torch.equal(a, b) for a, b in zip(theirs, ours, strict=True))


# --- learning ---

PENDULUM = {"learning_rate": 1e-3}  # as in sac.yml of RL Baselines3 Zoo


@pytest.mark.learns
@pytest.mark.parametrize("options", [{}, OURS], ids=["theirs", "ours"])
def test_dqn_solves_cartpole_with_either_buffer(options: dict[str, Any]) -> None:
    agent = DQN("MlpPolicy", "CartPole-v1", seed=1, **CARTPOLE, **options).learn(50_000)
    assert score(agent, "CartPole-v1") >= 475.0


@pytest.mark.learns
@pytest.mark.parametrize("options", [{}, OURS], ids=["theirs", "ours"])
def test_sac_swings_the_pendulum_up_with_either_buffer(options: dict[str, Any]) -> None:
    agent = SAC("MlpPolicy", "Pendulum-v1", seed=1, **PENDULUM, **options).learn(6_000)
    assert score(agent, "Pendulum-v1") >= -200.0
