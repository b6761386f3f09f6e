"""The arrays of an observation, turned so that the engine can keep each frame of a stack once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import (
    get_obs_shape,
    is_image_space,
    is_image_space_channels_first,
)

__all__ = ["PLAIN", "Part", "parts_of"]

PLAIN = "obs"  #: the engine's name for an observation that is not a dict


class Part(NamedTuple):
    """One array of an observation, and its stack: k frames of `num_channels` along axis 0, or along the last one."""

    shape: tuple[int, ...]
    dtype: Any
    stack: int
    is_last: bool

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return (self.shape[-1], *self.shape[:-1]) if self.is_last else self.shape

    def stored(self, array: Any, num_envs: int) -> Any:
        """[E, *stored_shape]; a view if the stack has to be turned, which the engine then copies once."""
        shaped = np.asarray(array, dtype=self.dtype).reshape(num_envs, *self.shape)
        return np.moveaxis(shaped, -1, 1) if self.is_last else shaped

    def restored(self, array: Any) -> Any:
        """[B, *shape] out of [B, *stored_shape]."""
        return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if self.is_last else array

    def mended(self, stored: Any, next_stored: Any, is_final: Any) -> Any:
        """Final stacks with their older frames out of `stored`: VecNormalize returns them rounded and clipped."""
        if self.stack == 1:
            return next_stored
        num_channels = self.stored_shape[0] // self.stack
        mended = next_stored.copy()
        mended[is_final, :-num_channels] = stored[is_final, num_channels:]
        return mended


def parts_of(space: Any, frame_stack: Any, channels_order: Any, float32: bool) -> dict[str, Part]:
    """The arrays of an observation by name; ValueError or TypeError for options that do not fit the space."""
    if not isinstance(space, spaces.Dict):
        return {PLAIN: _part(space, frame_stack, channels_order, float32)}
    stacks = _by_name("frame_stack", frame_stack, space)
    orders = _by_name("channels_order", channels_order, space)
    return {
        name: _part(child, stacks.get(name), orders.get(name), float32)
        for name, child in space.spaces.items()
    }


def _by_name(argument: str, value: Any, space: spaces.Dict) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not set(value) <= set(space.spaces):
        raise ValueError(f"{argument}: expected a dict with keys among {list(space.spaces)}, got {value!r}")
    return value


def _part(space: Any, frame_stack: int | None, channels_order: str | None, float32: bool) -> Part:
    if channels_order not in (None, "first", "last"):
        raise ValueError(f"channels_order: expected 'first', 'last' or None, got {channels_order!r}")
    shape: Any = get_obs_shape(space)
    stack = 1 if frame_stack is None else frame_stack
    is_first = channels_order == "first"
    if channels_order is None and is_image_space(space):
        is_first = is_image_space_channels_first(space)
    dtype = np.float32 if float32 and space.dtype == np.float64 else space.dtype
    return Part(tuple(shape), dtype, stack, is_last=stack != 1 and len(shape) > 1 and not is_first)
