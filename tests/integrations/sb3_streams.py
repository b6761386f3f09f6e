"""Transitions as Stable-Baselines3 hands them to a buffer, made up or from its own agents, and batches as sets of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import VecEnv

OBS = spaces.Box(-np.inf, np.inf, (2,), np.float32)
ACTION = spaces.Discrete(5)
Row = tuple[bytes, ...]


def transitions(
    num_steps: int, num_envs: int, *, seed: int = 0, is_closed: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Arguments of `add`; each observation is unlike all others. `is_closed` ends every episode with the last step.

    Rewards are whole numbers, so that returns with gamma = 1/2 are exact, in whatever order they are added up.
    """
    random = np.random.default_rng(seed)
    obs = random.normal(size=(num_envs, 2)).astype(np.float32)
    for t in range(num_steps):
        next_obs, reset_obs = random.normal(size=(2, num_envs, 2)).astype(np.float32)
        done = (random.random(num_envs) < 0.2) | (is_closed and t == num_steps - 1)
        timeout = done & (random.random(num_envs) < 0.5)
        infos = [info(*row) for row in zip(done, timeout, next_obs, strict=True)]
        yield (
            obs,
            next_obs,
            random.integers(5, size=num_envs),
            random.integers(-9, 10, num_envs).astype(float),
            done,
            infos,
        )
        obs = np.where(done[:, None], reset_obs, next_obs)


def info(done: Any, timeout: Any, next_obs: Any) -> dict[str, Any]:
    """What an environment of SB3 says of its step."""
    ended = {"terminal_observation": next_obs} if done else {}
    return ended | {"TimeLimit.truncated": bool(timeout)}


def rows(samples: Any, gamma: float = 0.99) -> dict[Row, Row]:
    """The transitions of a batch: (observation) -> (action, reward, factor of the bootstrap, next observation)."""
    discounts = gamma if samples.discounts is None else samples.discounts
    factor = (1 - samples.dones) * discounts
    columns = [column.numpy() for column in (samples.actions, samples.rewards, factor)]
    return {
        start: (*(column[i].tobytes() for column in columns), *end)
        for i, (start, end) in enumerate(
            zip(each(samples.observations), each(samples.next_observations), strict=True)
        )
    }


def each(obs: Any) -> list[Row]:
    """The bytes of every observation of a batch."""
    leaves = obs.values() if isinstance(obs, dict) else (obs,)
    return list(
        zip(*([part.tobytes() for part in leaf.contiguous().numpy()] for leaf in leaves), strict=True)
    )


def all_rows(buffer: Any, env: Any = None, num_draws: int = 10_000) -> dict[Row, Row]:
    """Every transition of a small buffer: so many are drawn that each has been."""
    return rows(buffer.sample(num_draws, env))


def collect_into_both(env: VecEnv, make_buffer: Any, num_steps: int, **options: Any) -> tuple[Any, Any]:
    """SB3's own buffer and another one, given the same random play through SB3's DQN."""
    agent = DQN("MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy", env, seed=0,
                buffer_size=1000, learning_starts=10**6, **options)  # fmt: skip
    theirs = agent.replay_buffer
    assert theirs is not None
    ours = make_buffer(1000, agent.observation_space, agent.action_space, n_envs=env.num_envs)
    add = theirs.add

    def add_to_both(*arguments: Any) -> None:
        add(*arguments)
        ours.add(*arguments)

    theirs.add = add_to_both  # type: ignore[method-assign]
    agent.learn(num_steps)
    return theirs, ours


class Noise(gym.Env[Any, Any]):
    """Observations that never repeat, in episodes of random length that terminate."""

    def __init__(self, observation_space: spaces.Space[Any], seed: int = 0) -> None:
        self.observation_space, self.action_space = observation_space, spaces.Discrete(3)
        self.observation_space.seed(seed)
        self._random = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        ends = self._random.random(2) < 0.1
        return self.observation_space.sample(), self._random.normal(), bool(ends[0]), bool(ends[1]), {}
