"""Buffers with one fault each, in how they draw and in what they make of priorities."""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.conformance import Batch, Config
from mujigae.conformance.ours import Mujigae


def slot_mask(buffer: Any) -> int:
    """The bits of a key that name its slot."""
    spec = buffer._spec
    stack = max(spec.stack for spec in spec.obs.specs)
    num_slots = spec.capacity + spec.num_envs * (spec.n_step - 1 + stack)
    return (1 << (num_slots - 1).bit_length()) - 1


class GivesOneOutput(Mujigae):
    """Every batch of a size is written over the one before it."""

    last: Any = None

    def sample(self, batch_size: int) -> Batch:
        if self.last is None or len(self.last.reward) != batch_size:
            self.last = super().sample(batch_size)
        else:
            self.last = self.buffer.sample(batch_size, out=self.last)
        return Batch(*self.last)


class UpdatesTheLastBatch(Mujigae):
    """Priorities go to the rows of the batch drawn last, whatever the keys."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        self.last = batch.key
        return batch

    def update_priorities(self, key: Any, priorities: Any) -> None:
        super().update_priorities(self.last[: len(priorities)], priorities)


class UpdatesWhateverIsThere(Mujigae):
    """Late priorities go to the row that is in the slot now."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        mask = slot_mask(self.buffer)
        now = {one & mask: one for one in self.buffer.sample(512).key.tolist()}
        keys = [now.get(int(one) & mask, one) for one in key]
        super().update_priorities(keys, priorities)


class UpdatesOneByOne(Mujigae):
    """Part of an update that is refused has happened; keys out of range wrap around; the first of duplicates wins."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        held = sorted(set(self.buffer.sample(512).key.tolist()))
        for one, value in list(zip(key, priorities, strict=True))[::-1]:
            mine = int(one) if int(one) in held else held[int(one) % len(held)]
            if np.isfinite(value) and value >= 0:
                super().update_priorities([mine], [value])
        if not (np.isfinite(priorities) & (np.asarray(priorities) >= 0)).all():
            raise ValueError("too late")


class DividesByZero(Mujigae):
    """Weights of equal rows are not finite."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=np.full_like(batch.weight, np.nan))


class ScalesWeightsForEver(Mujigae):
    """The smallest priority ever given decides over the weights."""

    smallest = 1.0

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.smallest = min(self.smallest, float(np.min(priorities)))
        super().update_priorities(key, priorities)

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=batch.weight * np.float32(self.smallest))


class WeighsNewRowsTwice(Mujigae):
    """Their priority is raised to a power that updates are not."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        super().update_priorities(key, np.asarray(priorities) ** 2)
        super().update_priorities(key, priorities)


class RemembersPriorities(Mujigae):
    """The first slots keep some of the largest priority that they ever had."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        largest = self.__dict__.setdefault("largest", {})
        values = []
        for one, value in zip(np.asarray(key).tolist(), np.asarray(priorities).tolist(), strict=True):
            largest[one] = max(largest.get(one, 0.0), value)
            values.append(value + 1e-12 * largest[one] * ((one & slot_mask(self.buffer)) < 16))
        super().update_priorities(key, values)


class DrawsFewRows(Mujigae):
    """Only keys of one remainder come: what float32 sums do beside an outlier; and uneven shares elsewhere."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        rows = np.flatnonzero((batch.key & 3 == 0) | (batch.weight < 1e-5))
        return Batch(*(np.ascontiguousarray(field[np.resize(rows, batch_size)]) for field in batch[:9]))


class DrawsTheSameTimes(Mujigae):
    """The first environment's times in every environment."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        quarter = batch_size // 4
        obs = np.tile(batch.obs[:quarter], (4, 1, 1))
        obs.reshape(batch_size, -1)[:, 1] = np.repeat(np.arange(4), quarter)
        return batch._replace(obs=obs)


class DrawsUnwrittenRows(Mujigae):
    """The last row of a batch is a slot that was never written; and an empty buffer gives some."""

    def sample(self, batch_size: int) -> Batch:
        if len(self.buffer) == 0:
            return Batch(*[np.zeros((batch_size, 1))] * 8)
        batch = super().sample(batch_size)
        batch.obs[-1] = 0
        return batch


class IsNotStratified(Mujigae):
    """Stratified in name only."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.prioritized:
            self.buffer = Mujigae(Config(**{**config.__dict__, "stratified": False})).buffer


class GivesWrongWeights(Mujigae):
    """Weight 1, whatever the share."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=np.ones_like(batch.weight))


class ReadsTheGlobalGenerator(Mujigae):
    """Its seed is drawn from `np.random`, whatever it is told."""

    def __init__(self, config: Config) -> None:
        super().__init__(Config(**{**config.__dict__, "seed": int(np.random.randint(2**31))}))

    def sample(self, batch_size: int) -> Batch:
        np.random.random()
        return super().sample(batch_size)


class GivesOneRowNoWeight(Mujigae):
    """The weight of the only row is 0."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=batch.weight * np.float32(len(self.buffer) > 1))


class RanksBySize(Mujigae):
    """Draws in proportion to the priorities where ranks are asked for."""

    def __init__(self, config: Config) -> None:
        super().__init__(Config(**{**config.__dict__, "rank_based": False}))


class RanksNewRowsLast(Mujigae):
    """The newest row gets a priority of 0."""

    def add(self, *step: Any, **env_ids: Any) -> None:
        super().add(*step, **env_ids)
        super().update_priorities([self.buffer.sample(64).key.max()], [0.0])


class IgnoresTheUniformShare(Mujigae):
    """All draws are by priority."""

    def __init__(self, config: Config) -> None:
        super().__init__(Config(**{**config.__dict__, "uniform_share": 0.0}))


class DrawsWithReplacement(Mujigae):
    """Whatever it is told."""

    def __init__(self, config: Config) -> None:
        super().__init__(Config(**{**config.__dict__, "replacement": True}))


class HeapTree:
    """Leaves in the order of a heap, sums by differences, a search without bounds: a fault for each case of trees."""

    def __init__(self, capacity: int) -> None:
        self.leaves, self.total = np.zeros(capacity), 0.0

    def update(self, indices: Any, values: Any) -> None:
        for i, value in zip(indices, values, strict=True):
            self.total += value - self.leaves[i]
            self.leaves[i] = value

    def find(self, targets: Any) -> Any:
        order = np.roll(np.arange(len(self.leaves)), -(len(self.leaves) & (len(self.leaves) - 1)))
        return order[
            np.minimum(np.searchsorted(np.cumsum(self.leaves[order]), targets, "right"), len(order) - 1)
        ]


class HasAPoorTree(Mujigae):
    """Lends out a tree with the faults of a `HeapTree`."""

    @classmethod
    def tree(cls, capacity: int) -> Any:
        return HeapTree(capacity)
