"""Actions as networks know them, in [-1, 1], and as an environment does, in the bounds of its Box."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mujigae.errors import ConfigError

__all__ = ["ActionBounds", "observation_size"]


class ActionBounds:
    """A Box of A numbers; raises ConfigError unless it is of floats with finite bounds, the lower one below the upper.

    agent: the name that stands in the error. device: where `to_networks` works.
    """

    def __init__(self, agent: str, space: Any, device: Any = "cpu") -> None:
        if not _has_finite_bounds(space):
            expected = "Box actions of floats, each between two finite bounds"
            raise ConfigError(f"action_space: {agent} handles {expected}, got {space}")
        low, high = space.low, space.high
        self._shape, self._dtype = space.shape, space.dtype
        self._low, self._high = low.astype(np.float64).ravel(), high.astype(np.float64).ravel()
        # Halved before they are added: the sum of two large bounds may be infinite.
        self._centre, self._half = self._high / 2 + self._low / 2, self._high / 2 - self._low / 2
        # The digits of float64 actions may be lost in float32, before the centre is taken away.
        self._precision = torch.float64 if space.dtype.itemsize > 4 else torch.float32
        self._device_centre = torch.from_numpy(self._centre).to(device, self._precision)
        self._device_half = torch.from_numpy(self._half).to(device, self._precision)
        self.num_numbers = math.prod(space.shape)  # A

    def to_environment(self, action: NDArray[Any]) -> NDArray[Any]:
        """Actions [E, A] in [-1, 1] -> [E, *shape] of the Box, of its dtype and within its bounds."""
        scaled = np.clip(self._centre + action.astype(np.float64) * self._half, self._low, self._high)
        rows: NDArray[Any] = scaled.reshape(-1, *self._shape).astype(self._dtype)
        return rows

    def to_networks(self, action: Tensor) -> Tensor:
        """Actions [B, *shape] of the Box -> float32 [B, A] in [-1, 1]."""
        numbers = action.reshape(len(action), -1).to(self._precision)
        return ((numbers - self._device_centre) / self._device_half).float()


def observation_size(agent: str, space: Any) -> int:
    """How many numbers an observation has; raises ConfigError for images and for what is no Box."""
    is_box = hasattr(space, "low") and math.prod(space.shape) > 0
    if not is_box or (space.dtype == np.uint8 and len(space.shape) > 1):
        expected = "Box observations of numbers, no images"
        raise ConfigError(f"observation_space: {agent} handles {expected}, got {space}")
    return math.prod(space.shape)


def _has_finite_bounds(space: Any) -> bool:
    if not hasattr(space, "low") or space.dtype.kind != "f" or math.prod(space.shape) == 0:
        return False
    is_finite = np.isfinite(space.low).all() and np.isfinite(space.high).all()
    return bool(is_finite and (space.low < space.high).all())
