"""Stable-Baselines3's DQN: plain, without any of Rainbow's parts, at the hyperparameters of its zoo for Atari."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import ale_py  # noqa: F401, registers the games
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

NAME = "Stable-Baselines3 DQN (plain)"
PACKAGES = ("torch", "numpy", "gymnasium", "ale-py", "opencv-python-headless")


def version() -> str:
    return metadata.version("stable-baselines3")


def train(gate: Any, seed: int, learning_starts: int, capacity: int) -> None:
    """One environment; one update of 32 in four steps."""

    def after_step(_locals: Any, _globals: Any) -> bool:
        gate.passed(1)
        return True

    env = VecFrameStack(make_atari_env("PongNoFrameskip-v4", n_envs=1, seed=seed), n_stack=4)
    agent = DQN(
        "CnnPolicy",
        env,
        learning_rate=1e-4,
        buffer_size=capacity,
        learning_starts=learning_starts,
        batch_size=32,
        train_freq=4,
        gradient_steps=1,
        target_update_interval=1_000,
        exploration_fraction=0.1,
        exploration_final_eps=0.01,
        seed=seed,
        device="cpu",
    )
    agent.learn(10_000_000, callback=after_step)
