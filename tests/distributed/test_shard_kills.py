"""A shard's process is killed again and again while an actor sends: every row is stored once, in order, and none is lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import rows

from mujigae.distributed.ledger import Standing
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Answer, Shard

NUM_KILLS, ROWS_OF_CHUNK, CAPACITY = 20, 4, 40_000


def serve(path: Path, pipe: Connection, flush_rows: int) -> None:
    """Adds what comes until it is killed, and flushes all the time."""
    shard = Shard.open(
        path, lambda path: rows.make_buffer(path, CAPACITY), flush_rows=flush_rows, flush_seconds=1e9
    )
    while True:
        pipe.send(shard.add(pipe.recv()))


class KilledShard:
    """A shard in a process of its own, which dies at some moment after `lifetime()` seconds and comes back."""

    def __init__(self, path: Path, flush_rows: int, lifetime: Callable[[], float]) -> None:
        self._path, self._flush_rows, self._lifetime = path, flush_rows, lifetime
        self.num_kills = 0
        self._begin()

    def _begin(self) -> None:
        self._pipe, other = multiprocessing.Pipe()
        context: Any = multiprocessing.get_context("fork")
        self._process = context.Process(target=serve, args=(self._path, other, self._flush_rows), daemon=True)
        self._process.start()
        other.close()
        self._dies_at = time.monotonic() + self._lifetime()

    def add(self, chunk: Any) -> Answer | None:
        with contextlib.suppress(EOFError, OSError):
            self._pipe.send(chunk)
            if self._pipe.poll(max(self._dies_at - time.monotonic(), 0.0)):
                answer: Answer = self._pipe.recv()
                return answer
        self.kill()
        self._begin()
        return None

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.num_kills += 1


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A kill of the process is the same in memory, where syncing costs nothing."""
    shared = Path("/dev/shm")
    folder = (shared if os.access(shared, os.W_OK) else tmp_path) / f"shard-kills-{os.getpid()}"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_no_kill_loses_a_row_or_stores_one_twice(fast_folder: Path, rounds: Any) -> None:
    for seed in rounds():
        rng = random.Random(seed)
        path = fast_folder / f"shard-{seed}"
        shard = KilledShard(path, rng.choice([8, 40, 200]), lambda rng=rng: rng.random() * 0.08)
        sender = Sender(0, 1, Standing(), max_kept=10**6)
        num_rows = 0
        while shard.num_kills < NUM_KILLS:
            if sender.has_room and num_rows < CAPACITY // rows.NUM_LANES - ROWS_OF_CHUNK:
                sender.put(rows.rows_of(num_rows, ROWS_OF_CHUNK))
                num_rows += ROWS_OF_CHUNK
            chunk = sender.next()
            assert chunk is not None
            sender.answered(chunk.sequence, shard.add(chunk))
        shard.kill()
        last = Shard.open(path, rows.make_buffer)
        sender.put(rows.rows_of(num_rows, ROWS_OF_CHUNK))
        rows.send_all(sender, last)
        assert rows.stored(last.buffer) == [list(range(num_rows + ROWS_OF_CHUNK))] * rows.NUM_LANES
        assert last.counts().rows_lost == 0
        rounds.count("kills of a shard survived", shard.num_kills)
