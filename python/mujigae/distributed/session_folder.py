"""Where the processes of a run keep sockets and logs, and Ray what it writes: `mujigae-session-*` in the folder for temporary files.

A run that ends deletes its own. One that is killed cannot, so each new one deletes those whose run is gone: a run keeps a
lock on its folder, which the system takes away with the process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["session_folder"]

PREFIX = "mujigae-session-"


@contextmanager
def session_folder() -> Iterator[Path]:
    """A new folder, deleted at the end of the block; those that killed runs of this user left are deleted first."""
    root = Path(tempfile.gettempdir())
    for entry in _ours(root):
        _delete_if_abandoned(Path(entry))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _ours(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return [
            entry.path
            for entry in entries
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False)
        ]


def _delete_if_abandoned(folder: Path) -> None:
    """An empty one may be so new that its run has not locked it yet, and stays."""
    with suppress(OSError):
        if os.stat(folder).st_uid != os.getuid() or not os.listdir(folder):
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
