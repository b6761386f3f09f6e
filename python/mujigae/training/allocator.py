"""Keeps freed memory in the process, so that every update does not fault its activations in anew."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Parameters of glibc's mallopt, from <malloc.h>, and the values for them in bytes.
M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES = -1, 2**30
M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES = -3, 2**25  # the most that glibc takes on 64 bits


def keep_freed_memory() -> bool:
    """Tells glibc to reuse blocks of up to 32 MiB instead of handing them back; False where there is no glibc.

    An update allocates and frees the same few megabytes of activations each time. By default they are mapped,
    zeroed by the kernel page by page, and unmapped: about a third of an update of a small torso on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(
        mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES) and mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
    )
