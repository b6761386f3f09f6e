"""The way from a file back to a buffer."""

from __future__ import annotations

import os
from typing import Any

from mujigae import _core
from mujigae.replay.arguments import as_bool, as_path
from mujigae.replay.buffer import ReplayBuffer
from mujigae.replay.prioritized import PrioritizedReplayBuffer
from mujigae.replay.restoring import restored
from mujigae.replay.samplers import Proportional
from mujigae.replay.spec import BufferSpec

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    device: Any = None,
    frames_on_device: bool = False,
    copy_on_write: bool = False,
) -> ReplayBuffer:
    """Reads a buffer that `save` wrote, or reopens the file of one with `path`; it continues bit for bit.

    A file-backed buffer stays so, with the same path. After a kill it has every row that was flushed and not evicted since;
    what reached the disk in part is recognised and dropped.

    Args:
        path: the file.
        device, frames_on_device: where batches and frames go, as in the constructor; not saved. A buffer that was saved with
            `prefetch` cannot have its frames on the device: ValueError.
        copy_on_write: leave the file of a buffer with `path` as it is: what changes stays in this process's memory and is
            lost unless saved. The file need not be writable, and several may read it so at once. Of no effect for a snapshot.

    Returns a PrioritizedReplayBuffer where the sampler is `Proportional`, else a ReplayBuffer.
    Raises SnapshotError, saying what is wrong and where, for a file that is truncated, damaged, foreign or of another
    version; OSError when it cannot be read, or is file-backed and open elsewhere (after a kill: as long as a process lives that
    was forked from its own).
    """
    name = as_path(path)
    snapshot = _core.Snapshot(name)
    file = (name, "copy" if as_bool("copy_on_write", copy_on_write) else "old")
    backing = file if snapshot.is_file_backed else None
    return restored(os.fsdecode(name), snapshot, _class_of, (device, frames_on_device), backing)


def _class_of(spec: BufferSpec) -> type[ReplayBuffer]:
    return PrioritizedReplayBuffer if isinstance(spec.sampler, Proportional) else ReplayBuffer
