"""Films of an agent at play: one GIF for a page, one MP4 for a player, from one pass over the frames.

The MP4 gets every frame as it comes. The GIF keeps at most 600, thinned on the way, so memory stays bounded
however long the game is.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mujigae.errors import ConfigError, MujigaeError, require
from mujigae.pictures.thinning import Thinned
from mujigae.runs.files import replaced

__all__ = ["record"]

Frame = NDArray[np.uint8]  # [H, W, 3], RGB

_MAX_GIF_FRAMES = 600
_MIN_GIF_FRAMES = 40  # thinning for the sake of size stops here: fewer would not be a film
_MAX_GIF_BYTES = 4_000_000
_MIN_SIDE = 160  # pixels; smaller frames (an agent's own 42x42) are enlarged by a whole factor
# A GIF counts time in hundredths of a second, and viewers slow down what is faster than two of them.
_MAX_GIF_FPS = 50.0
# A long game thinned to 600 frames would be a slide show in real time, so it plays faster than it happened.
_MIN_GIF_FPS = 12.0


def record(
    frames: Iterable[NDArray[Any]], folder: Path, stem: str, fps: float, *, gif_side: int = 320
) -> tuple[Path, Path]:
    """Writes `<stem>.gif` and `<stem>.mp4` into `folder` and returns their paths.

    frames: uint8 [H, W, 3] (RGB) each, or [H, W] (grey), all of one shape; taken one by one, so an iterator
        that renders a game while it is played is fine.
    fps: frames per second of the real game. The GIF loops, holds at most 600 frames and plays a long game
        faster than real time; the MP4 has every frame, at even sizes, as yuv420p.
    gif_side: frames of the GIF are shrunk to this many pixels on their longer side.

    Both files appear together when complete; on any error neither is touched.

    Raises ConfigError (a ValueError) for no frames, a wrong dtype, wrong or changing shapes, a bad `fps` or
    `stem`; MujigaeError when a file cannot be written.
    """
    _check_fps(fps)
    if stem in ("", "..") or Path(stem).name != stem:
        raise ConfigError(f"stem: expected a file name without folder and suffix, got {stem!r}")
    gif, mp4 = Path(folder) / f"{stem}.gif", Path(folder) / f"{stem}.mp4"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with replaced(gif) as gif_aside, replaced(mp4) as mp4_aside:
            thinned = _write_mp4(_checked(frames), mp4_aside, fps, gif_side)
            _write_gif(thinned, gif_aside, fps)
    except _FilmError as error:
        raise MujigaeError(f"{mp4}: {error}") from error
    except OSError as error:
        where = error.filename2 or error.filename or folder
        raise MujigaeError(f"{where}: cannot be written: {error.strerror or error}") from error
    return gif, mp4


class _FilmError(Exception):
    """The encoder failed, and this says how."""


def _check_fps(fps: object) -> None:
    if not (isinstance(fps, int | float) and math.isfinite(fps) and fps > 0):
        raise ConfigError(f"fps: expected a positive finite number, got {fps!r}")


def _checked(frames: Iterable[NDArray[Any]]) -> Iterator[Frame]:
    """The frames as contiguous RGB, enlarged if tiny; raises ConfigError at the first that does not fit."""
    first: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        shape, dtype = getattr(frame, "shape", None), getattr(frame, "dtype", None)
        if shape is None or dtype != np.uint8:
            raise ConfigError(
                f"frames[{index}]: expected a uint8 array, got {type(frame).__name__} of {dtype}"
            )
        if not ((len(shape) == 3 and shape[2] == 3) or len(shape) == 2) or 0 in shape:
            raise ConfigError(f"frames[{index}]: expected shape [H, W, 3] or [H, W], got {list(shape)}")
        if first is not None and shape != first:
            raise ConfigError(f"frames[{index}]: expected shape {list(first)} as before, got {list(shape)}")
        first = shape
        yield _enlarged(frame if len(shape) == 3 else np.repeat(frame[:, :, None], 3, axis=2))
    if first is None:
        raise ConfigError("frames: expected at least one frame, got none")


def _enlarged(frame: Frame) -> Frame:
    factor = -(-_MIN_SIDE // max(frame.shape[:2]))
    if factor > 1:
        frame = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.ascontiguousarray(frame)


def _write_mp4(frames: Iterator[Frame], path: Path, fps: float, gif_side: int) -> Thinned[Any]:
    """Streams all frames into the MP4; returns those that the GIF will show, as PIL images."""
    writer: Generator[None, Any, None] | None = None
    thinned: Thinned[Any] = Thinned(_MAX_GIF_FRAMES, stride=max(1, math.ceil(fps / _MAX_GIF_FPS)))
    try:
        for frame in frames:
            if writer is None:
                writer = _open_mp4(path, frame.shape[0], frame.shape[1], fps)
            writer.send(_even(frame))
            thinned.offer(partial(_small_image, frame, gif_side))
    except OSError as error:
        raise _FilmError(f"cannot be written: {error.strerror or str(error).splitlines()[0]}") from error
    finally:
        if writer is not None:
            writer.close()
    _check_mp4(path, thinned.num_offered)
    return thinned


def _open_mp4(path: Path, height: int, width: int, fps: float) -> Generator[None, Any, None]:
    imageio_ffmpeg = require("imageio_ffmpeg", "train")
    path.touch()  # says why it cannot, where the encoder would only end
    writer: Generator[None, Any, None] = imageio_ffmpeg.write_frames(
        str(path),
        (width + width % 2, height + height % 2),
        fps=float(fps),
        codec="libx264",
        quality=None,
        macro_block_size=1,
        ffmpeg_log_level="fatal",
        output_params=["-crf", "20", "-movflags", "+faststart"],
    )
    writer.send(None)  # runs up to the first frame
    return writer


def _check_mp4(path: Path, num_frames: int) -> None:
    """imageio-ffmpeg 0.8 does not look at the encoder's exit status (a full disk), so the file is asked."""
    imageio_ffmpeg = require("imageio_ffmpeg", "train")
    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    except (OSError, RuntimeError) as error:
        raise _FilmError("the encoder left no readable film (is the disk full?)") from error
    if written != num_frames:
        raise _FilmError(f"the encoder wrote {written} of {num_frames} frames (is the disk full?)")


def _even(frame: Frame) -> Frame:
    """yuv420p shares colour between 2x2 pixels: an odd last row or column is doubled."""
    height, width = frame.shape[:2]
    return (
        np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if (height | width) % 2
        else frame
    )


def _small_image(frame: Frame, side: int) -> Any:
    pillow = require("PIL.Image", "train")
    image = pillow.fromarray(frame)
    shrink = max(frame.shape[:2]) / side
    if shrink <= 1:
        return image.copy()  # fromarray may share the caller's memory, which the environment draws over
    return image.resize(
        (max(1, round(image.width / shrink)), max(1, round(image.height / shrink))), pillow.Resampling.BOX
    )


def _write_gif(thinned: Thinned[Any], path: Path, fps: float) -> None:
    """Writes the GIF, with every second frame dropped for as long as the file is too big."""
    palette = _shared_palette(thinned.items)
    pillow = require("PIL.Image", "train")
    thinned.items = [image.quantize(palette=palette, dither=pillow.Dither.NONE) for image in thinned.items]
    _save_gif(thinned, path, fps)
    while path.stat().st_size > _MAX_GIF_BYTES and len(thinned.items) >= 2 * _MIN_GIF_FRAMES:
        thinned.halve()
        _save_gif(thinned, path, fps)


def _save_gif(thinned: Thinned[Any], path: Path, fps: float) -> None:
    real_fps = fps / thinned.stride
    shown_fps = max(real_fps, _MIN_GIF_FPS) if thinned.stride > 1 else real_fps
    duration_ms = 10 * round(100 / shown_fps)  # whole hundredths of a second, all that the format can say
    first, *rest = thinned.items
    first.save(path, format="GIF", save_all=True, append_images=rest, loop=0, duration=duration_ms)


def _shared_palette(images: list[Any]) -> Any:
    """One palette for all, from up to 16 frames spread over the film: no flicker, and a small file."""
    chosen = [images[index] for index in np.unique(np.linspace(0, len(images) - 1, 16, dtype=int))]
    width, height = chosen[0].size
    pillow = require("PIL.Image", "train")
    mosaic = pillow.new("RGB", (width, height * len(chosen)))
    for row, image in enumerate(chosen):
        mosaic.paste(image, (0, row * height))
    # The octree keeps greys grey, where Pillow's default tints a white background.
    return mosaic.quantize(colors=256, method=pillow.Quantize.FASTOCTREE, dither=pillow.Dither.NONE)
