"""Gaussian exploration of continuous actions (Fujimoto et al. 2018, section 6.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianNoise"]


class GaussianNoise:
    """Noise of standard deviation `scale`, drawn anew for every action; actions lie in [-1, 1]."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def act(self, mean: NDArray[Any], step: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """The actions to take instead of `mean` [E, A], within the bounds."""
        return np.clip(mean + self.scale * rng.standard_normal(mean.shape), -1.0, 1.0)

    def state(self) -> Any:
        """Nothing outlasts a step."""
        return None

    def restore(self, state: Any) -> None:
        """Takes `state()` back; ValueError for another kind's."""
        if state is not None:
            raise ValueError(f"exploration: expected no state of Gaussian noise, got {str(state)[:40]}")
