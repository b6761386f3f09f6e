"""rlox 1.2.0 (Rust): `ReplayBuffer` and `PrioritizedReplayBuffer`, which hold float32 rows; images are flattened for them.

Conformance: its manual's target is reward + gamma (1 - terminated) bootstrap. A batch has at most as many rows as the buffer:
larger ones are put together of several.
"""

from __future__ import annotations

import pickle
from importlib import metadata
from typing import Any, Self

import numpy as np
import rlox

from bench.core.parts import in_bytes, in_parts
from bench.core.subject import ALPHA, BETA, GAMMA, Drawn, Rows, Subject
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
    """A row is pushed with its successor; a batch has no way to tell a window, so only one step is offered."""

    name = "rlox"
    version = metadata.version("rlox")
    offers = frozenset(["num_envs", "prioritized", "frame_stack", "seed"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.num_draws = 0
        size = int(np.prod(config.obs_shape))
        if config.prioritized:
            self.buffer: Any = rlox.PrioritizedReplayBuffer(
                config.capacity, size, 1, alpha=config.alpha, beta=config.beta
            )
        else:
            self.buffer = rlox.ReplayBuffer(config.capacity, size, 1)
        self.first_seed = np.random.SeedSequence(config.seed).generate_state(1)[0]

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
        self.push((obs, action, reward, next_obs, terminated, truncated))

    def push(self, step: tuple[Any, ...], priority: Any = None) -> None:
        obs, action, reward, next_obs, terminated, truncated = step
        for e in range(len(reward)):
            self.buffer.push(
                obs[e].astype(np.float32).ravel(),
                action[e : e + 1].astype(np.float32),
                float(reward[e]),
                bool(terminated[e]),
                bool(truncated[e]),
                next_obs[e].astype(np.float32).ravel(),
                **({} if priority is None else {"priority": float(priority[e])}),
            )

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        if extras is not None or env_ids is not None or priority is None:
            raise NotOffered(
                "first priorities of new rows beside extras, some environments or rows without one"
            )
        self.push(step, priority)

    def sample(self, batch_size: int) -> Batch:
        return in_parts(self._sample, batch_size, len(self.buffer))

    def _sample(self, batch_size: int) -> Batch:
        self.num_draws += 1  # it draws by a seed that is given to every call
        drawn = self.buffer.sample(batch_size, int(self.first_seed) + self.num_draws)
        done = np.asarray(drawn["terminated"], bool)
        obs, next_obs = (
            in_bytes(np.asarray(drawn[name]).reshape(batch_size, *self.config.obs_shape))
            for name in ("obs", "next_obs")
        )
        weight, key = np.ones(batch_size), None
        if self.config.prioritized:
            weight, key = np.asarray(drawn["weights"]), np.asarray(drawn["indices"])
        action = np.asarray(drawn["actions"]).reshape(batch_size)
        discount = self.config.gamma * (1.0 - done)
        return Batch(obs, action, drawn["rewards"], next_obs, discount, done, weight, key)

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(np.asarray(key), np.asarray(priorities, np.float64))

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        try:
            twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        except TypeError as error:
            raise NotOffered(f"pickle ({error})") from error
        return twin


class SpeedSubject(Subject):
    """Batches are NumPy arrays. An observation and its successor are stored both; no n-step returns; actions are floats."""

    name = "rlox"
    version = metadata.version("rlox")
    packages = ("rlox", "numpy")

    def vector(self, capacity: int, is_prioritized: bool) -> Any:
        if is_prioritized:
            return Prioritized(rlox.PrioritizedReplayBuffer(capacity, 17, 6, alpha=ALPHA, beta=BETA))
        return Uniform(rlox.ReplayBuffer(capacity, 17, 6))

    def uniform(self, capacity: int) -> Any:
        return Uniform(rlox.ReplayBuffer(capacity, 4, 1))


class Uniform:
    """`ReplayBuffer`, which draws by a seed that is given to every call."""

    def __init__(self, buffer: Any) -> None:
        self.buffer, self.seed = buffer, 0

    def extend(self, rows: Rows) -> None:
        obs, action, reward, next_obs = (np.ascontiguousarray(part, np.float32).ravel() for part in rows[:4])
        ends = (np.ascontiguousarray(part, np.uint8) for part in rows[4:6])
        self.buffer.push_batch(obs, next_obs, action, reward, *ends)

    def sample(self, batch_size: int) -> Drawn:
        self.seed += 1
        drawn = self.buffer.sample(batch_size, self.seed)
        discount = GAMMA * (1.0 - np.asarray(drawn["terminated"], np.float32))
        rest = drawn["rewards"], drawn["next_obs"], discount, drawn.get("weights"), drawn.get("indices")
        return Drawn(drawn["obs"], drawn["actions"], *rest)

    def update(self, key: Any, priorities: Any) -> None:
        """Uniform."""


class Prioritized(Uniform):
    """`PrioritizedReplayBuffer`; priorities are float64."""

    def extend(self, rows: Rows) -> None:
        for obs, action, reward, next_obs, terminated, truncated in zip(*rows, strict=True):
            self.buffer.push(
                obs, action, float(reward), bool(terminated), bool(truncated), next_obs, priority=1.0
            )

    def update(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, np.asarray(priorities, np.float64))
