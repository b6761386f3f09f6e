"""Films of what a replay buffer holds: the frames of one episode, as the agent saw them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mujigae
from mujigae.envs.images import Channels, channels_of
from mujigae.errors import ConfigError
from mujigae.pictures import video
from mujigae.replay.batch import Episode
from mujigae.replay.spaces import ArraySpec

__all__ = ["film_episode"]


def film_episode(
    buffer: mujigae.ReplayBuffer,
    out: Path,
    *,
    number: int | None = None,
    name: str | None = None,
    channels: Channels = "auto",
    fps: float = 15.0,
) -> tuple[Path, Path]:
    """Writes the frames of one episode as a GIF and an MP4, and returns their paths.

    Args:
        out: path of both files; a suffix .gif or .mp4 may be there.
        number: place of the episode among `buffer.episodes()`, from the end where negative; None for the newest that has ended,
            or else the newest.
        name: the array of the observations that has the frames; None for the only one that can be images.
        channels: axis of the channels of images with three axes, in front of which a stack may be.

    An image is [H, W], [H, W, C] or [C, H, W], or a stack of those, of which the newest frame is shown. Of [C, H, W] with other than
    1 or 3 channels the last one is shown, as they are mostly a stack that the buffer was not told of; of [H, W, C] with other than 1,
    3 or 4 each pixel is as bright as in its brightest channel. Booleans are black and white, other numbers than uint8 shades from
    the episode's smallest to its largest. Raises ConfigError where there is no such episode, or nothing in it is an image.
    """
    spec = _image_spec(buffer, name)
    episode = _episode(buffer, number)
    leaves = buffer._spec.obs.flatten("obs", episode.obs)
    observations = leaves[buffer._spec.obs.specs.index(spec)]
    out = out.with_suffix("") if out.suffix in (".gif", ".mp4") else out
    return video.record(_frames(observations, spec, channels), out.parent, out.name, fps)


def _image_spec(buffer: mujigae.ReplayBuffer, name: str | None) -> ArraySpec:
    specs = {spec.name: spec for spec in buffer._spec.obs.specs}
    if name is not None and name not in specs:
        raise ConfigError(f"array: expected one of {', '.join(specs)}, got {name!r}")
    chosen = [spec for spec in specs.values() if name in (None, spec.name) and _are_images(spec)]
    if len(chosen) > 1:
        raise ConfigError(f"array: expected one of {', '.join(spec.name for spec in chosen)}, got none")
    if not chosen:
        shapes = ", ".join(
            f"{spec.dtype} {list(spec.shape)}" for spec in specs.values() if name in (None, spec.name)
        )
        raise ConfigError(f"video: expected observations that are images, [H, W] at least, got {shapes}")
    return chosen[0]


def _are_images(spec: ArraySpec) -> bool:
    """Whether the newest frame of an observation has two axes, or three."""
    return spec.dtype.kind != "c" and len(_frame_shape(spec)) in (2, 3)


def _frame_shape(spec: ArraySpec) -> tuple[int, ...]:
    """Of the newest frame: [H, W], [H, W, C] or [C, H, W]."""
    if spec.stack == 1:
        return spec.shape
    rest = spec.shape[0] // spec.stack, *spec.shape[1:]
    return rest[1:] if rest[0] == 1 else rest


def _episode(buffer: mujigae.ReplayBuffer, number: int | None) -> Episode:
    """One episode with its observations; only this one is read."""
    are_open = [episode.is_open for episode in buffer.episodes(with_obs=False)]
    if not are_open:
        raise ConfigError("video: expected at least one episode, got none")
    if number is None:
        number = are_open.count(False) - 1  # those that have ended come first; -1 is the newest of all
    if not -len(are_open) <= number < len(are_open):
        raise ConfigError(f"episode: expected {-len(are_open)} to {len(are_open) - 1}, got {number}")
    return buffer.episode(number)


def _frames(observations: NDArray[Any], spec: ArraySpec, channels: Channels) -> Iterator[NDArray[np.uint8]]:
    """uint8 [H, W] or [H, W, 3] each, from observations [T + 1, *obs_shape]."""
    shape = _frame_shape(spec)
    newest = (
        observations[:, spec.shape[0] - spec.shape[0] // spec.stack :] if spec.stack > 1 else observations
    )
    newest = newest.reshape(-1, *shape)
    is_first = len(shape) == 3 and channels_of(shape, channels, is_pixels=True) == "first"
    low, high = (0.0, 1.0) if spec.dtype == np.bool_ else _range(newest)
    for frame in newest:
        image = _chosen_channels(frame, is_first) if frame.ndim == 3 else frame
        yield image if spec.dtype == np.uint8 else _in_shades(image, low, high)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest number."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _in_shades(image: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Numbers from low to high as 0 to 255; what is none is black."""
    shades = (np.nan_to_num(image.astype(np.float64), nan=low) - low) * (255 / max(high - low, 1e-300))
    return np.asarray(shades.clip(0, 255), np.uint8)


def _chosen_channels(frame: NDArray[Any], is_first: bool) -> NDArray[Any]:
    """[H, W] or [H, W, 3] of [C, H, W] or [H, W, C]; see `film_episode`."""
    if is_first:
        return np.moveaxis(frame, 0, -1) if len(frame) == 3 else frame[-1]
    num_channels = frame.shape[-1]
    if num_channels in (3, 4):  # the fourth is how opaque a pixel is
        return frame[..., :3]
    brightest: NDArray[Any] = frame.max(axis=-1)
    return brightest
