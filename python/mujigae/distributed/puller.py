"""The learner's side of the shards: batches in the order in which they come, and what is known of each shard.

At most two calls are under way at each shard, and each brings several batches, as a call costs about as much as a batch. Which
shard the next batch comes from is drawn by what the shards hold; where as many as two calls bring are due there already, it
waits for its turn, so that shares stay exact. A shard that died is left out until a look at it says that it is back.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mujigae.distributed.actor_server import CALL_SECONDS
from mujigae.distributed.calls import BusyError, CallRefusedError, Calls, NoAnswerError, ServerDiedError
from mujigae.distributed.shard import Elsewhere, Pulled, Share
from mujigae.distributed.shard_server import Look
from mujigae.distributed.shared_batches import Place, SharedBatches, batch_bytes
from mujigae.distributed.shares import Shares
from mujigae.errors import MujigaeError

__all__ = ["Puller", "batches_of_a_call"]

MAX_IN_FLIGHT = 2  # calls at each shard
MAX_BATCHES = 8  # of one call at each shard: up to eight shards have 16 ready or on their way (Horgan et al. 2018), more two each
MAX_CALL_BYTES = 2**28  # of the batches of a call, if it brings more than one
NUM_IN_USE = 2  # batches that the learner may hold of a shard before others are sent with the answer
REST_SECONDS = 0.002  # after an answer "wait"
LOOK_PERIOD_SECONDS = 0.2
SILENT_SECONDS = 120.0  # after which a shard that gives no sign of life ends the run


def batches_of_a_call(num_bytes: int, num_shards: int) -> int:
    """How many batches of so many bytes one call brings."""
    return max(min(MAX_CALL_BYTES // num_bytes, MAX_BATCHES // num_shards), 1)


class _Room(NamedTuple):
    """Where a shard may draw a batch."""

    memory: SharedBatches
    place: Place


class _Asked(NamedTuple):
    shard: int
    made_at: float
    rooms: tuple[_Room | None, ...] = ()  # one for each batch


class Puller:
    """See the module.

    Args:
        calls: how the shards are called.
        shards: handles.
        batch_size: B.
        seed: of the choice of shards.
    """

    def __init__(self, calls: Calls, shards: Sequence[Any], batch_size: int, seed: int) -> None:
        self._calls, self._shards, self._batch_size = calls, shards, batch_size
        self._rng = np.random.default_rng(seed)
        self.shares = Shares(len(shards))
        self.looks: list[Look | None] = [None] * len(shards)
        self.num_added = [0] * len(shards)
        # Rows that were added, sampled as often as they had to be, and went with their files.
        self.num_lost = 0
        self.num_failures = 0
        self._pulls: dict[Any, _Asked] = {}
        self._memories: list[SharedBatches | None] = [None] * len(shards)
        self._is_far = [False] * len(shards)  # its batches are sent with the answers
        self._num_batches = [1] * len(shards)  # that a call brings; the first tells how large they are
        self._due = [0] * len(shards)  # batches whose turn it is, which were not asked for yet
        self._ready: deque[tuple[int, Pulled]] = deque()
        self._look_calls: dict[Any, _Asked] = {}
        self._chosen: int | None = None
        self._rest_until = [0.0] * len(shards)
        self._seen_at = [time.monotonic()] * len(shards)
        self._looked_at = 0.0

    def ask(self, num_sampled: int) -> None:
        """Asks for batches; `num_sampled`: rows that the learner got so far."""
        now = time.monotonic()
        self._choose()
        for s in range(len(self._shards)):
            while self._due[s] and self._is_time_to_call(s, now):
                count = min(self._due[s], self._num_batches[s])
                rooms = tuple(self._room_for(s) for _ in range(count))
                places = tuple(room and room.place for room in rooms)
                arguments = self._batch_size, self._elsewhere(s, num_sampled), places
                self._pulls[self._calls.call(self._shards[s], "pull", *arguments)] = _Asked(s, now, rooms)
                self._due[s] -= count

    def _choose(self) -> None:
        """The shards of the next batches, until one has to wait for its turn."""
        while True:
            if self._chosen is None:
                self._chosen = self.shares.choose(self._rng)
            s = self._chosen
            if self._due[s] + self._num_coming(s) >= MAX_IN_FLIGHT * self._num_batches[s]:
                return
            self._due[s] += 1
            self._chosen = None

    def _num_coming(self, shard: int) -> int:
        """Batches that are on their way from a shard, or here and not yet taken."""
        asked = sum(len(asked.rooms) for asked in self._pulls.values() if asked.shard == shard)
        return asked + sum(s == shard for s, _ in self._ready)

    def _is_time_to_call(self, shard: int, now: float) -> bool:
        """A call is worth making for all its batches, or where nothing else comes."""
        num_calls = sum(asked.shard == shard for asked in self._pulls.values())
        is_free = num_calls < MAX_IN_FLIGHT and now >= self._rest_until[shard]
        return is_free and (self._due[shard] >= self._num_batches[shard] or not self._num_coming(shard))

    def take(self, seconds: float) -> tuple[int, Pulled] | None:
        """The next batch that comes within so many seconds, and its shard."""
        if not self._ready and not self._pulls:
            time.sleep(min(seconds, REST_SECONDS))
        elif not self._ready:
            over = self._calls.wait([*self._pulls], 1, seconds)
            for call in dict.fromkeys((*over, *self._late(self._pulls))):
                self._receive(call, self._pulls.pop(call))
        if not self._ready:
            return None
        s, pulled = self._ready.popleft()
        self.shares.known[s] = pulled.share  # as of when it was drawn: its weights depend on it
        return s, pulled

    def _receive(self, call: Any, asked: _Asked) -> None:
        s = asked.shard
        pulled: tuple[Pulled, ...] | None = self._result(call, s)
        if pulled is None:
            return
        for one, room in zip(pulled, asked.rooms, strict=False):
            self._ready.append((s, self._with_batch(one, s, room)))
            self.num_added[s] = one.num_added
        rest = asked.rooms[len(pulled) :]
        if rest:  # they have to wait: it is still their turn
            self._give_back(rest)
            self._rest_until[s] = max(self._rest_until[s], time.monotonic() + REST_SECONDS)
            self._due[s] += len(rest) if self.shares.known[s].total > 0 else 0

    def _give_back(self, rooms: Sequence[_Room | None]) -> None:
        for room in rooms:
            if room is not None:
                room.memory.give_back(room.place)

    def _room_for(self, shard: int) -> _Room | None:
        memory = self._memories[shard]
        place = None if memory is None else memory.take()
        return None if memory is None or place is None else _Room(memory, place)

    def _with_batch(self, pulled: Pulled, s: int, room: _Room | None) -> Pulled:
        """With the batch where it lies in shared memory; a shard's first, which came with the answer, tells how large that is."""
        if pulled.batch is None:
            assert room is not None
            return pulled._replace(batch=room.memory.batch(room.place))
        self._num_batches[s] = batches_of_a_call(batch_bytes(pulled.batch), len(self._shards))
        if room is not None:  # the shard is on another machine
            self._memories[s], self._is_far[s] = None, True
        elif self._memories[s] is None and not self._is_far[s]:
            count = MAX_IN_FLIGHT * self._num_batches[s] + NUM_IN_USE
            self._memories[s] = SharedBatches.like(pulled.batch, count)
            self._is_far[s] = self._memories[s] is None
        return pulled

    def _elsewhere(self, shard: int, num_sampled: int) -> Elsewhere:
        added = self.num_lost + sum(self.num_added) - self.num_added[shard]
        coming = len(self._ready) + sum(len(asked.rooms) for asked in self._pulls.values())
        return Elsewhere(added, num_sampled + self._batch_size * coming)

    def look(self, num_sampled: int) -> None:
        """Asks every shard how it is, now and then, and takes the answers; MujigaeError for one that stays silent.

        A shard hears how far the learner is (`num_sampled` as in `ask`), also where no more batches are asked for: one that
        was killed knows of no batch, and would take no more rows.
        """
        now = time.monotonic()
        for call in self._over(self._look_calls):
            s = self._look_calls.pop(call).shard
            found: Look | None = self._result(call, s)
            if found is not None:
                self.looks[s], self.shares.known[s] = found, found.share
                self.num_added[s] = found.counts.num_added
                self._seen_at[s] = now
        if now - self._looked_at >= LOOK_PERIOD_SECONDS:
            self._looked_at = now
            awaited = {asked.shard for asked in self._look_calls.values()}
            for s in sorted({*range(len(self._shards))} - awaited):
                call = self._calls.call(self._shards[s], "look", self._elsewhere(s, num_sampled))
                self._look_calls[call] = _Asked(s, now)
        for s, seen_at in enumerate(self._seen_at):
            if now - seen_at > SILENT_SECONDS:
                raise MujigaeError(
                    f"shard {s}: expected a sign of life within {SILENT_SECONDS:g} seconds, got none"
                )

    def send(self, shard: int, incarnation: int, key: Any, priorities: Any) -> None:
        """Priorities of a batch, in one call that nobody waits for."""
        with contextlib.suppress(BusyError):
            self._calls.call(self._shards[shard], "update", incarnation, key, priorities)

    def _over(self, calls: dict[Any, _Asked]) -> list[Any]:
        if not calls:
            return []
        return [*{*self._calls.wait([*calls], len(calls), 0.0), *self._late(calls)}]

    def _late(self, calls: dict[Any, _Asked]) -> list[Any]:
        """Calls to a killed process may hang for ever: they are given up."""
        now = time.monotonic()
        return [call for call, asked in calls.items() if now - asked.made_at > CALL_SECONDS]

    def _result(self, call: Any, shard: int) -> Any:
        """None where the shard died or is silent: it is left out until it is seen again."""
        try:
            return self._calls.answer(call, 5.0)
        except (ServerDiedError, NoAnswerError):
            self.num_failures += 1
            self.shares.known[shard] = Share(0, 0.0)
            self._memories[shard] = None  # a shard that is only late may still draw into it
            self._is_far[shard], self._num_batches[shard] = False, 1
            self._rest_until[shard] = time.monotonic() + LOOK_PERIOD_SECONDS
            self._chosen, self._due[shard] = None, 0
            self._ready = deque(found for found in self._ready if found[0] != shard)
            return None
        except CallRefusedError as error:
            raise MujigaeError(f"shard {shard}: {error}") from None
