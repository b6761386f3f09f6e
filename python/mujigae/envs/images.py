"""Images among observation spaces: which axis has the channels, and the same images as [C, H, W].

uint8 or bool [H, W]                       an image of one channel
[C, H, W], [H, W, C] of any numbers        an image, where the shape or `channels` says which it is
a stack [K, H, W], [K, H, W, C] ...        an image of K * C channels
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mujigae.errors import ConfigError

__all__ = ["SMALLEST_SIDE", "Channels", "channels_first", "channels_of", "image_sides"]

Channels = Literal["auto", "first", "last"]

SMALLEST_SIDE = 3  # what the smallest torso can work on
_PIXELS = (np.uint8, np.bool_)


def image_sides(
    space: gymnasium.Space[Any], channels: Channels = "auto", stack: int | None = None
) -> tuple[int, int] | None:
    """Height and width of the images in `space`, or in its stacks of `stack`; None where there are none.

    Raises ConfigError for pixels whose channels could be the first axis as well as the last.
    """
    if not isinstance(space, spaces.Box) or not 2 <= len(space.shape) <= (3 if stack is None else 4):
        return None
    shape = space.shape if stack is None else space.shape[1:]
    if len(shape) < 2 or (len(shape) == 2 and space.dtype not in _PIXELS):
        return None
    if len(shape) == 3:
        where = channels_of(shape, channels, is_pixels=space.dtype in _PIXELS)
        shape = {"last": shape[:2], "first": shape[1:], None: (0, 0)}[where]
    return (shape[0], shape[1]) if min(shape) >= SMALLEST_SIDE else None


def channels_first(
    space: spaces.Box, channels: Channels = "auto", stack: int | None = None
) -> tuple[spaces.Box, Callable[[NDArray[Any]], NDArray[Any]]]:
    """The space of the images (or stacks of images) of `space` as [C, H, W], or [H, W], and what turns one into it.

    Floats of finite bounds are brought to [0, 1] by them; the network does that for uint8, which takes less memory.
    """
    shape = space.shape if stack is None else space.shape[1:]
    is_last = len(shape) == 3 and channels_of(shape, channels, is_pixels=True) == "last"

    low, high = space.low.min(), space.high.max()
    is_scaled = (
        space.dtype.kind == "f" and np.isfinite([low, high]).all() and (low, high) != (0, 1) and low < high
    )

    def turned(obs: NDArray[Any]) -> NDArray[Any]:
        image = np.moveaxis(obs, -1, -3) if is_last else obs
        image = (image - low) / (high - low) if is_scaled else image
        return np.ascontiguousarray(image.reshape(-1, *image.shape[-2:]) if image.ndim > 2 else image)

    return spaces.Box(turned(space.low), turned(space.high), dtype=space.dtype.type), turned


def channels_of(shape: tuple[int, ...], channels: Channels, *, is_pixels: bool) -> str | None:
    """ "first" or "last" of an image's three axes; None where neither can be, or numbers that are no pixels do not say.

    Two equal sides are height and width; otherwise the smaller one of the outer axes has the channels.
    """
    if channels != "auto":
        return channels
    first, middle, last = shape
    if (first == middle) != (middle == last):
        return "last" if first == middle else "first"
    if first != last:
        return "last" if last < first else "first"
    if not is_pixels or middle < SMALLEST_SIDE or first < SMALLEST_SIDE:
        return None
    raise ConfigError(
        f"channels: expected first or last for images of shape {shape}, which could be [C, H, W] or [H, W, C], got 'auto'"
    )
