"""flashbax 0.1.3, compiled, on the CPU.

Conformance: `make_item_buffer` and `make_prioritised_item_buffer` hold whole transitions; `make_flat_buffer`, which pairs a step with the
next one and stores nothing twice, stands for "compact". A batch has at
most as many rows as the buffer: larger ones are put together of several. Speed: its trajectory buffer, sampled by a function that is compiled as a whole.
"""

from __future__ import annotations

import pickle
from importlib import metadata
from typing import Any, Self

import flashbax
import jax
import jax.numpy as jnp
import numpy as np

from bench.core.parts import in_parts
from bench.core.sequences import Sequences
from bench.core.subject import GAMMA, Rows, Subject
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
    """One step; a target is reward + gamma (1 - done) bootstrap, and weights are worked out from the probabilities."""

    name = "flashbax"
    version = metadata.version("flashbax")
    offers = frozenset(
        ["num_envs", "frame_stack", "prioritized", "stratified", "dict_obs", "compact", "seed"]
    )

    def __init__(self, config: Config) -> None:
        if config.compact and config.prioritized:
            raise NotOffered(
                "priorities beside successors that are stored once: they belong to steps, the newest, which has none yet, included"
            )
        self.config = config
        self.key = jax.random.key(np.random.default_rng(config.seed).integers(2**31))
        self.state: Any = None
        self.samplers: dict[int, Any] = {}
        self.append = jax.jit(self.made(1).add)
        self.set_priorities = jax.jit(self.made(1).set_priorities) if config.prioritized else None

    def made(self, batch_size: int) -> Any:
        config = self.config
        options: dict[str, Any] = {
            "max_length": config.capacity,
            "min_length": 1,
            "sample_batch_size": batch_size,
        }
        if config.compact:
            return flashbax.make_flat_buffer(**options, add_batch_size=config.num_envs)
        if config.prioritized:
            return flashbax.make_prioritised_item_buffer(
                **options, add_batches=True, priority_exponent=config.alpha
            )
        return flashbax.make_item_buffer(**options, add_batches=True)

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
        step = {"obs": obs, "action": action.astype(np.int32), "reward": reward.astype(np.float32)}
        step |= {"done": terminated} if self.config.compact else {"next_obs": next_obs, "done": terminated}
        step = jax.tree.map(jnp.array, step)
        if self.state is None:
            self.state = self.made(1).init(jax.tree.map(lambda column: column[0], step))
        self.state = self.append(self.state, step)

    def sample(self, batch_size: int) -> Batch:
        batch = in_parts(self._sample, batch_size, self.config.capacity)
        return batch._replace(weight=batch.weight / batch.weight.max())

    def _sample(self, batch_size: int) -> Batch:
        if self.state is None or batch_size == 0:
            raise ValueError("its constructor refuses a batch of 0, and its state needs a first row")
        if batch_size not in self.samplers:
            self.samplers[batch_size] = jax.jit(self.made(batch_size).sample)
        self.key, drawn = jax.random.split(self.key)
        sample = self.samplers[batch_size](self.state, drawn)
        rows = sample.experience.first if self.config.compact else sample.experience
        later = sample.experience.second["obs"] if self.config.compact else rows["next_obs"]
        obs, action, reward, done, later = jax.tree.map(
            np.asarray, (rows["obs"], rows["action"], rows["reward"], rows["done"], later)
        )
        weight, key = np.ones(batch_size), None
        if self.config.prioritized:
            weight, key = np.asarray(sample.probabilities) ** -self.config.beta, np.asarray(sample.indices)
        return Batch(obs, action, reward, later, self.config.gamma * (1.0 - done), done, weight, key)

    def update_priorities(self, key: Any, priorities: Any) -> None:
        assert self.set_priorities is not None
        self.state = self.set_priorities(self.state, jnp.asarray(key), jnp.asarray(priorities, jnp.float32))

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.state = pickle.loads(pickle.dumps(self.state))
        return twin


class SpeedSubject(Subject):
    """`make_trajectory_buffer`. It knows no episodes: a sequence goes on into the next one, and nothing is masked."""

    name = "flashbax"
    version = metadata.version("flashbax")
    packages = ("flashbax", "jax", "jaxlib", "numpy")
    is_prioritized = False
    keeps_to_episodes = False

    def sequences(self, capacity: int, length: int, burn_in: int) -> Any:
        return Trajectories(capacity, burn_in + length + 1)


class Trajectories:
    """One environment; observations are stored once, so that a sequence's last one is its successor."""

    def __init__(self, capacity: int, num_steps: int) -> None:
        self.num_steps = num_steps
        self.capacity = capacity
        self.key = jax.random.key(0)
        step = self._steps(np.zeros(17, np.float32), np.zeros(6, np.float32), np.float32(0), np.float32(0))
        self.state = self._buffer(1).init(step)
        self.add = jax.jit(self._buffer(1).add, donate_argnums=0)
        self.samplers: dict[int, Any] = {}

    def _buffer(self, batch_size: int) -> Any:
        return flashbax.make_trajectory_buffer(
            add_batch_size=1,
            sample_batch_size=batch_size,
            sample_sequence_length=self.num_steps,
            period=1,
            min_length_time_axis=self.num_steps,
            max_length_time_axis=self.capacity,
        )

    def _steps(self, obs: Any, action: Any, reward: Any, discount: Any) -> Any:
        return {
            name: jnp.asarray(part)
            for name, part in {"obs": obs, "action": action, "reward": reward, "discount": discount}.items()
        }

    def extend(self, rows: Rows) -> None:
        discount = np.float32(GAMMA) * ~rows.terminated
        columns = (rows.obs, rows.action, rows.reward, discount.astype(np.float32))
        self.state = self.add(self.state, self._steps(*(column[None] for column in columns)))

    def sample(self, batch_size: int) -> Sequences:
        if batch_size not in self.samplers:
            self.samplers[batch_size] = self._sampler(batch_size)
        self.key, steps = self.samplers[batch_size](self.state, self.key)
        steps = jax.block_until_ready(steps)
        return Sequences(steps["obs"], steps["action"], steps["reward"], steps["discount"])

    def _sampler(self, batch_size: int) -> Any:
        buffer = self._buffer(batch_size)

        def sample(state: Any, key: Any) -> Any:
            key, drawn = jax.random.split(key)
            return key, buffer.sample(state, drawn).experience

        return jax.jit(sample)
