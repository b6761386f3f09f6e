"""Which spaces an agent of the DQN family can handle, said before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mujigae.envs.masks import MASK, OBS
from mujigae.errors import ConfigError

__all__ = ["Spaces", "check_spaces"]

_CAN_HANDLE = "DQN handles Discrete actions and Box observations (vectors or images)"


class Spaces(NamedTuple):
    """What the network needs to know of an environment."""

    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype[Any]
    pixel_bounds: tuple[float, float]  # of images; other uint8 is taken as it is: (0, 1)
    num_actions: int
    first_action: int  # Gymnasium's Discrete may start anywhere; the network's outputs start at 0


def check_spaces(observation_space: Any, action_space: Any) -> Spaces:
    """Reads Gymnasium spaces by their attributes; raises ConfigError for one that DQN cannot handle.

    Observations may have a mask of the actions beside them: a Dict {"obs", "action_mask"}.
    """
    num_actions = getattr(action_space, "n", None)
    if num_actions is None or getattr(action_space, "shape", None) != ():
        raise ConfigError(f"action_space: {_CAN_HANDLE}, got {action_space}")
    parts = getattr(observation_space, "spaces", None)
    if isinstance(parts, Mapping) and set(parts) == {OBS, MASK}:
        observation_space = parts[OBS]
    shape, dtype = getattr(observation_space, "shape", None), getattr(observation_space, "dtype", None)
    is_box = hasattr(observation_space, "low") and dtype is not None
    if shape is None or not is_box or len(shape) not in (1, 2, 3) or 0 in shape:
        raise ConfigError(f"observation_space: {_CAN_HANDLE}, got {observation_space}")
    bounds = _pixel_bounds(observation_space)
    start = int(getattr(action_space, "start", 0))
    return Spaces(tuple(shape), np.dtype(dtype), bounds, int(num_actions), start)


def _pixel_bounds(space: Any) -> tuple[float, float]:
    """The bounds of images of uint8; (0, 1), which change nothing, for vectors and other types."""
    if space.dtype != np.uint8 or len(space.shape) == 1:
        return 0.0, 1.0
    low, high = float(np.min(space.low)), float(np.max(space.high))
    return (low, high) if low < high else (0.0, 1.0)
