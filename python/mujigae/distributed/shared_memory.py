"""Memory that processes of one machine share: a file without a name, as Linux has it.

Nothing of it remains when the processes that have it open have ended, however they end.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import weakref
from typing import NamedTuple

__all__ = ["SharedMemory", "Where", "opened"]


class Where(NamedTuple):
    """How another process finds the memory, as long as its owner has it."""

    process: int
    descriptor: int
    name: str


class SharedMemory:
    """The owner's side, zeros at first. `make` makes one."""

    def __init__(self, descriptor: int, name: str, num_bytes: int) -> None:
        self.where = Where(os.getpid(), descriptor, name)
        self.bytes = _mapped(descriptor, num_bytes)
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def make(cls, num_bytes: int) -> SharedMemory | None:
        """So many bytes, at least one; None where the system has none to share."""
        name = f"mujigae-{secrets.token_hex(8)}"
        try:
            descriptor = os.memfd_create(name)
        except (AttributeError, OSError):  # only Linux has it
            return None
        try:
            os.posix_fallocate(descriptor, 0, num_bytes)  # or a write may end the process
            return cls(descriptor, name, num_bytes)
        except OSError:
            os.close(descriptor)
            return None


def opened(where: Where) -> mmap.mmap | None:
    """The same memory in another process; None where there is no such memory on this machine, or no more."""
    path = f"/proc/{where.process}/fd/{where.descriptor}"
    try:
        if not os.readlink(path).startswith(f"/memfd:{where.name} "):  # a process of another machine
            return None
        with open(path, "r+b") as file:
            return _mapped(file.fileno(), 0)
    except OSError:
        return None


def _mapped(descriptor: int, num_bytes: int) -> mmap.mmap:
    """In huge pages where the system gives them to shared memory (transparent_hugepage/shmem_enabled)."""
    memory = mmap.mmap(descriptor, num_bytes)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
