"""LeRobot 0.4.4: the `ReplayBuffer` of its HIL-SERL learner, fed as the learner feeds it; states are dicts of float32.

Its image augmentation is off; `optimize_memory` stands for "compact". A batch has at most as many rows as the buffer: larger ones
are put together of several.
"""

from __future__ import annotations

import pickle
from importlib import metadata
from typing import Any, Self

import numpy as np
import torch
from lerobot.rl.buffer import ReplayBuffer

from bench.core.parts import in_bytes, in_parts
from mujigae.conformance import Adapter, Batch, Config


class ConformanceAdapter(Adapter):
    """Uniform, one step, one environment."""

    name = "lerobot"
    version = metadata.version("lerobot")
    offers = frozenset(["frame_stack", "dict_obs", "compact"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        self.config = config
        keys = ["image", "speed"] if config.dict_obs else ["image"]
        self.buffer: Any = ReplayBuffer(
            config.capacity, device="cpu", state_keys=keys, use_drq=False, optimize_memory=config.compact
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
        self.buffer.add(
            _state(obs),
            torch.tensor(np.ascontiguousarray(action))[:, None],
            float(reward[0]),
            _state(next_obs),
            bool(terminated[0]),
            bool(truncated[0]),
        )

    def sample(self, batch_size: int) -> Batch:
        return in_parts(self._sample, batch_size, len(self.buffer))

    def _sample(self, batch_size: int) -> Batch:
        drawn = self.buffer.sample(batch_size)
        obs, next_obs = (
            {name: part.numpy() for name, part in drawn[state].items()} for state in ("state", "next_state")
        )
        action, reward, done = (drawn[name].numpy() for name in ("action", "reward", "done"))
        done = done.astype(bool)
        discount = self.config.gamma * (1.0 - done)
        obs, next_obs = self._as_given(obs), self._as_given(next_obs)
        return Batch(obs, action[:, 0], reward, next_obs, discount, done, np.ones(batch_size), None)

    def _as_given(self, state: dict[str, Any]) -> Any:
        image = in_bytes(state["image"])
        return {"image": image, "speed": state["speed"]} if self.config.dict_obs else image

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        return twin


def _state(obs: Any) -> dict[str, Any]:
    parts = obs if isinstance(obs, dict) else {"image": obs}
    return {
        name: torch.tensor(np.ascontiguousarray(part), dtype=torch.float32) for name, part in parts.items()
    }
