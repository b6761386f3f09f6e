"""mujigae as a subject: torch tensors on the CPU, but uniform samples in NumPy, into a batch that is used again."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mujigae
from bench.core.sequences import Sequences
from bench.core.subject import ALPHA, BETA, EPS, GAMMA, NotOffered, Rows, Subject

FRAMES = ((4, 84, 84), np.uint8)


class SpeedSubject(Subject):
    """`options` go to the constructor; compress, prefetch and validate concern Atari frames, the others every buffer."""

    name = "mujigae"
    version = metadata.version("mujigae")
    packages = ("mujigae", "torch", "numpy")

    def __init__(self, **options: Any) -> None:
        known = inspect.signature(mujigae.PrioritizedReplayBuffer).parameters
        for name in options:
            if name not in known:
                raise NotOffered(f"{name}=")
        self.options = options
        self.batches_ahead = options.get("prefetch", 0)

    def tree(self, values: Any) -> Any:
        return Tree(values)

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        options = {"n_step": 3, "frame_stack": 4, "num_envs": num_envs, **self.options}
        return Prioritized(capacity, FRAMES, ((), np.int64), options)

    def atari_dict(self, capacity: int, num_envs: int) -> Any:
        options = {"n_step": 3, "frame_stack": {"image": 4}, "num_envs": num_envs, **self.options}
        return Prioritized(capacity, {"image": FRAMES}, ((), np.int64), options)

    def vector(self, capacity: int, is_prioritized: bool) -> Any:
        spaces = ((17,), np.float32), ((6,), np.float32)
        return Prioritized(capacity, *spaces, self.options) if is_prioritized else Uniform(capacity, *spaces)

    def uniform(self, capacity: int) -> Any:
        return Uniform(capacity, ((4,), np.float32), ((), np.int64))

    def sequences(self, capacity: int, length: int, burn_in: int) -> Any:
        if not hasattr(mujigae.ReplayBuffer, "sample_sequences"):
            raise NotOffered("sample_sequences")
        return SequenceBuffer(capacity, length, burn_in)

    def bytes_of(self, replay: Any) -> int | None:
        return int(replay.buffer.nbytes)


class Tree:
    """`SumTree`."""

    def __init__(self, values: Any) -> None:
        self.tree = mujigae.SumTree(len(values), seed=0)
        self.tree.update(np.arange(len(values)), values)
        self.draw, self.update = self.tree.sample, self.tree.update

    def total(self) -> float:
        return self.tree.total


class Filled:
    """A buffer; `Batch` has the fields of `Drawn`."""

    buffer: mujigae.ReplayBuffer

    def add(self, step: Rows, env_ids: Any = None) -> None:
        self.buffer.add(*step, env_ids)

    def extend(self, rows: Rows) -> None:
        self.buffer.extend(*(column[:, None] for column in rows) if self.buffer.num_envs > 1 else rows)


class Prioritized(Filled):
    """`PrioritizedReplayBuffer` that gives torch tensors."""

    def __init__(self, capacity: int, obs: Any, action: Any, options: dict[str, Any]) -> None:
        priorities: dict[str, Any] = {"gamma": GAMMA, "alpha": ALPHA, "beta": BETA, "eps": EPS}
        self.buffer = mujigae.PrioritizedReplayBuffer(
            capacity, obs, action, device=torch.device("cpu"), seed=0, **priorities, **options
        )
        self.sample, self.update = self.buffer.sample, self.buffer.update_priorities


class Uniform(Filled):
    """`ReplayBuffer` into a batch that is used again."""

    def __init__(self, capacity: int, obs: Any, action: Any) -> None:
        self.buffer = mujigae.ReplayBuffer(capacity, obs, action, gamma=GAMMA, seed=0)
        self.outs: dict[int, Any] = {}

    def sample(self, batch_size: int) -> Any:
        out = self.outs.get(batch_size)
        if out is None:
            out = self.outs[batch_size] = self.buffer.sample(batch_size)
        return self.buffer.sample(batch_size, out=out)

    def update(self, key: Any, priorities: Any) -> None:
        """Uniform."""


class SequenceBuffer(Filled):
    """`ReplayBuffer` and `sample_sequences`, in NumPy."""

    def __init__(self, capacity: int, length: int, burn_in: int) -> None:
        floats = (((17,), np.float32), ((6,), np.float32))
        self.buffer = mujigae.ReplayBuffer(capacity, *floats, gamma=GAMMA, seed=0)
        self.length, self.burn_in = length, burn_in

    def sample(self, batch_size: int) -> Sequences:
        drawn = self.buffer.sample_sequences(batch_size, self.length, burn_in=self.burn_in)
        return Sequences(drawn.obs, drawn.action, drawn.reward, drawn.discount, drawn.mask)


class Training:
    """`mujigae train rainbow --env ALE/Pong-v5`: the whole session, with its logs and its display."""

    name = "mujigae rainbow"
    version = metadata.version("mujigae")
    packages = ("torch", "numpy", "gymnasium", "ale-py")

    def train(self, gate: Any, seed: int, learning_starts: int, **switches: Any) -> None:
        """The gate stands between the loop and the session that follows it."""
        from mujigae.agents.presets import resolve
        from mujigae.runs import session
        from mujigae.training import loop

        def gated(*args: Any) -> Iterator[Any]:
            before = 0
            for progress in loop.run(*args):
                yield progress
                gate.passed(progress.step - before)
                before = progress.step

        session.run = gated  # type: ignore[assignment]
        num_threads = int(os.environ["OMP_NUM_THREADS"])
        fixed = {"batch_size": 32, "learn_period_steps": 4, "num_updates": 1, "num_threads": num_threads}
        changes = {"seed": seed, "min_replay_steps": learning_starts, **fixed, **switches}
        config = resolve("rainbow", "ALE/Pong-v5", changes)
        with tempfile.TemporaryDirectory() as folder:
            session.train_run(config, root=Path(folder))
