"""The engine's specification: the same interface in plain NumPy, short enough to read in one sitting, and slow.

Every core test runs on this and on the compiled engine, and batches are compared bit for bit. Only `power` is shared.
Observations are stored twice and whole, windows are found by walking, trees are rebuilt at every change: nothing here is clever.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mujigae.replay.arguments import as_int
from mujigae.replay.batch import Batch, SequenceBatch, Validity
from mujigae.replay.reference.lanes import Drawn, Lane, Row, checked_size, refill, single
from mujigae.replay.reference.parts import (
    Philox,
    check_env_ids,
    check_n_step_and_gamma,
    check_rewards,
    max_reward,
    window_of,
)
from mujigae.replay.reference.samplers import SAMPLERS, Ready, weights
from mujigae.replay.reference.sequences import SEQUENCE_COLUMNS, checked_shape, sequence_of

__all__ = ["Buffer"]

MAX_PREFETCH = 1024  # batches


class Buffer:
    """The core behind `ReplayBuffer`, with the interface of `_core.Buffer`."""

    def __init__(
        self,
        capacity: int,
        num_envs: int,
        n_step: int,
        gamma: float,
        obs: list[Any],
        stacks: list[int],
        action: Any,
        validate: bool,
        seed: Any,
        compress: bool,
        file: Any,
        prefetch: int,
        sampler: tuple[str, dict[str, Any]],
        tree: Any,
        extras: list[Any],
    ) -> None:
        del compress, tree  # change nothing but the memory and the way in
        if file is not None:
            raise ValueError("path: the reference keeps everything in memory")
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        if capacity < num_envs:
            raise ValueError(f"capacity: expected at least num_envs = {num_envs}, got {capacity}")
        check_n_step_and_gamma(n_step, gamma)
        if not 0 <= prefetch <= MAX_PREFETCH:
            raise ValueError(f"prefetch: expected 0 to {MAX_PREFETCH}, got {prefetch}")
        self._n_step, self._gamma, self._stacks, self._validate = n_step, gamma, stacks, validate
        self._lanes: list[Lane] = []
        self._num_slots = 0
        for e in range(num_envs):
            share = capacity // num_envs + (e < capacity % num_envs)
            self._lanes.append(Lane(share, n_step - 1 + max(stacks), self._num_slots))
            self._num_slots += self._lanes[-1].num_slots
        self._slot_bits = (self._num_slots - 1).bit_length()
        for lane in self._lanes:
            lane.slot_bits = self._slot_bits
        self._random = Philox(seed)
        self._extra_names = [name for name, _ in extras]
        self._sampler = SAMPLERS[sampler[0]](**sampler[1])
        self._prefetch, self._ahead = prefetch, list[Drawn]()
        self._new_priority = 1.0
        self.num_added = self.num_silent_boundaries = self._most_reset_steps = 0

    def add_exact(self, *step: Any) -> int | None:
        """Every step is converted here: None."""
        return None

    def add(
        self,
        obs: list[Any],
        action: Any,
        reward: Any,
        next_obs: list[Any],
        terminated: Any,
        truncated: Any,
        env_ids: Any,
        num_steps: int,
        priority: Any,
        extras: list[Any],
    ) -> None:
        check_env_ids(env_ids, len(self._lanes))
        check_rewards(reward, self._n_step)
        for i, value in enumerate([] if priority is None else priority):
            self._sampler.check_priority(f"priority[{i}]", float(value))
        if self._validate:
            self._check_stacks_roll(obs, next_obs)
        for i in range(len(reward)):
            row = Row(
                [o[i].copy() for o in obs],
                action[i].copy(),
                float(reward[i]),
                [o[i].copy() for o in next_obs],
                bool(terminated[i]),
                bool(terminated[i] or truncated[i]),
                self._new_priority if priority is None else float(priority[i]),
                [x[i].copy() for x in extras],
            )
            self._new_priority = max(self._new_priority, row.priority)
            self._add_row(self._lanes[env_ids[i % len(env_ids)]], row)

    def _check_stacks_roll(self, obs: list[Any], next_obs: list[Any]) -> None:
        for i in range(len(obs[0])):
            for c, stack in enumerate(self._stacks):
                step = len(obs[c][i]) // stack if stack > 1 else 0
                if stack > 1 and next_obs[c][i][:-step].tobytes() != obs[c][i][step:].tobytes():
                    raise ValueError(
                        f"next_obs[{i}]: expected its first {stack - 1} frames to be the last of obs"
                    )

    def _add_row(self, lane: Lane, row: Row) -> None:
        if self._validate:
            self.num_silent_boundaries += lane.is_interrupted_by(row)
            self._most_reset_steps = max(self._most_reset_steps, lane.num_reset_steps)
        lane.rows.append(row)
        lane.evict(self._n_step)
        self.num_added += 1

    def _ready(self) -> list[tuple[Lane, int]]:
        return [(lane, i) for lane in self._lanes for i in range(lane.num_ready(self._n_step))]

    def _ready_rows(self) -> list[Ready]:
        return [Ready(lane.slot(i), lane.rows[i].priority) for lane, i in self._ready()]

    def _check_can_draw(self, batch_size: int, beta: float | None) -> None:
        if beta is not None and not 0.0 <= beta < math.inf:
            raise ValueError(f"beta: expected a finite number of at least 0, got {beta}")
        if len(self) == 0:
            raise ValueError("sample: expected at least one row whose n-step window is complete, got none")
        self._sampler.check_can_draw(self._ready_rows(), batch_size)

    def sample(self, batch_size: Any, beta: float | None, out: Any) -> Any:
        size = checked_size(batch_size)
        self._check_can_draw(size, beta)
        if self._ahead and len(self._ahead[0].masses) != size:
            self._drop_ahead()
        while len(self._ahead) <= self._prefetch:
            self._ahead.append(self._draw_ahead(size))
        drawn = self._ahead.pop(0)
        arrays = drawn.arrays(weights(drawn.masses, self.beta if beta is None else beta))
        return Batch(*arrays) if out is None else refill(out, arrays)

    def _drop_ahead(self) -> None:
        """The next batch is drawn again, with the numbers that the oldest one dropped was drawn with."""
        if self._ahead:
            self._random.counter = self._ahead[0].counter
        self._ahead.clear()

    def _draw_ahead(self, batch_size: int) -> Drawn:
        counter = self._random.counter
        positions = self._sampler.draw(self._ready_rows(), self._random, batch_size)
        return self._gathered(counter, positions)

    def _gathered(self, counter: int, positions: list[int]) -> Drawn:
        """The batch of the rows at these positions among those that can be drawn."""
        ready = self._ready()
        masses, total = self._sampler.masses(self._ready_rows())
        drawn, masses = [ready[i] for i in positions], [masses[i] for i in positions]
        rows = [lane.rows[i] for lane, i in drawn]
        windows = [
            window_of([(r.reward, r.terminated, r.ended) for r in lane.rows[i:]], self._n_step, self.gamma)
            for lane, i in drawn
        ]
        last = [lane.rows[i + window[2] - 1] for (lane, i), window in zip(drawn, windows, strict=True)]
        before = (
            single([np.stack([row.obs[c] for row in rows]) for c in range(len(self._stacks))]),
            np.stack([row.action for row in rows]),
            np.array([window[0] for window in windows], np.float32),
            single([np.stack([row.next_obs[c] for row in last]) for c in range(len(self._stacks))]),
            np.array([window[1] for window in windows], np.float32),
            np.array([window[3] for window in windows], np.bool_),
        )
        key = np.array([lane.key(i) for lane, i in drawn], np.int64)
        probability = np.array([mass / total if total > 0.0 else 0.0 for mass in masses])
        after = key, probability, self._extras_of(rows)
        return Drawn(counter, lambda weight: (*before, weight, *after), masses, probability)

    def _extras_of(self, rows: list[Any]) -> dict[str, Any]:
        """Of rows, or of sequences."""
        return {name: np.stack([row.extras[x] for row in rows]) for x, name in enumerate(self._extra_names)}

    def draw(self, batch_size: Any) -> tuple[Any, Any]:
        size = checked_size(batch_size)
        self._check_can_draw(size, None)
        self._drop_ahead()
        drawn = self._draw_ahead(size)
        return drawn.arrays(None)[7], drawn.probability

    def gather(self, key: Any, beta: float | None) -> Batch:
        positions = {lane.key(i): position for position, (lane, i) in enumerate(self._ready())}
        for i, one in enumerate(key):
            self._row_of(one, i)
            if int(one) not in positions:
                raise IndexError(f"key[{i}]: expected a row whose n-step window is complete, got {one}")
        if len(key) == 0:
            raise ValueError("key: expected at least one, got none")
        drawn = self._gathered(0, [positions[int(one)] for one in key])
        return Batch(*drawn.arrays(weights(drawn.masses, self.beta if beta is None else beta)))

    def sample_sequences(
        self, batch_size: Any, length: Any, burn_in: Any, beta: float | None
    ) -> SequenceBatch:
        size = checked_size(batch_size)
        shape = checked_shape(as_int("length", length), as_int("burn_in", burn_in))
        self._check_can_draw(size, beta)
        self._drop_ahead()
        positions = self._sampler.draw(self._ready_rows(), self._random, size)
        ready, drawn = self._ready(), self._gathered(0, positions)
        found = [sequence_of(ready[i], shape, self._gamma) for i in positions]
        observations = [np.stack([one.obs[c] for one in found]) for c in range(len(self._stacks))]
        columns = {name: np.stack([getattr(one, name) for one in found]) for name in SEQUENCE_COLUMNS}
        key = np.array([lane.key(i) for lane, i in (ready[position] for position in positions)], np.int64)
        return SequenceBatch(
            obs=single(observations),
            **columns,
            weight=weights(drawn.masses, self.beta if beta is None else beta),
            key=key,
            probability=drawn.probability,
            extras=self._extras_of(found),
        )

    def next_key(self, key: Any) -> Any:
        found = [self._row_of(one, i) for i, one in enumerate(key)]
        has_next = [not lane.rows[i].ended and i + 1 < len(lane.rows) for lane, i in found]
        for (lane, i), has in zip(found, has_next, strict=True):
            lane.issued_end = max(lane.issued_end, lane.first + i + 1 + has)
        return np.array(
            [lane.key(i + 1) if has else -1 for (lane, i), has in zip(found, has_next, strict=True)], np.int64
        )

    def last_key(self) -> Any:
        return np.array([lane.last_key() for lane in self._lanes], np.int64)

    def _row_of(self, key: Any, at: int) -> tuple[Lane, int]:
        """The row of a key that is held; IndexError for any other."""
        if not self._was_issued(int(key)):
            raise IndexError(f"key[{at}]: expected a key that was issued, got {key}")
        for lane in self._lanes:
            for i in range(len(lane.rows)):
                if lane.key(i) == key:
                    return lane, i
        raise IndexError(f"key[{at}]: expected a row that is still there, got {key}, which was overwritten")

    def episodes(self) -> list[tuple[int, int, int, bool]]:
        found = []
        for env, lane in enumerate(self._lanes):
            first = 0
            for i, row in enumerate(lane.rows):
                if row.ended or i + 1 == len(lane.rows):
                    found.append((env, lane.first + first, i + 1 - first, not row.ended))
                    first = i + 1
        return sorted(found, key=lambda episode: (episode[3], episode[1], episode[0]))

    def read_episode(self, env: int, first: int, count: int, with_obs: bool) -> Any:
        lane = self._lanes[env]
        if first < lane.first or first + count > lane.first + len(lane.rows):
            return None
        at = first - lane.first
        rows = lane.rows[at : at + count]
        lane.issued_end = max(lane.issued_end, first + count)
        terminated = np.array([row.terminated for row in rows])
        return (
            [
                np.stack([row.obs[c] for row in rows] + [rows[-1].next_obs[c]])
                for c in range(len(self._stacks) if with_obs else 0)
            ],
            np.stack([row.action for row in rows]),
            np.array([row.reward for row in rows]),
            terminated,
            np.array([row.ended for row in rows]) & ~terminated,
            np.array([lane.key(at + i) for i in range(count)], np.int64),
            list(self._extras_of(rows).values()),
        )

    def reseed(self, seed: Any) -> None:
        self._drop_ahead()
        self._random = Philox(seed)

    def end_episodes(self, env_ids: Any | None) -> None:
        ids = range(len(self._lanes)) if env_ids is None else env_ids
        check_env_ids(ids, len(self._lanes))
        for env in ids:
            self._lanes[env].end_episode(self._n_step)

    def clear(self) -> None:
        self._drop_ahead()
        for lane in self._lanes:
            lane.first += len(lane.rows)
            lane.issued_end = lane.first
            lane.rows.clear()
            lane.begins_episode, lane.num_reset_steps = True, 0
        self._new_priority = 1.0
        self.num_added = self.num_silent_boundaries = self._most_reset_steps = 0

    @property
    def num_doubtful_starts(self) -> int:
        return max(self.num_silent_boundaries, self._most_reset_steps)

    @property
    def n_step(self) -> int:
        return self._n_step

    @n_step.setter
    def n_step(self, n_step: int) -> None:
        check_n_step_and_gamma(n_step, self.gamma)
        largest = max((abs(row.reward) for lane in self._lanes for row in lane.rows), default=0.0)
        if largest > max_reward(n_step):
            raise ValueError(
                f"n_step: expected one with which float32 holds sums of rewards as large as {largest}"
            )
        if n_step != self._n_step:
            self._drop_ahead()
        self._n_step = n_step
        for lane in self._lanes:
            lane.evict(n_step)

    @property
    def gamma(self) -> float:
        return self._gamma

    @gamma.setter
    def gamma(self, gamma: float) -> None:
        check_n_step_and_gamma(self._n_step, gamma)
        if gamma != self._gamma:
            self._drop_ahead()
        self._gamma = gamma

    @property
    def alpha(self) -> float:
        return float(self._sampler.alpha)

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        if alpha != self.alpha:
            self._drop_ahead()
        self._sampler.alpha = alpha

    @property
    def beta(self) -> float:
        return float(self._sampler.beta)

    @beta.setter
    def beta(self, beta: float) -> None:
        self._sampler.beta = beta

    @property
    def max_priority(self) -> float:
        return self._new_priority

    def update_priorities(self, key: Any, priorities: Any) -> int:
        keys, values = [int(k) for k in key], np.asarray(priorities, np.float64)
        if len(keys) != len(values):
            raise ValueError(f"priorities: expected {len(keys)} of them, got {len(values)}")
        for i, value in enumerate(values):
            self._sampler.check_priority(f"priorities[{i}]", float(value))
        held = {lane.key(i): row for lane in self._lanes for i, row in enumerate(lane.rows)}
        for i, one in enumerate(keys):
            if not self._was_issued(one):
                raise IndexError(f"key[{i}]: expected a key that was issued, got {one}")
        for one, value in zip(keys, values, strict=True):
            if one in held:
                held[one].priority = float(value)
                self._new_priority = max(self._new_priority, float(value))
        return sum(one in held for one in keys)

    def priorities(self, key: Any) -> Any:
        found = [self._row_of(one, i) for i, one in enumerate(key)]
        return np.array([lane.rows[i].priority for lane, i in found], np.float64)

    def _was_issued(self, key: int) -> bool:
        generation, slot = key >> self._slot_bits, key & ((1 << self._slot_bits) - 1)
        for lane in self._lanes:
            if key >= 0 and lane.offset <= slot < lane.offset + lane.num_slots:
                return generation * lane.num_slots + slot - lane.offset < lane.issued_end
        return False

    def flush(self) -> None:
        """Nothing to do in memory."""

    def check_valid(self) -> Validity:
        return Validity(all(lane.num_ready(self._n_step) <= lane.capacity for lane in self._lanes), "")

    def __len__(self) -> int:
        return sum(lane.num_ready(self._n_step) for lane in self._lanes)
