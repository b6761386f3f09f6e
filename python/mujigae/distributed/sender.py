"""The actor's side of sending chunks: each is stored once, in order, whatever becomes of a call. It sends nothing itself.

    sender.put(rows)                    a new chunk
    chunk = sender.next()               to be handed to the shard; None: nothing now
    sender.answered(sequence, answer)   what the shard said; None: the call failed, nobody knows what became of it

A chunk is kept until the shard says that it is flushed. A shard that was killed and has forgotten chunks says which it wants
next, and they are sent again from there on. At most `max_in_flight` calls are under way.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from mujigae.distributed.chunk import Chunk, Rows
from mujigae.distributed.ledger import Standing
from mujigae.distributed.shard import Answer
from mujigae.errors import MujigaeError

__all__ = ["Sender"]


class _Kept(NamedTuple):
    sequence: int
    first_row: int
    rows: Rows


class Sender:
    """See the module.

    Args:
        actor: its number.
        life: of this process, larger than that of any earlier one of the actor.
        standing: how far the shard had come with the actor.
        lanes: of the shard that are the actor's; None: all.
        max_in_flight: calls under way, and chunks that are not stored yet, at most.
        max_kept: chunks that are stored but not flushed, at most: older ones are given up, and lost if the shard is killed.
    """

    def __init__(
        self,
        actor: int,
        life: int,
        standing: Standing,
        *,
        lanes: tuple[int, ...] | None = None,
        max_in_flight: int = 2,
        max_kept: int = 256,
    ) -> None:
        self._actor, self._life, self._lanes = actor, life, lanes
        self._max_in_flight, self._max_kept = max_in_flight, max_kept
        self._kept: deque[_Kept] = deque()
        self._last = self._stored = standing.sequence
        self._num_rows = standing.num_rows
        self._next = self._last + 1
        self._in_flight = 0
        self._incarnation = 0

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be collected."""
        return self._last - self._stored < self._max_in_flight

    @property
    def is_done(self) -> bool:
        """Whether everything is stored, and no call is under way."""
        return self._last == self._stored and self._in_flight == 0

    def put(self, rows: Rows) -> None:
        """Takes a new chunk."""
        self._last += 1
        self._kept.append(_Kept(self._last, self._num_rows, rows))
        self._num_rows += len(rows.env_ids)
        while len(self._kept) > self._max_kept and self._kept[0].sequence <= self._stored:
            self._kept.popleft()

    def next(self) -> Chunk | None:
        """A chunk to send now."""
        if self._in_flight >= self._max_in_flight or self._next > self._last:
            return None
        oldest = self._kept[0].sequence
        self._next = max(self._next, oldest)
        kept = self._kept[self._next - oldest]
        self._next += 1
        self._in_flight += 1
        return Chunk(self._actor, self._life, kept.sequence, oldest, kept.first_row, self._lanes, kept.rows)

    def answered(self, sequence: int, answer: Answer | None) -> bool:
        """Takes the answer to the chunk `sequence`; returns whether the shard asks to wait before anything is sent.

        Raises MujigaeError when another process has taken the actor's place.
        """
        self._in_flight -= 1
        if answer is None:
            self._go_back(sequence)
            return False
        if answer.incarnation < self._incarnation:  # late: the shard has forgotten since
            return False
        if answer.status == "outdated":
            raise MujigaeError(f"actor {self._actor}: another process has taken its place")
        is_reborn = answer.incarnation > self._incarnation
        self._incarnation = answer.incarnation
        self._stored = answer.sequence if is_reborn else max(self._stored, answer.sequence)
        while self._kept and self._kept[0].sequence <= answer.flushed:
            self._kept.popleft()
        if answer.status in ("wait", "missing"):
            self._go_back(answer.sequence + 1)
        self._next = max(self._next, answer.sequence + 1)
        return answer.status == "wait"

    def _go_back(self, sequence: int) -> None:
        """Sends again from `sequence` on, or from the oldest chunk that there is."""
        oldest = self._kept[0].sequence if self._kept else self._last + 1
        self._next = min(self._next, max(sequence, oldest))
