"""Notices when updates have become far slower than they were.

Torch's threads wait for each other many times in an update. Where another program keeps the core of one of them, all of them wait,
and an update takes longer than one thread would need: 44 ms instead of 13 beside a single busy process, where one thread takes 23
(`pong`, two cores; bench/train/threads.py). Threads that sleep instead of spinning (OMP_WAIT_POLICY=passive) take 31 there, and 19
with nothing beside them, where one thread takes 20: so nothing is set, and the run says what helps.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

__all__ = ["Pace"]

BLOCK = 20  # updates of which the median counts
SLOW = 3.0  # times the fastest block
NUM_SLOW = 3  # such blocks, one after the other


class Pace:
    """Times updates: `with pace: agent.learn(batch)`."""

    def __init__(self) -> None:
        self._block: list[float] = []
        self._fastest = float("inf")
        self._newest = 0.0
        self._num_slow = 0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        self.add(time.perf_counter() - self._began)

    def add(self, seconds: float) -> None:
        """The time of one update."""
        self._block.append(seconds)
        if len(self._block) == BLOCK:
            self._newest = statistics.median(self._block)
            self._fastest = min(self._fastest, self._newest)
            self._num_slow = self._num_slow + 1 if self._newest >= SLOW * self._fastest else 0
            self._block.clear()

    def warning(self, num_threads: int) -> str | None:
        """What to tell the user of a run on so many threads of the CPU; None: nothing."""
        if num_threads == 1 or self._num_slow < NUM_SLOW:
            return None
        now, before = (f"{1e3 * seconds:.3g} ms" for seconds in (self._newest, self._fastest))
        return (
            f"updates take {now} where they took {before}: each waits for {num_threads} threads, which other programs may keep from "
            "their cores; with --num-threads 1, also beside --resume, it waits for none"
        )
