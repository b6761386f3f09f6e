"""flashbax 0.1.3: its trajectory buffer, sampled by a function that is compiled as a whole, on the CPU."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import flashbax
import jax
import jax.numpy as jnp
import numpy as np

from bench.core.sequences import Sequences
from bench.core.subject import GAMMA, Rows, Subject


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
