"""A shard: one replay buffer with a file on a local disk, that many processes add to and one draws from.

It knows nothing of processes. Whoever calls it may lose a call, repeat it, or make it late:

    add      a chunk has an (actor, sequence) number and is stored once, in the order of its actor's sequences. After a kill
             the shard reopens its file and its ledger, and says which chunk it wants next; rows flushed are never stored
             again, rows that were not are sent again, or counted as lost
    pull     a batch with the incarnation that drew it, or None: wait
    update   priorities of another incarnation are dropped and counted

Nothing here waits: `add` and `pull` answer "wait" where the rate limiter does not allow them.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import mujigae
from mujigae import _core
from mujigae.distributed.chunk import Chunk, decode
from mujigae.distributed.ledger import Ledger, Record, Standing
from mujigae.replay.rate_limiter import RateLimiter
from mujigae.replay.samplers import PrioritySampler, Proportional

__all__ = ["NOWHERE", "Answer", "Counts", "Elsewhere", "Pulled", "Shard", "Share"]

OPEN_SECONDS = 30.0  # until a killed process lets go of the file


class Answer(NamedTuple):
    """What became of a chunk.

    stored, repeated: it is there. wait: nothing was done, ask again. missing: an earlier one has to come first.
    """

    status: Literal["stored", "repeated", "wait", "missing", "outdated"]
    incarnation: int
    sequence: int  # the newest that is stored, of this actor
    flushed: int  # the newest that no kill takes away
    num_rows: int  # that the actor sent up to `sequence`


class Elsewhere(NamedTuple):
    """What the learner knows of the other shards when it asks for a batch."""

    num_added: int = 0  # rows, over all other shards
    num_sampled: int = 0  # rows drawn from all shards, batches on their way included, this one not


NOWHERE = Elsewhere()


class Share(NamedTuple):
    """What a shard holds of everything that can be drawn."""

    num_rows: int  # that can be drawn
    total: float  # of the leaves: (priority + eps)^alpha; of uniform draws the number of rows


class Pulled(NamedTuple):
    """A batch on its way to the learner; `batch.weight` is that of this shard alone."""

    batch: Any  # a Batch; None on the way where it lies in memory that the learner shares
    incarnation: int
    share: Share
    num_added: int


class Counts(NamedTuple):
    """What a shard has seen: rows and chunks over all incarnations, the rest since it was opened."""

    incarnation: int
    num_added: int
    num_rows: int
    nbytes: int
    num_sampled: int
    chunks_stored: int
    chunks_repeated: int
    chunks_outdated: int
    rows_lost: int
    waits: int
    flushes: int
    priorities_applied: int
    priorities_of_evicted_rows: int
    priorities_of_other_incarnations: int


class Shard:
    """See the module. `open` makes one.

    Args:
        buffer: file-backed.
        ledger: of the buffer's file.
        limiter: how far adding and drawing may be apart; None: they may be as they like.
        flush_rows, flush_seconds: a flush follows when so many rows were added, or so much time passed, since the last one.

    Any thread may call anything.
    """

    def __init__(
        self,
        buffer: Any,
        ledger: Ledger,
        *,
        limiter: RateLimiter | None = None,
        flush_rows: int = 10_000,
        flush_seconds: float = 5.0,
    ) -> None:
        self.buffer = buffer
        self._ledger, self._limiter = ledger, limiter
        self._flush_rows, self._flush_seconds = flush_rows, flush_seconds
        self._actors = dict(ledger.flushed.actors)
        self._counts = dict.fromkeys(Counts._fields[4:], 0)
        self._lock = threading.RLock()
        self._flushed_at = time.monotonic()
        if limiter is not None:
            limiter.restore({"num_added": self.num_added, "num_sampled": 0})
        # A buffer that goes flushes its file, and the ledger has to have gone before.
        self._finalizer = weakref.finalize(self, _flush, buffer, ledger, self._actors)

    @classmethod
    def open(cls, path: Path, make_buffer: Callable[[Path], Any], **options: Any) -> Shard:
        """Reopens the file at `path`, or makes one there with `make_buffer(path)`.

        Waits for a process that was killed to let go of the file. Raises what `mujigae.load` raises, CheckpointError for a
        ledger that does not fit the file.
        """
        ledger_path = path.with_name(f"{path.name}.ledger")
        if not os.path.lexists(path):
            buffer = make_buffer(path)
            return cls(buffer, Ledger.create(ledger_path), **options)
        buffer = _reopened(path)
        if os.path.lexists(ledger_path):
            ledger = Ledger.reopen(ledger_path, buffer._core.num_added)
        else:  # killed between the two, before anything was added
            ledger = Ledger.create(ledger_path)
        return cls(buffer, ledger, **options)

    @property
    def incarnation(self) -> int:
        """Larger each time that the shard is opened; with every batch, so that late priorities are known."""
        return self._ledger.incarnation

    @property
    def num_added(self) -> int:
        """Rows that are in the buffer or were evicted from it, lost ones left out."""
        return int(self.buffer._core.num_added)

    def standing(self, actor: int) -> Standing:
        """How far the shard has come with an actor: a new process of it goes on behind that."""
        with self._lock:
            return self._actors.get(actor, Standing())

    def add(self, chunk: Chunk) -> Answer:
        """Stores a chunk if it is the next of its actor; raises what `ReplayBuffer.extend` raises for rows it refuses."""
        with self._lock:
            known = self._actors.get(chunk.actor, Standing())
            if chunk.life < known.life:
                self._counts["chunks_outdated"] += 1
                return self._answer("outdated", chunk.actor)
            if chunk.life > known.life:
                known = self._begin_life(chunk, known)
            if chunk.sequence <= known.sequence:
                self._counts["chunks_repeated"] += 1
                return self._answer("repeated", chunk.actor)
            if chunk.sequence not in (known.sequence + 1, max(known.sequence + 1, chunk.oldest)):
                return self._answer("missing", chunk.actor)
            if self._limiter is not None and not self._limiter.may_add(chunk.num_rows):
                self._counts["waits"] += 1
                return self._answer("wait", chunk.actor)
            self._store(chunk, known)
            self._flush_if_due()
            return self._answer("stored", chunk.actor)

    def _begin_life(self, chunk: Chunk, known: Standing) -> Standing:
        """A new process has new environments: what the old one left open is over, in its lanes alone."""
        if known.life:
            self.buffer.end_episodes(chunk.lanes)
        self._actors[chunk.actor] = begun = known._replace(life=chunk.life)
        return begun

    def _store(self, chunk: Chunk, known: Standing) -> None:
        if chunk.sequence > known.sequence + 1:  # what was between will never come
            self._counts["rows_lost"] += chunk.first_row - known.num_rows
            self.buffer.end_episodes(chunk.lanes)
        try:
            for step in decode(chunk.rows, self.buffer._spec.obs):
                self.buffer.extend(*step[1:7], step.env_ids, priority=step.priority, extras=step.extras)
        finally:  # a part of it may be there: it is not asked for again
            self._actors[chunk.actor] = Standing(chunk.life, chunk.sequence, chunk.first_row + chunk.num_rows)
        self._counts["chunks_stored"] += 1
        if self._limiter is not None:
            self._limiter.added(chunk.num_rows)

    def _answer(self, status: Any, actor: int) -> Answer:
        known = self._actors.get(actor, Standing())
        flushed = self._ledger.flushed.actors.get(actor, Standing()).sequence
        return Answer(status, self.incarnation, known.sequence, flushed, known.num_rows)

    def hear(self, elsewhere: Elsewhere) -> None:
        """Tells the limiter what happened in the other shards, and what the learner has drawn."""
        with self._lock:
            if self._limiter is not None:
                added = self.num_added + elsewhere.num_added
                self._limiter.restore({"num_added": added, "num_sampled": elsewhere.num_sampled})

    def pull(
        self, batch_size: int, elsewhere: Elsewhere = NOWHERE, out: mujigae.Batch | None = None
    ) -> Pulled | None:
        """Draws a batch, into `out` if given; None: wait, for rows or for the limiter, which learns what happened `elsewhere`.

        Raises ValueError for an `out` that does not fit.
        """
        with self._lock:
            self.hear(elsewhere)
            if self._limiter is not None and not self._limiter.may_sample(batch_size):
                self._counts["waits"] += 1
                return None
            self._flush_if_due()
            try:
                batch = self.buffer.sample(batch_size, beta=0.0, out=out)
            except ValueError:
                if self.share().num_rows < batch_size:  # nothing can be drawn yet
                    return None
                raise
            if self._limiter is not None:
                self._limiter.sampled(batch_size)
            self._counts["num_sampled"] += batch_size
            share = self._share_of(batch.key[:1], batch.probability[0])
            return Pulled(batch, self.incarnation, share, self.num_added)

    def share(self) -> Share:
        """What it holds now; moves the buffer's generator by one draw."""
        with self._lock:
            try:
                key, probability = self.buffer.draw(1)
            except ValueError:
                return Share(0, 0.0)
            return self._share_of(key, probability[0])

    def _share_of(self, key: Any, probability: float) -> Share:
        """From one row's leaf and chance, P = (1 - u) leaf / total + u / N."""
        sampler, num_rows = self.buffer.sampler, len(self.buffer)
        if not isinstance(sampler, PrioritySampler):
            return Share(num_rows, float(num_rows))
        uniform = sampler.uniform_share if isinstance(sampler, Proportional) else 0.0
        by_priority = probability - uniform / num_rows
        if not isinstance(sampler, Proportional) or by_priority <= 0.0:
            return Share(num_rows, float(num_rows))
        leaf = _core.power(self.buffer.priorities(key) + sampler.eps, sampler.alpha)[0]
        return Share(num_rows, float(leaf * (1.0 - uniform) / by_priority))

    def update(self, incarnation: int, key: Any, priorities: Any) -> int:
        """Sets the priorities of a batch's rows [B]; returns how many were still there, 0 of another incarnation."""
        with self._lock:
            if incarnation != self.incarnation:
                self._counts["priorities_of_other_incarnations"] += len(key)
                return 0
            applied: int = self.buffer.update_priorities(key, priorities)
            self._counts["priorities_applied"] += applied
            self._counts["priorities_of_evicted_rows"] += len(key) - applied
            return applied

    def flush(self) -> None:
        """Everything added up to now survives a kill when this returns."""
        with self._lock:
            _flush(self.buffer, self._ledger, self._actors)
            self._flushed_at = time.monotonic()
            self._counts["flushes"] += 1

    def _flush_if_due(self) -> None:
        num_rows = self.num_added - self._ledger.flushed.num_added
        is_late = time.monotonic() - self._flushed_at >= self._flush_seconds
        if num_rows >= self._flush_rows or (num_rows and is_late):
            self.flush()

    def end_episodes(self) -> None:
        """Ends what is open as truncated: a run that is resumed begins new episodes."""
        self.buffer.end_episodes()

    def counts(self) -> Counts:
        """What it has seen."""
        held = self.incarnation, self.num_added, len(self.buffer), self.buffer.nbytes
        return Counts(*held, **self._counts)

    def close(self) -> None:
        """Flushes, and lets go of the file; the shard is of no further use."""
        with self._lock:
            self._finalizer()
            self.buffer = None


def _flush(buffer: Any, ledger: Ledger, actors: dict[int, Standing]) -> None:
    record = Record(int(buffer._core.num_added), dict(actors))
    ledger.announce(record)
    buffer.flush()
    ledger.confirm(record)


def _reopened(path: Path) -> Any:
    give_up_at = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            return mujigae.load(path)
        except OSError:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(0.1)
