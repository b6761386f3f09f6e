"""Exploration of continuous actions by noise that persists (Uhlenbeck and Ornstein 1930; Lillicrap et al. 2016, section 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OrnsteinUhlenbeckNoise"]


class OrnsteinUhlenbeckNoise:
    """x <- x - theta x + scale * N(0, 1), one x for each number of each environment's action, which begins at 0.

    Its standard deviation grows from 0 to scale / sqrt(1 - (1 - theta)^2). It goes on over the ends of episodes.
    """

    def __init__(self, scale: float, theta: float) -> None:
        self.scale, self.theta = scale, theta
        self._noise: NDArray[np.float64] | None = None  # [E, A]

    def act(self, mean: NDArray[Any], step: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """The actions to take instead of `mean` [E, A], within [-1, 1]."""
        last = np.zeros(mean.shape) if self._noise is None else self._noise
        self._noise = (1 - self.theta) * last + self.scale * rng.standard_normal(mean.shape)
        return np.clip(mean + self._noise, -1.0, 1.0)

    def state(self) -> Any:
        """The noise of the last step as JSON values."""
        return None if self._noise is None else self._noise.tolist()

    def restore(self, state: Any) -> None:
        """Takes `state()` back; ValueError for anything else."""
        noise = None if state is None else np.array(state, dtype=np.float64)
        if noise is not None and (noise.ndim != 2 or not np.isfinite(noise).all()):
            raise ValueError(f"exploration: expected noise [E, A], got {str(state)[:40]}")
        self._noise = noise
