"""Catch: the smallest task with pixels (after the one of the same name in bsuite, Osband et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Env
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

__all__ = ["Catch"]

_HEIGHT, _WIDTH = 10, 5
_CELL_PIXELS = 24


class Catch(Env[NDArray[np.uint8], np.int64]):
    """A ball falls from a random column of the top row, one row a step, to the paddle in the bottom row.

    Observation: uint8 [1, 10, 5], 255 where the ball or the paddle is, else 0. Actions: 0 left, 1 stay, 2
    right. An episode is 9 steps: reward 1 for a catch, -1 for a miss, in the last; 0 before. The paddle
    starts in the middle and can reach every column, so the optimal score is 1; one that never moves scores
    -0.6 on average.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium declares it so)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Box(0, 255, (1, _HEIGHT, _WIDTH), np.uint8)
        self.action_space = Discrete(3)
        self._ball_row = self._ball_column = 0
        self._paddle = _WIDTH // 2

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """A new ball in the top row, the paddle in the middle."""
        super().reset(seed=seed)
        self._ball_row = 0
        self._ball_column = int(self.np_random.integers(_WIDTH))
        self._paddle = _WIDTH // 2
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Moves the paddle, then the ball falls one row."""
        self._paddle = min(max(self._paddle + int(action) - 1, 0), _WIDTH - 1)
        self._ball_row += 1
        landed = self._ball_row == _HEIGHT - 1
        reward = 0.0 if not landed else 1.0 if self._ball_column == self._paddle else -1.0
        return self._observe(), reward, landed, False, {}

    def render(self) -> NDArray[np.uint8]:
        """The board as RGB, uint8 [240, 120, 3]."""
        board = self._observe()[0].repeat(_CELL_PIXELS, axis=0).repeat(_CELL_PIXELS, axis=1)
        return np.repeat(board[:, :, None], 3, axis=2)

    def _observe(self) -> NDArray[np.uint8]:
        obs = np.zeros((1, _HEIGHT, _WIDTH), dtype=np.uint8)
        obs[0, self._ball_row, self._ball_column] = 255
        obs[0, _HEIGHT - 1, self._paddle] = 255
        return obs
