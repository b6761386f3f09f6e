"""Two tiny tasks with vector observations whose values are known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Env
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

__all__ = ["Chain", "Loop", "chain_optimal_values"]

_STEP_COST, _GOAL_REWARD = 0.1, 1.0
_CELL_PIXELS = 32


class Chain(Env[NDArray[np.float32], np.int64]):
    """A corridor of `num_states` cells: start in the first, the last is the goal.

    Observation: the cell, one-hot, float32 [num_states]. Actions: 0 one cell left (or stay in the first), 1
    one cell right. Every step costs 0.1; the step that enters the goal brings 1 instead and terminates.
    Always going right is optimal: a score of 1 - 0.1 (num_states - 2), which is 0.6 for six cells. Going left
    for ever scores -4 in the 40 steps that "mujigae/Chain-v0" allows.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 (Gymnasium declares it so)

    def __init__(self, num_states: int = 6, render_mode: str | None = None) -> None:
        if num_states < 2:
            raise ValueError(f"num_states: expected at least 2 cells, got {num_states}")
        self.num_states = num_states
        self.render_mode = render_mode
        self.observation_space = Box(0.0, 1.0, (num_states,), np.float32)
        self.action_space = Discrete(2)
        self._cell = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Back to the first cell."""
        super().reset(seed=seed)
        self._cell = 0
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Moves one cell."""
        self._cell = min(max(self._cell + (1 if action == 1 else -1), 0), self.num_states - 1)
        reached = self._cell == self.num_states - 1
        return self._observe(), _GOAL_REWARD if reached else -_STEP_COST, reached, False, {}

    def render(self) -> NDArray[np.uint8]:
        """The corridor as RGB, uint8 [32, 32 num_states, 3]: the walker white, the goal green."""
        cells = np.full((1, self.num_states, 3), 40, dtype=np.uint8)
        cells[0, -1] = (60, 160, 90)
        cells[0, self._cell] = 255
        return cells.repeat(_CELL_PIXELS, axis=0).repeat(_CELL_PIXELS, axis=1)

    def _observe(self) -> NDArray[np.float32]:
        obs = np.zeros(self.num_states, dtype=np.float32)
        obs[self._cell] = 1.0
        return obs


def chain_optimal_values(num_states: int, gamma: float) -> NDArray[np.float64]:
    """Q* of Chain without a time limit, [num_states - 1, 2]: one row for each cell that is not the goal.

    From the cell d steps before the goal, going right costs 0.1 d - 1 times and then brings 1, so
    Q*(right) = gamma^(d-1) - 0.1 (1 - gamma^(d-1)) / (1 - gamma); left costs 0.1 and moves one cell back.
    """
    steps_before = num_states - 2 - np.arange(num_states - 1)
    costs = steps_before if gamma == 1.0 else (1.0 - gamma**steps_before) / (1.0 - gamma)
    right = _GOAL_REWARD * gamma**steps_before - _STEP_COST * costs
    left = -_STEP_COST + gamma * right[np.maximum(np.arange(num_states - 1) - 1, 0)]
    return np.stack([left, right], axis=1)


class Loop(Env[NDArray[np.float32], np.int64]):
    """One state, reward 1 for either action, never terminal.

    "mujigae/Loop-v0" truncates after 5 steps, so the right value is 1 / (1 - gamma), while a learner that
    takes a truncation for a terminal comes to at most 1 + gamma + ... + gamma^4.
    """

    def __init__(self) -> None:
        self.observation_space = Box(0.0, 1.0, (1,), np.float32)
        self.action_space = Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The one observation there is."""
        super().reset(seed=seed)
        return np.ones(1, dtype=np.float32), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """A reward of 1, and nothing else."""
        return np.ones(1, dtype=np.float32), 1.0, False, False, {}
