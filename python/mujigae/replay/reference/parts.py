"""The parts of the reference buffers in plain NumPy: random words, sum tree, frame ring, n-step windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mujigae.replay.batch import Validity

__all__ = [
    "MAX_VALUE",
    "MIN_VALUE",
    "FrameRing",
    "NStepAccumulator",
    "Philox",
    "SumTree",
    "check_env_ids",
    "check_n_step_and_gamma",
    "check_rewards",
    "max_reward",
    "window_of",
]

FAN_OUT = 16  # children of a tree node, added from left to right
MIN_VALUE, MAX_VALUE = 2.0**-900, 2.0**900  # of a leaf that is not zero
MAX_N_STEP = 2**30


class Philox:
    """NumPy's Philox, each call of `words` beginning at a fresh block of four."""

    def __init__(self, seed: Any) -> None:
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.key = sequence.generate_state(2, np.uint64)
        self.counter = 0

    def words(self, count: int) -> list[int]:
        generator = np.random.Philox(key=self.key, counter=self.counter)
        self.counter += -(-count // 4)
        return [int(word) for word in generator.random_raw(count)]


def running_sums(values: Any) -> Any:
    """Sums [nodes, 16] from left to right, carried as unevaluated pairs (Knuth's two-sum), rounded where they are read."""
    high, low = np.zeros(len(values)), np.zeros(len(values))
    sums = np.empty_like(values)
    for i in range(FAN_OUT):
        x = values[:, i]
        total = high + x
        part = total - high
        low = low + ((high - (total - part)) + (x - part))
        high = total
        sums[:, i] = high + low
    return sums


class SumTree:
    """Draws indices in proportion to non-negative leaves."""

    def __init__(self, capacity: int, seed: Any = None) -> None:
        if not 1 <= capacity <= 2**40:
            raise ValueError(f"capacity: expected 1 to 2^40, got {capacity}")
        self._capacity = capacity
        self._leaves = np.zeros(-(-capacity // FAN_OUT) * FAN_OUT)
        self._random = Philox(seed)

    def update(self, indices: Any, values: Any) -> None:
        indices, values = np.asarray(indices), np.asarray(values, np.float64)
        if len(indices) != len(values):
            raise ValueError(f"values: expected {len(indices)} of them, got {len(values)}")
        for i, index in enumerate(indices):
            if not 0 <= index < self._capacity:
                raise IndexError(f"indices[{i}]: expected 0 <= index < {self._capacity}, got {index}")
            if values[i] != 0.0 and not MIN_VALUE <= values[i] <= MAX_VALUE:
                raise ValueError(
                    f"values[{i}]: expected 0, or a number from 2^-900 to 2^900, got {values[i]}"
                )
        for index, value in zip(indices, values, strict=True):
            self._leaves[index] = value

    def _levels(self) -> list[Any]:
        """Children of every level, [nodes, 16]: the leaf blocks first, the root's children last."""
        levels = [self._leaves.reshape(-1, FAN_OUT)]
        while len(levels) < 2 or len(levels[-1]) > 1:
            totals = running_sums(levels[-1])[:, -1]
            levels.append(np.pad(totals, (0, -len(totals) % FAN_OUT)).reshape(-1, FAN_OUT))
        return levels

    @property
    def total(self) -> float:
        return float(running_sums(self._levels()[-1])[0, -1])

    @property
    def min(self) -> float:
        return float(np.min(self._leaves[self._leaves > 0.0], initial=math.inf))

    def find(self, targets: Any) -> Any:
        if self.total == 0.0:
            raise ValueError("find: every leaf is zero, nothing can be found")
        for i, target in enumerate(targets):
            if not target >= 0.0:
                raise ValueError(f"targets[{i}]: expected a number of at least 0, got {target}")
        levels, total = self._levels(), self.total
        return np.array([self._find(levels, total, float(target)) for target in targets], np.int64)

    def _find(self, levels: list[Any], total: float, target: float) -> int:
        target = target if target < total else math.inf
        node = 0
        for height in reversed(range(1, len(levels))):
            row = levels[height][node]
            before = np.concatenate([[0.0], running_sums(row[None])[0, :-1]])
            child = int(np.sum(before <= target)) - 1
            target -= before[child]
            node = min(node * FAN_OUT + child, len(levels[height - 1]) - 1)
        leaf = node * FAN_OUT + int(np.sum(running_sums(levels[0][node][None])[0] <= target))
        if leaf < (node + 1) * FAN_OUT:
            return leaf
        return int(np.flatnonzero(self._leaves[:leaf])[-1])  # rounding, or a target past everything

    def sample(self, batch_size: int, stratified: bool = False) -> Any:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        if self.total == 0.0:
            raise ValueError("sample: every leaf is zero, nothing can be drawn")
        units = np.array([(word >> 11) * 2.0**-53 for word in self._random.words(batch_size)])
        return self.find(
            (np.arange(batch_size) + units) * (self.total / batch_size) if stratified else units * self.total
        )

    def __getitem__(self, index: Any) -> Any:
        if np.ndim(index) == 0 and not 0 <= index < self._capacity:
            raise IndexError(f"index: expected 0 <= index < {self._capacity}, got {index}")
        return float(self._leaves[index]) if np.ndim(index) == 0 else self._leaves[np.asarray(index)]

    def __len__(self) -> int:
        return self._capacity

    def check_valid(self) -> Validity:
        return Validity(bool(np.all(self._leaves >= 0.0)), "")


class FrameRing:
    """The last `capacity` rolling stacks, each kept whole."""

    def __init__(
        self, capacity: int, frame_shape: Any, stack: int, *, dtype: Any = np.uint8, compress: bool = False
    ) -> None:
        del compress  # changes nothing but the memory
        self.capacity = capacity
        self._stacks: list[Any] = []
        self._shape, self._dtype = (stack, *frame_shape), np.dtype(dtype)

    def _keep(self, stack: Any) -> int:
        if stack.shape != self._shape:
            raise ValueError(f"frames: expected shape {self._shape}, got {stack.shape}")
        if stack.dtype != self._dtype:
            raise TypeError(f"frames: expected dtype {self._dtype}, got {stack.dtype}")
        self._stacks.append(stack.copy())
        return (len(self._stacks) - 1) % self.capacity

    def start(self, frames: Any) -> int:
        return self._keep(np.asarray(frames))

    def append(self, frame: Any) -> int:
        if not self._stacks:
            raise ValueError("append: expected a started episode, got none")
        return self._keep(np.concatenate([self._stacks[-1][1:], np.asarray(frame)[None]]))

    def stacks(self, slots: Any, out: Any = None) -> Any:
        newest = len(self._stacks) - 1
        for i, slot in enumerate(slots):
            if not 0 <= slot < len(self):
                raise IndexError(f"slots[{i}]: expected 0 <= slot < {len(self)}, got {slot}")
        out = np.empty((len(slots), *self._shape), self._dtype) if out is None else out
        out[:] = [self._stacks[newest - (newest - slot) % self.capacity] for slot in slots]
        return out

    def __len__(self) -> int:
        return min(len(self._stacks), self.capacity)

    def check_valid(self) -> Validity:
        return Validity(True, "")


class NStepAccumulator:
    """n-step returns as a stream."""

    def __init__(self, n_step: int, gamma: float, num_envs: int = 1) -> None:
        check_n_step_and_gamma(n_step, gamma)
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        self.n_step, self.gamma, self.num_envs = n_step, gamma, num_envs
        self.clear()

    def push(self, reward: Any, terminated: Any, truncated: Any, env_ids: Any = None) -> tuple[Any, ...]:
        ids = np.arange(self.num_envs) if env_ids is None else np.asarray(env_ids)
        check_env_ids(ids, self.num_envs)
        check_rewards(np.asarray(reward, np.float64), self.n_step)
        completed = []
        for env, *outcome in zip(ids, reward, terminated, truncated, strict=True):
            lane = self._lanes[env]
            lane.append((float(outcome[0]), bool(outcome[1]), bool(outcome[1] or outcome[2])))
            while lane and (lane[-1][2] or len(lane) == self.n_step):
                completed.append((env, len(lane) - 1, *window_of(lane, self.n_step, self.gamma)[:3]))
                lane.pop(0)
        dtypes = (np.int64, np.int64, np.float32, np.float32, np.int64)
        columns = zip(*completed, strict=True) if completed else [()] * 5
        return tuple(np.array(list(column), dtype) for column, dtype in zip(columns, dtypes, strict=True))

    def clear(self) -> None:
        self._lanes: list[list[Any]] = [[] for _ in range(self.num_envs)]

    def check_valid(self) -> Validity:
        return Validity(all(len(lane) < self.n_step for lane in self._lanes), "")


def window_of(steps: Any, n_step: int, gamma: float) -> tuple[float, float, int, bool]:
    """(reward, discount, steps, terminated) of the window at the head of `steps`: (reward, terminated, ended) each."""
    total, discount, count, terminated = 0.0, 1.0, 0, False
    for reward, is_terminal, ended in steps[:n_step]:
        terminated = is_terminal
        total += discount * reward
        discount *= gamma
        count += 1
        if ended:
            break
    return total, 0.0 if terminated else discount, count, terminated


def check_n_step_and_gamma(n_step: int, gamma: float) -> None:
    if not 1 <= n_step <= MAX_N_STEP:
        raise ValueError(f"n_step: expected 1 to {MAX_N_STEP}, got {n_step}")
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma: expected a number from 0 to 1, got {gamma}")


def check_env_ids(ids: Any, num_envs: int) -> None:
    for i, env in enumerate(ids):
        if not 0 <= env < num_envs:
            raise IndexError(f"env_ids[{i}]: expected 0 <= id < {num_envs}, got {env}")
        if env in ids[:i]:
            raise ValueError(f"env_ids[{i}]: expected each id once, got {env} again")


def max_reward(n_step: int) -> float:
    """The largest reward, either way, of which n have a sum that float32 holds."""
    return float(np.finfo(np.float32).max) / n_step


def check_rewards(rewards: Any, n_step: int) -> None:
    for i, reward in enumerate(rewards):
        if not math.isfinite(reward):
            raise ValueError(f"reward[{i}]: expected a finite number, got {reward}")
        if abs(reward) > max_reward(n_step):
            raise ValueError(f"reward[{i}]: expected at most {max_reward(n_step)} either way, got {reward}")
