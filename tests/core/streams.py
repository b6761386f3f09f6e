"""Streams of transitions for the core tests. NumPy only."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Space(NamedTuple):
    """A space without gymnasium."""

    shape: tuple[int, ...]
    dtype: Any


VECTOR = Space((1,), np.float32)
ACTION = Space((), np.int64)
PADDINGS = ("zeros", "repeat", "continue", "same", "arbitrary")


class Stream:
    """One environment whose observations are rolling stacks; `step` gives (obs, next_obs)."""

    def __init__(
        self, rng: np.random.Generator, stack: int, frame: tuple[int, ...] = (2,), values: int = 200
    ) -> None:
        self.rng, self.stack, self.frame, self.values = rng, stack, frame, values
        self.obs: Any = np.zeros((stack, *frame), np.uint8)
        self.reset("zeros")

    def new_frame(self) -> Any:
        """Anything; a large one has some bytes of the frame before, or most, or all."""
        frame = self.rng.integers(0, self.values, self.frame, dtype=np.uint8)
        if frame.size < 1000:
            return frame
        share = self.rng.choice([0.0, 0.5, 0.99, 1.0])
        return np.where(self.rng.random(self.frame) < share, self.obs[-1], frame)

    def reset(self, padding: str) -> None:
        """Begins an episode with a first stack of one of PADDINGS."""
        frame = self.new_frame()
        if padding == "zeros":
            self.obs = np.stack([np.zeros_like(frame)] * (self.stack - 1) + [frame])
        elif padding == "repeat":
            self.obs = np.stack([frame] * self.stack)
        elif padding == "continue":
            self.obs = np.concatenate([self.obs[1:], frame[None]])
        elif padding == "arbitrary":
            self.obs = np.stack([self.new_frame() for _ in range(self.stack)])
        else:
            assert padding == "same"

    def step(self) -> tuple[Any, Any]:
        obs = self.obs
        self.obs = np.concatenate([obs[1:], self.new_frame()[None]])
        return obs, self.obs


def add_episode(buffer: Any, rewards: list[float], *, terminated: bool, start: float = 0.0) -> None:
    """An episode of one environment whose t-th observation is [start + t]; it ends terminated or truncated."""
    for t, reward in enumerate(rewards):
        is_last = t == len(rewards) - 1
        buffer.add(
            np.array([start + t], np.float32),
            t,
            reward,
            np.array([start + t + 1], np.float32),
            is_last and terminated,
            is_last and not terminated,
        )


def drawn_rows(buffer: Any, num_batches: int = 40) -> dict[float, tuple[float, float, float, bool]]:
    """Everything that can be drawn: obs -> (reward, next_obs, discount, terminated), checked to be the same each time."""
    rows: dict[float, tuple[float, float, float, bool]] = {}
    for _ in range(num_batches):
        batch = buffer.sample(64)
        for i, obs in enumerate(batch.obs[:, 0]):
            row = (
                float(batch.reward[i]),
                float(batch.next_obs[i, 0]),
                float(batch.discount[i]),
                bool(batch.terminated[i]),
            )
            assert rows.setdefault(float(obs), row) == row
    return rows


def assert_same_batch(a: Any, b: Any) -> None:
    """Equal bit for bit, field by field."""
    for name, x, y in zip(a._fields, a, b, strict=True):
        _assert_same(name, x, y)


def _assert_same(name: str, x: Any, y: Any) -> None:
    if isinstance(x, dict):
        assert x.keys() == y.keys()
        for key in x:
            _assert_same(f"{name}[{key}]", x[key], y[key])
    elif isinstance(x, tuple):
        for i, (p, q) in enumerate(zip(x, y, strict=True)):
            _assert_same(f"{name}[{i}]", p, q)
    else:
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()), name


def vector_buffer(impl: ModuleType, capacity: int = 100, **arguments: Any) -> Any:
    return impl.PrioritizedReplayBuffer(capacity, VECTOR, ACTION, **{"seed": 0, **arguments})


def stacked_buffer(impl: ModuleType, capacity: int = 100, **arguments: Any) -> Any:
    space = Space((4, 2), np.uint8)
    return impl.PrioritizedReplayBuffer(capacity, space, ACTION, **{"frame_stack": 4, "seed": 0, **arguments})


def add_stacks(buffer: Any, num_steps: int, seed: int = 0) -> Stream:
    stream = Stream(np.random.default_rng(seed), 4)
    for t in range(num_steps):
        obs, next_obs = stream.step()
        buffer.add(obs, t, 1.0, next_obs, False, False)
    return stream


def good_arguments() -> dict[str, Any]:
    obs = np.zeros((2, 4, 2), np.uint8)
    flags = np.zeros(2, bool)
    return {
        "obs": obs,
        "action": np.zeros(2, np.int64),
        "reward": np.zeros(2),
        "next_obs": obs.copy(),
        "terminated": flags,
        "truncated": flags.copy(),
    }
