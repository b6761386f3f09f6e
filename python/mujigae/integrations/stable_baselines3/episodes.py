"""Which episode a row belongs to, and its desired goal, which is kept once for all rows of an episode that have it.

row               0  1  2  3  4  5
goal              g  g  g  h  h  h      of the observation
goal after it     g  g  g  h  h  k      of its successor
record            A  A  A  B  B  C      A: g, g, rows 0 to 2    B: h, h, rows 3 to 5    C: h, k, rows 3 to 5
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["OPEN", "Episodes"]

OPEN = -1  #: the last row of an episode that goes on


class Episodes:
    """The newest rows of E environments, which all count theirs alike: row t is the t-th step of each.

    Args:
        num_rows: of each environment; row t takes the place of row t - num_rows.
        num_envs: E.
        goal_shape, goal_dtype: of a desired goal.
    """

    def __init__(self, num_rows: int, num_envs: int, goal_shape: tuple[int, ...], goal_dtype: Any) -> None:
        goal = np.dtype((goal_dtype, goal_shape))
        fields = [
            ("goal", goal),
            ("next_goal", goal),
            ("first", np.int64),
            ("last", np.int64),
            ("count", np.int32),
        ]
        self._record = np.full((num_rows, num_envs), -1, np.int32)  # of the row at each place
        self._records = np.zeros(
            1, np.dtype(fields)
        )  # first and last: rows of the episode; count: rows of the record
        self._free = [0]
        self._open: list[list[int]] = [[] for _ in range(num_envs)]  # records of the open episodes
        self._first = np.zeros(num_envs, np.int64)  # rows of the open episodes

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return self._record.nbytes + self._records.nbytes

    def add(self, row: int, goals: Any, next_goals: Any) -> None:
        """Adds row `row` of each environment, with the goals [E, *goal_shape] of its observation and of its successor."""
        place = row % len(self._record)
        for e, (goal, next_goal) in enumerate(zip(goals, next_goals, strict=True)):
            if self._record[place, e] >= 0:
                self._drop(e, int(self._record[place, e]))
            record = self._found(e, goal, next_goal)
            self._record[place, e] = record
            self._records["count"][record] += 1

    def close(self, which: Any, last: int) -> None:
        """The open episodes of the environments in `which` (bool [E]) end with row `last`; the next row begins another."""
        for e in np.flatnonzero(which):
            self._records["last"][self._open[e]] = last
            self._open[e].clear()
            self._first[e] = last + 1

    def of(self, rows: Any, envs: Any) -> Any:
        """The records [B] of rows [B] of environments [B]: goal, next_goal, first and last row of the episode, or OPEN."""
        return self._records[self._record[rows % len(self._record), envs]]

    def _found(self, e: int, goal: Any, next_goal: Any) -> int:
        """The record of a row with these goals: that of the row before it, or a new one."""
        if self._open[e]:
            newest = self._records[self._open[e][-1]]
            if _same(newest["goal"], goal) and _same(newest["next_goal"], next_goal):
                return self._open[e][-1]
        if not self._free:
            size = len(self._records)
            self._records = np.concatenate([self._records, np.zeros_like(self._records)])
            self._free = list(range(size, 2 * size))
        record = self._free.pop()
        self._records[record] = goal, next_goal, self._first[e], OPEN, 0
        self._open[e].append(record)
        return record

    def _drop(self, e: int, record: int) -> None:
        """A row of this record is overwritten."""
        self._records["count"][record] -= 1
        if self._records["count"][record] == 0:
            self._free.append(record)
            if record in self._open[e]:
                self._open[e].remove(record)


def _same(one: Any, other: Any) -> bool:
    """Byte for byte: NaN is NaN."""
    return bool(one.tobytes() == other.tobytes())
