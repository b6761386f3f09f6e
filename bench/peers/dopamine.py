"""dopamine-rl 4.1.2, dopamine.jax.replay_memory, fed as its JAX agents feed it: the observation acted on, never next_obs."""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from dopamine.jax.replay_memory import accumulator, elements, replay_buffer, samplers, sum_tree

from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
    """`ReplayBuffer` with a `TransitionAccumulator`; weights are worked out from the probabilities, as its agents do."""

    name = "dopamine-rl"
    version = metadata.version("dopamine-rl")
    offers = frozenset(["frame_stack", "n_step", "prioritized", "seed"])
    padding = "zeros"

    def __init__(self, config: Config) -> None:
        self.config = config
        seed = np.random.SeedSequence().entropy if config.seed is None else config.seed
        if config.prioritized:
            # One leaf more: a full buffer adds before it removes, and runs over a tree of exactly a power of two.
            sampler = samplers.PrioritizedSamplingDistribution(
                seed, priority_exponent=config.alpha, max_capacity=config.capacity + 1
            )
        else:
            sampler = samplers.UniformSamplingDistribution(seed)
        self.sampler: Any = sampler
        self.buffer = replay_buffer.ReplayBuffer(
            accumulator.TransitionAccumulator(config.frame_stack or 1, config.n_step, config.gamma),
            sampler,
            batch_size=32,
            max_capacity=config.capacity,
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
        newest = obs[0] if self.config.frame_stack is None else obs[0, -1]
        ended = bool(terminated[0] or truncated[0])
        element = elements.TransitionElement(
            newest.copy(), int(action[0]), float(reward[0]), bool(terminated[0]), ended
        )
        if self.config.prioritized:
            self.buffer.add(element, priority=self.sampler._sum_tree.max_recorded_priority)
        else:
            self.buffer.add(element)

    def sample(self, batch_size: int) -> Batch:
        drawn, metadata_of = self.buffer.sample(batch_size, with_sample_metadata=True)
        weight, key = np.ones(batch_size), None
        if self.config.prioritized:
            weight, key = metadata_of.probabilities**-self.config.beta, metadata_of.keys
            weight = weight / weight.max()
        discount = self.config.gamma**self.config.n_step * (1.0 - drawn.is_terminal)
        obs, next_obs = self._turned(drawn.state), self._turned(drawn.next_state)
        return Batch(obs, drawn.action, drawn.reward, next_obs, discount, drawn.is_terminal, weight, key)

    def _turned(self, state: Any) -> Any:
        return state[..., 0] if self.config.frame_stack is None else np.moveaxis(state, -1, 1)

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update(np.asarray(key), priorities=np.asarray(priorities))

    def clear(self) -> None:
        self.buffer.clear()

    def save(self, path: Path) -> None:
        path.mkdir()
        self.buffer.save(str(path), 0)

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        self = cls(config)
        self.buffer.load(str(path), 0)
        return self

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        try:
            twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        except TypeError as error:
            raise NotOffered(f"pickle ({error})") from error
        twin.sampler = twin.buffer._sampling_distribution
        return twin

    @classmethod
    def tree(cls, capacity: int) -> Any:
        return DopamineTree(capacity)


class DopamineTree:
    """`sum_tree.SumTree` under the names of the suite."""

    def __init__(self, capacity: int) -> None:
        self.tree = sum_tree.SumTree(capacity)

    def update(self, indices: Any, values: Any) -> None:
        self.tree.set(indices, values)

    def find(self, targets: Any) -> Any:
        return self.tree.query(targets)

    @property
    def total(self) -> float:
        return float(self.tree.root)
