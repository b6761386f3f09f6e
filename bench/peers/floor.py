"""The memory's limit as a subject: `floor.cpp`, compiled when it is first asked for."""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.sequences import RowArrays, Sequences
from bench.core.stream import EPISODE_STEPS
from bench.core.subject import Drawn, Subject

SOURCE = Path(__file__).with_name("floor.cpp")
MAX_BATCH = 2048


class SpeedSubject(Subject):
    """Copies of random runs by one thread or two, by memcpy or by stores that pass the caches by, whichever is faster."""

    name = "floor"
    version = "C++"
    is_prioritized = False

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads

    def vector(self, capacity: int, is_prioritized: bool) -> GatheredRows:
        return GatheredRows(capacity)

    def sequences(self, capacity: int, length: int, burn_in: int) -> SequenceRuns:
        return SequenceRuns(capacity, burn_in + length)

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


class SequenceRuns(RowArrays):
    """Runs of consecutive rows from places that were drawn before, by memcpy into an output that is used again."""

    def __init__(self, capacity: int, num_steps: int) -> None:
        super().__init__(capacity)
        self.num_steps = num_steps
        self.copy_runs = compiled().floor_copy_runs
        self.prepared: dict[int, RunsOfBatch] = {}

    def sample(self, batch_size: int) -> Sequences:
        if batch_size not in self.prepared:
            self.prepared[batch_size] = RunsOfBatch(self, batch_size)
        runs = self.prepared[batch_size]
        starts = next(runs.addresses)
        for column, copies, num_rows, row_bytes in runs.columns:
            self.copy_runs(column, copies, starts, batch_size, num_rows, row_bytes)
        return runs.out


class GatheredRows(RowArrays):
    """Rows from places that were drawn before: both observations as one run, and the other columns."""

    NUM_DRAWS = 256  # so many batches in turn, so that their rows are in no cache

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.gather = compiled().floor_gather
        self.prepared: dict[int, tuple[Any, Drawn, Any, list[int]]] = {}

    def sample(self, batch_size: int) -> Drawn:
        if batch_size not in self.prepared:
            self.prepared[batch_size] = self._prepare(batch_size)
        _, out, addresses, arguments = self.prepared[batch_size]
        self.gather(*arguments, next(addresses), batch_size)
        return out

    def _prepare(self, batch_size: int) -> tuple[Any, Drawn, Any, list[int]]:
        places = np.random.default_rng(6).integers(self.size, size=(self.NUM_DRAWS, batch_size))
        floats = [np.zeros((batch_size, *shape), np.float32) for shape in ((17,), (6,), (), (17,), ())]
        sources = self.obs, self.action, self.reward, self.discount
        arguments = [array.ctypes.data for array in (*sources, *floats)]
        return (
            places,
            Drawn(*floats, None, None),
            itertools.cycle([row.ctypes.data for row in places]),
            arguments,
        )

    def update(self, key: Any, priorities: Any) -> None:
        """Nothing is weighed."""


class RunsOfBatch:
    """Where the runs of batches of one size begin, and where they are copied to."""

    NUM_DRAWS = 256  # so many batches in turn, so that their rows are in no cache

    def __init__(self, rows: SequenceRuns, batch_size: int) -> None:
        rng = np.random.default_rng(6)
        shape = (self.NUM_DRAWS, batch_size)
        episode, within = (
            rng.integers(n, size=shape)
            for n in (rows.size // EPISODE_STEPS, EPISODE_STEPS - rows.num_steps + 1)
        )
        self.starts = episode * EPISODE_STEPS + within
        self.addresses = itertools.cycle([row.ctypes.data for row in self.starts])
        sizes = (batch_size, rows.num_steps)
        self.out = Sequences(
            np.zeros((batch_size, rows.num_steps + 1, 17), np.float32),
            np.zeros((*sizes, 6), np.float32),
            np.zeros(sizes, np.float32),
            np.zeros(sizes, np.float32),
        )
        columns = (rows.obs, rows.action, rows.reward, rows.discount)
        self.columns = [
            (column.ctypes.data, copies.ctypes.data, copies.shape[1], column.strides[0])
            for column, copies in zip(columns, self.out[:4], strict=True)
        ]


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
    loaded.floor_copy_runs.argtypes = [ctypes.c_void_p] * 3 + [size] * 3
    loaded.floor_copy_runs.restype = None
    loaded.floor_gather.argtypes, loaded.floor_gather.restype = [ctypes.c_void_p] * 10 + [size], None
    return loaded
