"""The compiled engine and the reference twin agree batch for batch, bit for bit, reopened from files and pickles."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import PADDINGS, Space, Stream, assert_same_batch

import mujigae
from mujigae.replay import reference

FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where syncing costs nothing
SEEDS = st.integers(0, 2**63)


class Pair:
    """The same buffer twice, fed and asked alike."""

    def __init__(self, data: st.DataObject, folder: Path) -> None:
        draw = data.draw
        self.rng = np.random.default_rng(draw(SEEDS))
        self.num_envs = draw(st.integers(1, 4))
        self.stacks = draw(st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=2))
        self.frame = draw(
            st.sampled_from([(2,), (2,), (1200,)])
        )  # the last is compressed, if that is asked for
        self.is_prioritized = draw(st.booleans())
        capacity = self.num_envs + draw(st.integers(0, 40))
        arguments: dict[str, Any] = {
            "num_envs": self.num_envs,
            "n_step": draw(st.integers(1, 5)),
            "gamma": draw(st.sampled_from([0.0, 0.5, 0.99, 1.0])),
            "compress": draw(st.booleans()),
            "seed": draw(st.integers(0, 2**32)),
        }
        if self.is_prioritized:
            arguments["alpha"] = draw(st.sampled_from([0.0, 0.5, 0.6, 1.0]))
            arguments["stratified"] = draw(st.booleans())
        # Few distinct frame values, so that equal frames, zero frames and accidental continuations occur.
        values = draw(st.sampled_from([2, 200]))
        self.streams = [
            [Stream(self.rng, k, frame=self.frame, values=values) for k in self.stacks]
            for _ in range(self.num_envs)
        ]
        space, stack = self.space()
        name = "PrioritizedReplayBuffer" if self.is_prioritized else "ReplayBuffer"
        action = Space((2,), np.float32) if draw(st.booleans()) else Space((), np.int64)
        self.action = action
        self.path = folder / "buffer" if draw(st.booleans()) else None
        self.compiled, self.twin = (
            getattr(module, name)(capacity, space, action, frame_stack=stack, path=path, **arguments)
            for module, path in ((mujigae, self.path), (reference, None))
        )

    def space(self) -> tuple[Any, Any]:
        spaces = [Space((k, *self.frame), np.uint8) for k in self.stacks]
        if len(spaces) == 1:
            return spaces[0], self.stacks[0]
        return {"a": spaces[0], "b": (spaces[1],)}, {"a": self.stacks[0], "b.0": self.stacks[1]}

    def both(self) -> tuple[Any, Any]:
        return self.compiled, self.twin

    def obs(self, per_env: list[list[Any]]) -> Any:
        columns = [np.stack([env[c] for env in per_env]) for c in range(len(self.stacks))]
        return columns[0] if len(columns) == 1 else {"a": columns[0], "b": (columns[1],)}

    def add(self, end_probability: float, silent_probability: float) -> None:
        """One step of a random choice of environments in random order; some episodes end, some are reset silently."""
        rng = self.rng
        ids = rng.permutation(self.num_envs)[: rng.integers(1, self.num_envs + 1)]
        steps = [[stream.step() for stream in self.streams[e]] for e in ids]
        terminated = rng.random(len(ids)) < end_probability
        truncated = rng.random(len(ids)) < end_probability
        actions = rng.integers(0, 9, (len(ids), *self.action.shape)).astype(self.action.dtype)
        rewards = rng.normal(size=len(ids))
        for buffer in self.both():
            buffer.add(
                self.obs([[obs for obs, _ in env] for env in steps]),
                actions,
                rewards,
                self.obs([[next_obs for _, next_obs in env] for env in steps]),
                terminated,
                truncated,
                ids,
            )
        for i, e in enumerate(ids):
            if terminated[i] or truncated[i] or rng.random() < silent_probability:
                padding = PADDINGS[rng.integers(len(PADDINGS))]
                for stream in self.streams[e]:
                    stream.reset(padding)

    def sample(self, batch_size: int, beta: float | None) -> None:
        assert len(self.compiled) == len(self.twin)
        if len(self.twin) == 0:
            return
        a, b = (buffer.sample(batch_size, beta) for buffer in self.both())
        assert_same_batch(a, b)
        if self.is_prioritized:
            priorities = self.rng.lognormal(0.0, 2.0, batch_size)
            assert len({buffer.update_priorities(a.key, priorities) for buffer in self.both()}) == 1

    def reopen(self) -> None:
        """The compiled buffer as it comes back from its file, or through a pickle."""
        if self.path is None:
            self.compiled = pickle.loads(pickle.dumps(self.compiled))
        else:
            del self.compiled
            self.compiled = mujigae.load(self.path)

    def check(self) -> None:
        assert self.compiled.check_valid(), self.compiled.check_valid().reason
        assert self.twin.check_valid()
        assert self.compiled.num_silent_boundaries == self.twin.num_silent_boundaries


@pytest.mark.filterwarnings("ignore:.* rows had an obs that differs:UserWarning")
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_batches_are_equal_bit_for_bit(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        check_a_pair(data, Pair(data, Path(folder)))


def check_a_pair(data: st.DataObject, pair: Pair) -> None:
    end_probability = data.draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    silent_probability = data.draw(st.sampled_from([0.0, 0.05]))
    stale: list[Any] = []
    for _ in range(data.draw(st.integers(1, 8))):
        for _ in range(data.draw(st.integers(1, 30))):
            pair.add(end_probability, silent_probability)
        action = data.draw(
            st.sampled_from(
                ["sample", "sample", "n_step", "gamma", "clear", "alpha", "stale", "reopen", "flush"]
            )
        )
        if action == "n_step":
            n = data.draw(st.integers(1, 7))
            for buffer in pair.both():
                buffer.n_step = n
        elif action == "gamma":
            for buffer in pair.both():
                buffer.gamma = 0.9
        elif action == "clear" and data.draw(st.booleans()):
            for buffer in pair.both():
                buffer.clear()
        elif action == "alpha" and pair.is_prioritized:
            for buffer in pair.both():
                buffer.alpha = 0.3
        elif action == "reopen":
            pair.reopen()
        elif action == "flush":
            for buffer in pair.both():
                buffer.flush()
        elif action == "stale" and pair.is_prioritized and stale:
            applied = {
                buffer.update_priorities(stale[0], np.full(len(stale[0]), 3.0)) for buffer in pair.both()
            }
            assert len(applied) == 1
        pair.check()
        pair.sample(data.draw(st.integers(1, 17)), data.draw(st.sampled_from([None, 0.0, 0.7, 1.0])))
        if len(pair.compiled):
            stale.append(pair.compiled.sample(5).key)
            pair.twin.sample(5)
