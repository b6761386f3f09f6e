"""Snapshots of replay buffers: the way from a file, or from bytes, back to a buffer."""

from __future__ import annotations

import os
from typing import Any

from mujigae import _core
from mujigae.errors import SnapshotError
from mujigae.replay.arguments import as_path
from mujigae.replay.buffer import ReplayBuffer
from mujigae.replay.prioritized import PrioritizedReplayBuffer
from mujigae.replay.samplers import Proportional
from mujigae.replay.spec import BufferSpec

__all__ = ["from_bytes", "load"]

_MIN_ENV_BYTES = 8 * 9  # integers that a snapshot has for each environment with one observation


def load(path: str | os.PathLike[str], *, device: Any = None, frames_on_device: bool = False) -> ReplayBuffer:
    """Reads a buffer that `save` wrote, or reopens the file of one with `path`; it continues bit for bit.

    A file-backed buffer stays so, with the same path. After a kill it has every row that was flushed and not evicted since;
    what reached the disk in part is recognised and dropped.

    Args:
        path: the file.
        device, frames_on_device: where batches and frames go, as in the constructor; not saved.

    Returns a PrioritizedReplayBuffer where the sampler is `Proportional`, else a ReplayBuffer.
    Raises SnapshotError, saying what is wrong and where, for a file that is truncated, damaged, foreign or of another
    version; OSError when it cannot be read, or is file-backed and open elsewhere.
    """
    name = as_path(path)
    snapshot = _core.Snapshot(name)
    return _restored(
        os.fsdecode(name),
        snapshot,
        None,
        (device, frames_on_device),
        name if snapshot.is_file_backed else None,
    )


def from_bytes(
    cls: type[ReplayBuffer], data: bytes, device: str | None, frames_on_device: bool
) -> ReplayBuffer:
    """What pickle calls: a buffer of class `cls` from the snapshot `data`."""
    return _restored("pickled buffer", _core.snapshot_of(data), cls, (device, frames_on_device), None)


def _restored(
    name: str,
    snapshot: _core.Snapshot,
    cls: type[ReplayBuffer] | None,
    place: tuple[Any, bool],
    path: bytes | None,
) -> ReplayBuffer:
    try:
        buffer = _constructed(BufferSpec.from_json(snapshot.meta), snapshot.size, cls, path)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SnapshotError(f"{name}: the description of the buffer is not valid: {error}") from error
    if path is None:
        buffer._core.load(snapshot)
    buffer._place_batches(*place)
    return buffer


def _constructed(spec: BufferSpec, size: int, cls: type[Any] | None, path: bytes | None) -> ReplayBuffer:
    if spec.num_envs * _MIN_ENV_BYTES > size:
        raise ValueError(f"{spec.num_envs} environments, more than {size} bytes can describe")
    is_proportional = isinstance(spec.sampler, Proportional)
    if cls is None:
        cls = PrioritizedReplayBuffer if is_proportional else ReplayBuffer
    if not issubclass(cls, ReplayBuffer):
        raise TypeError(f"{cls.__name__} is no ReplayBuffer")
    if issubclass(cls, PrioritizedReplayBuffer) and not is_proportional:
        raise TypeError(f"{cls.__name__} has a Proportional sampler, not {spec.sampler!r}")
    buffer: ReplayBuffer = cls.__new__(cls)
    buffer._construct(spec, (None, False), seed=0, path=path, is_new=False)
    return buffer
