"""A shard in a process of its own. It imports neither torch nor gymnasium, so that one that was killed is soon back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import mujigae
from mujigae.distributed.chunk import Chunk
from mujigae.distributed.ledger import Standing
from mujigae.distributed.shard import NOWHERE, Answer, Counts, Elsewhere, Pulled, Shard, Share
from mujigae.distributed.shared_batches import Place, PlaceOpener
from mujigae.replay.rate_limiter import RateLimiter
from mujigae.replay.spec import BufferSpec

__all__ = ["Look", "ShardPlan", "ShardServer"]


class ShardPlan(NamedTuple):
    """What a shard is made of."""

    path: str
    spec: BufferSpec
    seed: int
    samples_per_insert: float
    min_rows: int
    slack: float
    flush_rows: int = 10_000
    flush_seconds: float = 5.0


class Look(NamedTuple):
    """What a shard looks like now."""

    share: Share
    counts: Counts
    process: int


class ShardServer:
    """A shard in a process of its own; see `Shard`."""

    def __init__(self, plan: ShardPlan) -> None:
        def make_buffer(path: Path) -> Any:
            buffer_class = mujigae.PrioritizedReplayBuffer
            is_proportional = isinstance(plan.spec.sampler, mujigae.Proportional)
            made = (buffer_class if is_proportional else mujigae.ReplayBuffer)._of_spec(
                plan.spec, (os.fsencode(path), "new")
            )
            made.reseed(plan.seed)
            return made

        Path(plan.path).parent.mkdir(parents=True, exist_ok=True)
        limiter = RateLimiter(plan.samples_per_insert, plan.min_rows, plan.slack)
        flushes = {"flush_rows": plan.flush_rows, "flush_seconds": plan.flush_seconds}
        self._opener = PlaceOpener()
        self.shard = Shard.open(Path(plan.path), make_buffer, limiter=limiter, **flushes)

    def standing(self, actor: int) -> Standing:
        return self.shard.standing(actor)

    def add(self, chunk: Chunk) -> Answer:
        return self.shard.add(chunk)

    def pull(
        self, batch_size: int, elsewhere: Elsewhere, places: tuple[Place | None, ...] = (None,)
    ) -> tuple[Pulled, ...]:
        """A batch for each place, and in it where that is on this machine: then without its arrays. Fewer: wait for the others."""
        pulled = []
        for number, place in enumerate(places):
            out = None if place is None else self._opener.batch(place)
            before = elsewhere.num_sampled + number * batch_size
            one = self.shard.pull(batch_size, elsewhere._replace(num_sampled=before), out)
            if one is None:
                break
            pulled.append(one if out is None else one._replace(batch=None))
        return tuple(pulled)

    def update(self, incarnation: int, key: Any, priorities: Any) -> int:
        return self.shard.update(incarnation, key, priorities)

    def look(self, elsewhere: Elsewhere = NOWHERE) -> Look:
        self.shard.hear(elsewhere)
        return Look(self.shard.share(), self.shard.counts(), os.getpid())

    def flush(self) -> Counts:
        self.shard.flush()
        return self.shard.counts()

    def close(self) -> None:
        self.shard.close()
