"""How far adding may run ahead of sampling, and sampling ahead of adding."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from mujigae.replay.arguments import as_float, as_int

__all__ = ["RateLimiter"]


class RateLimiter:
    """Keeps the number of sampled rows near a fixed multiple of the number of added rows.

    Until `min_rows` rows have been added, adding is allowed and sampling is not. From then on both are allowed as long as

        (rows added - min_rows) x samples_per_insert - rows sampled

    stays between -slack and slack (Reverb's SampleToInsertRatio: Cassirer et al. 2021, section 3.4). The limiter counts what
    it is notified of and answers questions; it holds no buffer and never blocks:

        while not limiter.may_add(num_envs):        while not limiter.may_sample(batch_size):
            time.sleep(0.001)                           time.sleep(0.001)
        buffer.add(...)                             batch = buffer.sample(batch_size)
        limiter.added(num_envs)                     limiter.sampled(batch_size)

    One producer and one consumer never wait for each other: whatever the counts, one of the two is allowed. Any thread may
    call anything. Threads that ask at the same time may both be allowed, so each producer or consumer beyond the first can
    exceed the slack by one call's rows.

    Args:
        samples_per_insert: how often a row is sampled on average, more than 0; a batch of B counts as B samples.
        min_rows: rows added before the first sample, at least 1.
        slack: samples by which either side may be ahead, at least max(1, samples_per_insert). A call for n rows needs
            n x samples_per_insert <= slack, and one for n samples n <= slack.

    Raises TypeError or ValueError naming the argument.
    """

    def __init__(self, samples_per_insert: float, min_rows: int, slack: float) -> None:
        self._samples_per_insert = as_float("samples_per_insert", samples_per_insert)
        self._min_rows = as_int("min_rows", min_rows)
        self._slack = as_float("slack", slack)
        if not 0.0 < self._samples_per_insert < math.inf:
            raise ValueError(
                f"samples_per_insert: expected a finite number above 0, got {samples_per_insert}"
            )
        if self._min_rows < 1:
            raise ValueError(f"min_rows: expected at least 1, got {min_rows}")
        if not max(1.0, self._samples_per_insert) <= self._slack < math.inf:
            raise ValueError(
                f"slack: expected a finite number of at least max(1, samples_per_insert) = "
                f"{max(1.0, self._samples_per_insert):g}, got {slack}: with less, neither side could go on"
            )
        # As they are written, so that 30 rows at 0.1 are 3 samples exactly.
        self._exact_ratio, self._exact_slack = (
            Fraction(repr(self._samples_per_insert)),
            Fraction(repr(self._slack)),
        )
        self._num_added = self._num_sampled = 0
        self._lock = threading.Lock()

    def may_add(self, n: int) -> bool:
        """Whether n rows may be added now; False: wait for samples. Raises ValueError for n that the slack never allows."""
        rows = self._count(n)
        if rows * self._exact_ratio > self._exact_slack:
            raise ValueError(
                f"n: expected n x samples_per_insert of at most slack = {self._slack:g}, got {rows} rows"
            )
        with self._lock:
            num_added = self._num_added + rows
            return (
                num_added <= self._min_rows or self._lead(num_added, self._num_sampled) <= self._exact_slack
            )

    def may_sample(self, n: int) -> bool:
        """Whether n rows may be sampled now; False: wait for rows. Raises ValueError for n that the slack never allows."""
        samples = self._count(n)
        if samples > self._exact_slack:
            raise ValueError(f"n: expected at most slack = {self._slack:g} samples, got {samples}")
        with self._lock:
            if self._num_added < self._min_rows:
                return False
            return self._lead(self._num_added, self._num_sampled + samples) >= -self._exact_slack

    def added(self, n: int) -> None:
        """Counts n rows that have been added."""
        rows = self._count(n)
        with self._lock:
            self._num_added += rows

    def sampled(self, n: int) -> None:
        """Counts n rows that have been sampled."""
        samples = self._count(n)
        with self._lock:
            self._num_sampled += samples

    def state(self) -> dict[str, int]:
        """The counts, for a checkpoint: {"num_added", "num_sampled"}."""
        with self._lock:
            return {"num_added": self._num_added, "num_sampled": self._num_sampled}

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes on from these counts. Raises ValueError or TypeError, and changes nothing, for what `state` never gives."""
        if set(state) != {"num_added", "num_sampled"}:
            raise ValueError(f"state: expected num_added and num_sampled, got {sorted(state)}")
        counts = {name: as_int(name, value) for name, value in state.items()}
        for name, value in counts.items():
            if value < 0:
                raise ValueError(f"{name}: expected at least 0, got {value}")
        with self._lock:
            self._num_added, self._num_sampled = counts["num_added"], counts["num_sampled"]

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = self._samples_per_insert, self._min_rows, self._slack
        return type(self), arguments, self.state()

    def __setstate__(self, state: Mapping[str, int]) -> None:
        self.restore(state)

    def __repr__(self) -> str:
        return f"RateLimiter({self._samples_per_insert:g}, {self._min_rows}, {self._slack:g})"

    def _lead(self, num_added: int, num_sampled: int) -> Fraction:
        """Samples that these rows stand for, less those made: exact, so that no rounding lets both sides wait."""
        return (num_added - self._min_rows) * self._exact_ratio - num_sampled

    @staticmethod
    def _count(n: int) -> int:
        count = as_int("n", n)
        if count < 1:
            raise ValueError(f"n: expected at least 1, got {n}")
        return count
