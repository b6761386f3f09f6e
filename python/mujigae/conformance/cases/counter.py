"""A Gymnasium environment whose observations say which environment, episode and time they are."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

__all__ = ["vector_of_counters"]


class Counter(gymnasium.Env[Any, Any]):
    """Ends after 3 + e steps: terminated, truncated, terminated, ... by turns."""

    observation_space = gymnasium.spaces.Box(0, 255, (3,), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, env: int) -> None:
        self.env, self.episode, self.time = env, -1, 0

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        """The next episode."""
        self.episode, self.time = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One more."""
        self.time += 1
        ended = self.time == 3 + self.env
        is_terminal = self.episode % 2 == 0
        return self._obs(), 1.0, ended and is_terminal, ended and not is_terminal, {}

    def _obs(self) -> Any:
        return np.array([self.env, self.episode, self.time], np.uint8)


def vector_of_counters(mode: str) -> Any:
    """Two counters in this autoreset mode."""
    return SyncVectorEnv(
        [lambda e=e: Counter(e) for e in (0, 1)],  # type: ignore[misc]
        autoreset_mode=AutoresetMode[mode],
    )
