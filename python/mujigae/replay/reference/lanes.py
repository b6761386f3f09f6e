"""What a reference buffer keeps: whole rows, in lanes of one environment each, and batches drawn ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mujigae.replay.arguments import as_int

__all__ = ["Drawn", "Lane", "Row", "checked_size", "refill", "single"]


@dataclass
class Row:
    """One transition, whole."""

    obs: list[Any]
    action: Any
    reward: float
    next_obs: list[Any]
    terminated: bool
    ended: bool  # terminated, truncated, or the environment was reset behind our back
    priority: float
    extras: list[Any]


class Lane:
    """The rows of one environment, oldest first; row i of `rows` is the (first + i)-th ever added."""

    def __init__(self, capacity: int, num_spare: int, offset: int) -> None:
        self.capacity, self.num_slots, self.offset = capacity, capacity + num_spare, offset
        self.slot_bits = 0  # of a key: what all slots of the buffer need
        self.rows: list[Row] = []
        self.first = 0
        self.issued_end = 0  # rows before it could be drawn at some time: their keys may be known
        self.begins_episode = True  # the oldest row is the first of its episode
        self.num_reset_steps = (
            0  # rows that look like the reset steps of Gymnasium; -1 once an episode began in another way
        )

    def num_ready(self, n_step: int) -> int:
        """Rows whose window is complete, n steps or the episode's end: all but the newest of an open episode."""
        waiting = 0
        while waiting < min(n_step - 1, len(self.rows)) and not self.rows[-1 - waiting].ended:
            waiting += 1
        return len(self.rows) - waiting

    def is_interrupted_by(self, row: Row) -> bool:
        """Whether the environment was reset before `row` without an end, which the row before it then is; counts reset steps."""
        if not self.rows:
            return False
        last, continues = self.rows[-1], not _differ(self.rows[-1].next_obs, row.obs)
        if not last.ended and continues:
            return False
        leads_elsewhere = _differ(row.obs, row.next_obs)
        is_reset_step = last.ended and continues and leads_elsewhere and row.reward == 0 and not row.ended
        is_alike = is_reset_step and self.num_reset_steps >= 0
        self.num_reset_steps = self.num_reset_steps + 1 if is_alike else -1
        is_interrupted, last.ended = not last.ended, True
        return is_interrupted

    def end_episode(self, n_step: int) -> None:
        """Ends the episode, if one is open, with the newest row."""
        if self.rows and not self.rows[-1].ended:
            self.rows[-1].ended = True
            self.evict(n_step)

    def evict(self, n_step: int) -> None:
        while self.num_ready(n_step) > self.capacity or len(self.rows) > self.num_slots:
            self.begins_episode = self.rows.pop(0).ended
            self.first += 1
        self.issued_end = max(self.issued_end, self.first + self.num_ready(n_step))

    def slot(self, i: int) -> int:
        return self.offset + (self.first + i) % self.num_slots

    def key(self, i: int) -> int:
        return (self.first + i) // self.num_slots << self.slot_bits | self.slot(i)

    def last_key(self) -> int:
        """The key of the newest row, which is known from now on; -1 without one."""
        self.issued_end = max(self.issued_end, self.first + len(self.rows))
        return self.key(len(self.rows) - 1) if self.rows else -1


@dataclass
class Drawn:
    """A batch drawn ahead: whole, but for the weights of the beta with which it will be handed out."""

    counter: int  # of the generator before the draw
    arrays: Callable[[Any], tuple[Any, ...]]  # of the weights
    masses: list[float]
    probability: Any


def _differ(one: list[Any], other: list[Any]) -> bool:
    """Whether the arrays of two observations do, in their bytes."""
    return any(a.tobytes() != b.tobytes() for a, b in zip(one, other, strict=True))


def checked_size(batch_size: Any) -> int:
    size = as_int("batch_size", batch_size)
    if size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {size}")
    if size > 2**31:
        raise ValueError(f"batch_size: expected at most 2^31, got {size}")
    return size


def single(arrays: list[Any]) -> Any:
    """One observation is an array, several are a list of them."""
    return arrays[0] if len(arrays) == 1 else arrays


def refill(out: Any, arrays: Any) -> Any:
    for old, new in zip(out, arrays, strict=True):
        if isinstance(new, dict):
            refill([old[name] for name in new], list(new.values()))
        elif isinstance(new, list):
            refill(old, new)
        else:
            old[...] = new
    return out
