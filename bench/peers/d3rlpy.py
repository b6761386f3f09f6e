"""d3rlpy 2.8.1: `ReplayBuffer` over a `FIFOBuffer`, written as its online training loop writes it: never the last observation.

Windows come from a `MultiStepTransitionPicker`; the discount is that of its algorithms, gamma^intervals. Stacks are stored whole.
"""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from d3rlpy.constants import ActionSpace
from d3rlpy.dataset import (
    BasicTransitionPicker,
    FIFOBuffer,
    MultiStepTransitionPicker,
    ReplayBuffer,
    Signature,
)

from bench.core.parts import in_bytes
from mujigae.conformance import Adapter, Batch, Config

CACHE_STEPS = 20_000  # of an open episode, which the writer holds


class ConformanceAdapter(Adapter):
    """Uniform, one environment."""

    name = "d3rlpy"
    version = metadata.version("d3rlpy")
    offers = frozenset(["frame_stack", "n_step", "compact"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.picker: Any = (
            MultiStepTransitionPicker(config.n_step, config.gamma)
            if config.n_step > 1
            else BasicTransitionPicker()
        )
        self.buffer = ReplayBuffer(
            FIFOBuffer(config.capacity),
            transition_picker=self.picker,
            observation_signature=Signature([np.dtype(np.uint8)], [config.obs_shape]),
            action_signature=Signature([np.dtype(np.int64)], [(1,)]),
            reward_signature=Signature([np.dtype(np.float32)], [(1,)]),
            action_space=ActionSpace.DISCRETE,
            action_size=2,
            cache_size=CACHE_STEPS,
        )

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        self.buffer.append(obs[0].copy(), action[:1].copy(), float(reward[0]))
        if terminated[0] or truncated[0]:
            self.buffer.clip_episode(bool(terminated[0]))

    def sample(self, batch_size: int) -> Batch:
        drawn = self.buffer.sample_transition_batch(batch_size)
        action, reward, terminal, interval = (
            column[:, 0] for column in (drawn.actions, drawn.rewards, drawn.terminals, drawn.intervals)
        )
        done = terminal.astype(bool)
        discount = self.config.gamma**interval * (1.0 - terminal)
        obs, next_obs = (
            in_bytes(np.asarray(array)) for array in (drawn.observations, drawn.next_observations)
        )
        return Batch(obs, action, reward, next_obs, discount, done, np.ones(batch_size), None)

    def save(self, path: Path) -> None:
        with path.open("w+b") as file:
            self.buffer.dump(file)

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        self = cls(config)
        with path.open("rb") as file:
            self.buffer = ReplayBuffer.load(file, FIFOBuffer(config.capacity), transition_picker=self.picker)
        return self

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        return twin
