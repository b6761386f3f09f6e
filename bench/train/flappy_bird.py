"""How games of Flappy Bird are counted."""

from __future__ import annotations

from typing import Any

import gymnasium

__all__ = ["PipesAlone"]


class PipesAlone(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A reward of one for each pipe; the environment's own has a tenth for each step as well."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._num_pipes = 0

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        self._num_pipes = 0
        return self.env.reset(**options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        obs, _, terminated, truncated, info = self.env.step(action)
        passed, self._num_pipes = info["score"] - self._num_pipes, info["score"]
        return obs, float(passed), terminated, truncated, info
