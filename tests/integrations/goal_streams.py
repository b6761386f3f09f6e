"""Observations of goal environments, made up: what a replay buffer is given, without the environments."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

Obs = dict[str, Any]


def goal_space(observation: spaces.Box, goal: spaces.Box) -> spaces.Dict:
    return spaces.Dict({"observation": observation, "achieved_goal": goal, "desired_goal": goal})


class Fetch:
    """Vectors as of Gymnasium-Robotics' Fetch environments with an object: 25, 3 and 3 numbers, float64."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self.space = goal_space(*(spaces.Box(-np.inf, np.inf, (size,), np.float64) for size in (25, 3)))

    def reset(self) -> Obs:
        sizes = {"observation": 25, "achieved_goal": 3, "desired_goal": 3}
        return {name: self._random.normal(size=(1, size)) for name, size in sizes.items()}

    def step(self, obs: Obs) -> Obs:
        return self.reset() | {"desired_goal": obs["desired_goal"]}


class Images:
    """A ball on a field: the picture is the achieved goal too, and the desired one is a picture."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        image = spaces.Box(0, 255, (1, 84, 84), np.uint8)
        self.space = goal_space(image, image)

    def reset(self) -> Obs:
        self._place = self._random.integers(78, size=2)
        return self._obs(self._picture(self._random.integers(78, size=2)))

    def step(self, obs: Obs) -> Obs:
        self._place = np.clip(self._place + self._random.integers(-2, 3, 2), 0, 78)
        return self._obs(obs["desired_goal"])

    def _obs(self, desired: Any) -> Obs:
        picture = self._picture(self._place)
        return {"observation": picture, "achieved_goal": picture, "desired_goal": desired}

    def _picture(self, place: Any) -> Any:
        field = np.full((1, 1, 84, 84), 87, np.uint8)
        field[..., 10:12, :] = 236
        field[..., place[0] : place[0] + 6, place[1] : place[1] + 6] = 200
        return field


class Stacks:
    """Stacks of four frames of noise, and goals of three numbers."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        stack = spaces.Box(0, 255, (4, 84, 84), np.uint8)
        self.space = goal_space(stack, spaces.Box(-np.inf, np.inf, (3,), np.float32))

    def reset(self) -> Obs:
        return {
            "observation": np.repeat(self._frame(), 4, axis=1),
            "achieved_goal": self._goal(),
            "desired_goal": self._goal(),
        }

    def step(self, obs: Obs) -> Obs:
        stack = np.concatenate([obs["observation"][:, 1:], self._frame()], axis=1)
        return obs | {"observation": stack, "achieved_goal": self._goal()}

    def _frame(self) -> Any:
        return self._random.integers(256, size=(1, 1, 84, 84), dtype=np.uint8)

    def _goal(self) -> Any:
        return self._random.normal(size=(1, 3)).astype(np.float32)
