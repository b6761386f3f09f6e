"""Small environments for the tests of the environment's edge: each test changes the part that it is about."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import registry

from mujigae.config.run import EnvConfig


def one(env_id: str, num_envs: int = 1, **fields: Any) -> EnvConfig:
    """A single environment, unless told otherwise."""
    return EnvConfig(env_id, num_envs, **fields)


class Five(gymnasium.Env[Any, Any]):
    """Episodes of five steps with a reward of 1 each; observes how many tenths of ten steps have passed."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space: gymnasium.Space[Any] = spaces.Box(-1, 1, (3,), np.float32)
    action_space: gymnasium.Space[Any] = spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode, self.time = render_mode, 0

    def obs(self) -> Any:
        return np.full(3, self.time / 10, np.float32)

    def info(self) -> Any:
        return {}

    def reward(self) -> Any:
        return 1.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self.obs(), self.info()

    def step(self, action: Any) -> Any:
        self.time += 1
        return self.obs(), self.reward(), self.time >= 5, False, self.info()

    def render(self) -> Any:
        return np.zeros((32, 32, 3), np.uint8)


def observing(space: gymnasium.Space[Any], obs: Callable[[Five], Any] | None = None) -> type[Five]:
    """A class like Five that observes `space`: what `obs` makes of it, or random samples."""

    class Observing(Five):
        observation_space = space

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            self.observation_space.seed(seed)
            return super().reset(seed=seed, options=options)

        def obs(self) -> Any:
            return self.observation_space.sample() if obs is None else obs(self)

    return Observing


class Dying(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Its process ends in the tenth step, as one that the system kills."""

    num_steps = 0

    def step(self, action: Any) -> Any:
        self.num_steps += 1
        if self.num_steps == 10:
            os._exit(3)
        return self.env.step(action)


class Registry:
    """Registers environments under ids of their own, and takes them out again."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, entry_point: Any, **options: Any) -> str:
        env_id = f"mujigae-test/By-Hand-{len(_USED)}-v0"
        _USED.append(env_id)
        gymnasium.register(env_id, entry_point, **options)
        self.ids.append(env_id)
        return env_id

    def clear(self) -> None:
        for env_id in self.ids:
            del registry[env_id]


_USED: list[str] = []  # an id means one environment for ever: its space is looked at once
