"""What the processes of a run are made of: which lanes are where, how many rows each shard holds, how much memory moves.

Actor a sends to shard a % k, and has `num_envs` neighbouring lanes there, in the order of the actors. The capacity is shared
out by lanes, as it is in one buffer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from mujigae.config.run import Run
from mujigae.distributed.actor_server import ActorPlan
from mujigae.distributed.carriers import Carrier
from mujigae.distributed.puller import MAX_IN_FLIGHT, batches_of_a_call
from mujigae.distributed.shard_server import ShardPlan
from mujigae.errors import ConfigError
from mujigae.replay.spec import BufferSpec
from mujigae.seeds import child_seed
from mujigae.training.loop import Training

__all__ = ["Plan"]

ROWS_OF_CHUNK = 64
SMALLEST_STORE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Plan:
    """See the module."""

    config: Run
    spec: BufferSpec  # of one buffer with all rows
    num_actors: int
    num_shards: int

    @classmethod
    def of(cls, training: Training, num_actors: int, num_shards: int) -> Plan:
        """Raises ConfigError where the capacity does not reach for a row in each lane."""
        config = training.config
        num_lanes = num_actors * config.env.num_envs
        if config.replay.capacity < num_lanes:
            raise ConfigError(
                f"capacity: expected a row for each of {num_lanes} environments of all actors, got {config.replay.capacity}"
            )
        spec = replace(training.buffer._spec, num_envs=num_lanes)
        return cls(config, spec, num_actors, num_shards)

    @property
    def num_processes(self) -> int:
        return self.num_actors + self.num_shards

    @property
    def chunk_steps(self) -> int:
        """Vector steps in a chunk of about 64 rows."""
        return max(ROWS_OF_CHUNK // self.config.env.num_envs, 1)

    @property
    def samples_per_insert(self) -> float:
        """Rows learned from for each that is stored, as in one process."""
        replay = self.config.replay
        return replay.batch_size * replay.num_updates / replay.learn_period_steps

    @property
    def slack(self) -> float:
        """Samples by which adding and drawing may be apart: a chunk of every actor, or two batches of every shard.

        Fewer than are ready or under way to a fast learner: what is drawn ahead is not allowed to shift the ratio.
        """
        chunks = self.num_actors * self.chunk_steps * self.config.env.num_envs * self.samples_per_insert
        batches = (MAX_IN_FLIGHT * self.num_shards + 2) * self.config.replay.batch_size
        return max(chunks, batches)

    @property
    def _drawn_rows(self) -> int:
        """Most of them that are under way to the learner."""
        batch_size = self.config.replay.batch_size
        each = batches_of_a_call(batch_size * self.row_bytes, self.num_shards)
        return MAX_IN_FLIGHT * self.num_shards * each * batch_size

    @property
    def row_bytes(self) -> int:
        """Of the observations in a row of a batch, both of them."""
        return 2 * sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in self.spec.obs.specs)

    @property
    def store_bytes(self) -> int:
        """Twice what can be under way at once: batches, chunks and networks."""
        chunks = (
            MAX_IN_FLIGHT * self.num_actors * self.chunk_steps * self.config.env.num_envs * self.row_bytes
        )
        return max(2 * (self._drawn_rows * self.row_bytes + chunks), SMALLEST_STORE_BYTES)

    def note(self, carrier: Carrier) -> str:
        """One line for the user."""
        actors, environments, shards = (
            f"{count} {what}{'' if count == 1 else 's'}"
            for count, what in (
                (self.num_actors, "actor"),
                (self.config.env.num_envs, "environment"),
                (self.num_shards, "shard"),
            )
        )
        return (
            f"workers: {actors} of {environments}, {shards}, {self.samples_per_insert:g} samples per insert; "
            f"{carrier.note(self.store_bytes)}"
        )

    def shards(self, folder: Path) -> list[ShardPlan]:
        """Each with its file in `folder`."""
        num_envs, capacity = self.config.env.num_envs, self.config.replay.capacity
        each, more = divmod(capacity, self.num_actors * num_envs)
        plans = []
        for s in range(self.num_shards):
            actors = range(s, self.num_actors, self.num_shards)
            lanes = [a * num_envs + e for a in actors for e in range(num_envs)]
            rows = sum(each + (lane < more) for lane in lanes)
            spec = replace(self.spec, capacity=rows, num_envs=len(lanes))
            seed = child_seed(self.config.seed, "replay", 1 + s)
            ratio, first = self.samples_per_insert, self.config.replay.first_update_steps
            path = str(folder.absolute() / f"shard-{s}.mujigae")
            plans.append(ShardPlan(path, spec, seed, ratio, first, self.slack))
        return plans

    def actors(self) -> list[ActorPlan]:
        return [
            ActorPlan(
                self.config,
                a,
                self.num_actors,
                a // self.num_shards * self.config.env.num_envs,
                self.chunk_steps,
            )
            for a in range(self.num_actors)
        ]
