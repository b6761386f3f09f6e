"""The memory's limit as a subject: `floor.cpp`, compiled when it is first asked for."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.core.subject import Subject

SOURCE = Path(__file__).with_name("floor.cpp")
MAX_BATCH = 2048


class SpeedSubject(Subject):
    """Copies of random runs by one thread or two, by memcpy or by stores that pass the caches by, whichever is faster."""

    name = "floor"
    version = "C++"

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads

    def floor(self, num_bytes: int) -> Runs:
        return Runs(num_bytes, self.num_threads)


class Runs:
    """A source of `num_bytes` and an output of MAX_BATCH samples."""

    def __init__(self, num_bytes: int, num_threads: int) -> None:
        self._threads = num_threads
        self._library = compiled()
        self._handle = self._library.floor_new(num_bytes, MAX_BATCH)
        if not self._handle:
            raise MemoryError(f"{num_bytes} bytes of frames")

    def copy(self, batch_size: int, times: int, is_streamed: bool) -> None:
        self._library.floor_copy(self._handle, batch_size, times, self._threads, is_streamed)

    def check(self) -> None:
        num_wrong = self._library.floor_num_wrong(self._handle)
        assert num_wrong == 0, f"{num_wrong} samples with frames of another run"


def compiled() -> Any:
    """The shared object, beside the environments of the peers."""
    library = Path(os.environ["MUJIGAE_BENCH_CACHE"]) / "floor.so"
    if not library.exists() or library.stat().st_mtime < SOURCE.stat().st_mtime:
        made = library.with_suffix(f".{os.getpid()}.so")
        options = ["-O3", "-std=c++20", "-pthread", "-shared", "-fPIC"]
        subprocess.run([os.environ.get("CXX", "c++"), *options, str(SOURCE), "-o", str(made)], check=True)
        made.rename(library)
    loaded = ctypes.CDLL(str(library))
    size = ctypes.c_size_t
    loaded.floor_new.argtypes, loaded.floor_new.restype = [size, size], ctypes.c_void_p
    loaded.floor_copy.argtypes = [ctypes.c_void_p, size, size, ctypes.c_int, ctypes.c_bool]
    loaded.floor_copy.restype = None
    loaded.floor_num_wrong.argtypes, loaded.floor_num_wrong.restype = [ctypes.c_void_p], size
    return loaded
