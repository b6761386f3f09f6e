"""One buffer twice, the compiled engine and its plain-NumPy twin, fed and asked alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from streams import PADDINGS, Space, Stream, assert_same_batch

import mujigae
from mujigae.replay import reference
from mujigae.replay.samplers import PrioritySampler, Sampler


@dataclass(frozen=True)
class Column:
    """One array of an observation: `stack` frames of `planes` rows each; stack 1 is an array that does not roll.

    Frames of 1024 bytes and more are those that `compress` makes smaller.
    """

    stack: int
    planes: int = 1
    dtype: str = "uint8"
    width: int = 2

    @property
    def space(self) -> Space:
        return Space((self.stack * self.planes, self.width), np.dtype(self.dtype))

    def of(self, frames: Any) -> Any:
        return frames.reshape(self.space.shape).astype(self.dtype)


@dataclass(frozen=True)
class Plan:
    """What both buffers are constructed with, and how their environments behave."""

    capacity: int
    num_envs: int
    columns: tuple[Column, ...]
    structure: str  # "array" (one column), "dict" or "tuple"
    values: int  # few distinct values make equal frames, zero frames and accidental continuations
    action: Space
    sampler: Sampler
    arguments: dict[str, Any] = field(
        default_factory=dict
    )  # n_step, gamma, compress, prefetch, validate, seed

    @property
    def has_priorities(self) -> bool:
        return isinstance(self.sampler, PrioritySampler)

    def space(self) -> tuple[Any, Any]:
        """observation_space and frame_stack."""
        spaces = [column.space for column in self.columns]
        if self.structure == "array":
            return spaces[0], self.columns[0].stack
        names = ["a", "b.x"] if self.structure == "dict" else ["0", "1.x"]
        stacks = {name: column.stack for name, column in zip(names, self.columns, strict=False)}
        return self.obs(spaces), stacks

    def obs(self, arrays: list[Any]) -> Any:
        """Arrays in the structure of the space."""
        if self.structure == "array":
            return arrays[0]
        nested = [{"x": arrays[1]}] if len(arrays) > 1 else []
        if self.structure == "dict":
            return dict(zip("ab", [arrays[0], *nested], strict=False))
        return (arrays[0], *nested)


class Twins:
    """The pair. Every method does the same to both and checks that both answer alike."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        space, stack = plan.space()
        self.compiled, self.twin = (
            module.ReplayBuffer(
                plan.capacity,
                space,
                plan.action,
                num_envs=plan.num_envs,
                frame_stack=stack,
                sampler=plan.sampler,
                **plan.arguments,
            )
            for module in (mujigae, reference)
        )
        rng = np.random.default_rng(plan.arguments["seed"])
        self.streams = [
            [Stream(rng, c.stack, frame=(c.planes, c.width), values=plan.values) for c in plan.columns]
            for _ in range(plan.num_envs)
        ]

    def both(self, call: Callable[[Any], Any]) -> tuple[Any, Any]:
        """What `call` gives for each, an error being an answer too; errors are of one type on both."""
        answers = [outcome(call, buffer) for buffer in (self.compiled, self.twin)]
        assert isinstance(answers[0], Exception) == isinstance(answers[1], Exception), answers
        if isinstance(answers[0], Exception):
            assert type(answers[0]) is type(answers[1]), answers
        return answers[0], answers[1]

    def steps(self, rng: np.random.Generator, ids: Any, end: float, silent: float) -> tuple[Any, ...]:
        """One transition of each environment in `ids`: (obs, action, reward, next_obs, terminated, truncated)."""
        steps = [[stream.step() for stream in self.streams[e]] for e in ids]
        terminated, truncated = rng.random(len(ids)) < end, rng.random(len(ids)) < end
        for i, e in enumerate(ids):
            if terminated[i] or truncated[i] or rng.random() < silent:
                self.reset(rng, e)
        shape, dtype = self.plan.action
        actions = rng.integers(0, 9, (len(ids), *shape)).astype(dtype)
        return (
            self._obs(steps, 0),
            actions,
            rng.normal(size=len(ids)),
            self._obs(steps, 1),
            terminated,
            truncated,
        )

    def _obs(self, steps: list[Any], which: int) -> Any:
        columns = enumerate(self.plan.columns)
        return self.plan.obs([np.stack([column.of(env[c][which]) for env in steps]) for c, column in columns])

    def reset(self, rng: np.random.Generator, env: int) -> None:
        """A new episode of this environment; the buffers are not told."""
        padding = PADDINGS[rng.integers(len(PADDINGS))]
        for stream in self.streams[env]:
            stream.reset(padding)

    def add(self, rng: np.random.Generator, ids: Any, end: float, silent: float) -> None:
        transitions = self.steps(rng, ids, end, silent)
        self.both(lambda buffer: buffer.add(*transitions, env_ids=ids))

    def extend(self, rng: np.random.Generator, num_steps: int, ids: Any, end: float, silent: float) -> None:
        steps = [self.steps(rng, ids, end, silent) for _ in range(num_steps)]
        stacked = [in_time(list(column)) for column in zip(*steps, strict=True)]
        self.both(lambda buffer: buffer.extend(*stacked, env_ids=ids))

    def sample(self, batch_size: int, beta: float | None = None, out: Any = None) -> Any:
        """The batch of both, or None when neither can draw; `out` is a batch of the compiled buffer to refill."""
        targets = iter([out, None])
        a, b = self.both(lambda buffer: buffer.sample(batch_size, beta, out=next(targets)))
        if isinstance(a, Exception):
            return None
        assert_same_batch(a, b)
        return a

    def update_priorities(self, key: Any, priorities: Any) -> None:
        a, b = self.both(lambda buffer: buffer.update_priorities(key, priorities))
        assert isinstance(a, Exception) or a == b

    def set(self, name: str, value: Any) -> None:
        a, _ = self.both(lambda buffer: setattr(buffer, name, value))
        assert a is None, a

    def save_and_load(self, folder: Path) -> None:
        """The compiled buffer is replaced by its snapshot, which saves as the same bytes; the twin goes on."""
        self.compiled.save(folder / "saved")
        self.compiled = mujigae.load(folder / "saved")
        self.compiled.save(folder / "again")
        assert (folder / "saved").read_bytes() == (folder / "again").read_bytes()

    def check(self) -> None:
        """Everything that can be seen is equal, and both are sane."""
        for name in ("n_step", "gamma", "capacity", "num_envs", "num_silent_boundaries"):
            assert getattr(self.compiled, name) == getattr(self.twin, name), name
        assert self.compiled.sampler == self.twin.sampler
        if self.plan.has_priorities:
            for name in ("alpha", "beta", "max_priority"):
                assert getattr(self.compiled, name) == getattr(self.twin, name), name
        assert len(self.compiled) == len(self.twin)
        for buffer in (self.compiled, self.twin):
            assert buffer.check_valid(), buffer.check_valid().reason


def outcome(call: Callable[[Any], Any], buffer: Any) -> Any:
    try:
        return call(buffer)
    except (IndexError, TypeError, ValueError) as error:
        return error


def in_time(values: list[Any]) -> Any:
    """Arrays, dicts or tuples of arrays [E, ...] at T times, as [T, E, ...]."""
    if isinstance(values[0], dict):
        return {key: in_time([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], tuple):
        return tuple(in_time(list(column)) for column in zip(*values, strict=True))
    return np.stack(values)
