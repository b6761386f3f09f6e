"""AgileRL 2.58: its replay buffers on mujigae's engine, for `train_off_policy` and loops of your own.

    from mujigae.integrations.agilerl import PrioritizedReplayBuffer, ReplayBuffer      # instead of agilerl.components

A successor is stored once, a frame of a stack once. AgileRL does not tell its buffers that an episode was cut: the engine sees it
where the next observation is not the successor before it. With `frame_stack=k`, the step in which a vector environment resets itself is
left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mujigae
from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("agilerl", "agilerl", first="2.58", below="2.59")

import torch  # noqa: E402
from agilerl.components.replay_buffer import (  # noqa: E402
    PrioritizedReplayBuffer as TheirPrioritized,
)
from agilerl.components.replay_buffer import ReplayBuffer as TheirBuffer  # noqa: E402
from tensordict import TensorDict  # noqa: E402

from mujigae.envs.reset_steps import ResetSteps  # noqa: E402
from mujigae.structures import map_arrays  # noqa: E402

__all__ = ["PrioritizedReplayBuffer", "ReplayBuffer"]

_NO_INDEX = 1 << 62  # put on keys: an n-step memory of AgileRL, which takes idxs for indices, refuses them


class ReplayBuffer(TheirBuffer):
    """For `agilerl.components.ReplayBuffer`; draws with replacement.

    Args:
        max_size: rows over all environments.
        device: of the batches.
        dtype: accepted; the dtypes of what is added are kept, as they are by AgileRL's.
        **options: further ones of mujigae's buffers: n_step, gamma, frame_stack, compress, path, prefetch, validate, seed.

    With `n_step` above 1, `gamma` has to be the agent's: a batch has the reward of the window, its last successor, and a `done` that is no
    flag but 1 - gamma^(m - 1) for a window of m steps without a terminal state: AgileRL's agents discount by gamma (1 - done).

    `replay` is the engine's buffer, which has the shapes and dtypes of the first row; None before it.
    """

    replay: mujigae.ReplayBuffer | None
    _kind: Any = mujigae.ReplayBuffer

    def __init__(
        self, max_size: int, device: Any = "cpu", dtype: Any = torch.float32, **options: Any
    ) -> None:
        TheirBuffer.__init__(self, max_size, device, dtype)  # without the tree of the prioritized one
        if options.get("n_step", 1) != 1 and not options.get("gamma"):
            raise ValueError(
                f"gamma: expected the agent's, above 0, since n_step is {options['n_step']}, got {options.get('gamma')}"
            )
        self._options = options
        self._reset_steps = ResetSteps(options.get("frame_stack"))
        self._dtypes: dict[str, Any] = {}
        self.replay = None

    def __len__(self) -> int:
        """Rows that can be drawn."""
        return 0 if self.replay is None else len(self.replay)

    @property
    def size(self) -> int:
        """Rows that can be drawn."""
        return len(self)

    @property
    def storage(self) -> None:
        """None: rows lie in the engine, in `replay`."""
        return None

    def add(self, data: Any) -> None:
        """Adds one row of each environment: a TensorDict of obs, action, next_obs, reward and done, [E, ...]; done is terminal.

        Raises KeyError or ValueError for what is missing, for more environments than there were in the first rows, and for what
        `mujigae.ReplayBuffer.add` refuses; nothing is changed then.
        """
        num_envs = int(data.shape[0])
        obs, next_obs = _numpy(data["obs"]), _numpy(data["next_obs"])
        action = data["action"].cpu().numpy()
        reward, done = (data[name].cpu().numpy().reshape(num_envs) for name in ("reward", "done"))
        replay = self._made(obs, action) if self.replay is None else self.replay
        found = self._reset_steps.find(obs, next_obs)
        no, every = np.zeros(num_envs, bool), np.arange(num_envs)
        rows = obs, action, reward.astype(np.float64), next_obs, done.astype(bool), no, every
        ids = every[~found]
        if len(ids):
            replay.add(*(_rows(part, ids) for part in rows))
        self._reset_steps.keep(next_obs, found)
        if self.replay is None:
            self._dtypes = {name: data[name].dtype for name in ("reward", "done")}
        self.replay = replay
        self.counter += num_envs
        self.initialized = True

    def _made(self, obs: Any, action: Any) -> Any:
        """An empty buffer for rows like these [E, ...]."""
        options = {"num_envs": len(action), "device": str(self.device), **self._options}
        return self._kind(self.max_size, _layout(obs), _layout(action), **options)

    def sample(self, batch_size: int, return_idx: bool = False, *, beta: float = 0.4) -> Any:
        """A TensorDict of rows [B, ...] under the names of `add`, reward and done [B, 1].

        Raises ValueError before the first row, and for `return_idx`, which asks for indices into an n-step memory.
        """
        if return_idx:
            raise ValueError(
                "return_idx: expected False, since rows have no index in an n-step memory, got True"
            )
        return self._sample(batch_size)[0]

    def clear(self) -> None:
        """Forgets every row."""
        super().clear()
        if self.replay is not None:
            self.replay.clear()

    def _sample(self, batch_size: int, beta: float | None = None) -> tuple[Any, mujigae.Batch]:
        if self.replay is None:
            raise ValueError("sample: expected at least one row, got none")
        batch = self.replay.sample(batch_size) if beta is None else self.replay.sample(batch_size, beta)
        rows = {
            "obs": _tensors(batch.obs, batch_size),
            "action": _column(batch.action),
            "next_obs": _tensors(batch.next_obs, batch_size),
            "reward": batch.reward[:, None].to(self._dtypes["reward"]),
            "done": self._done(batch)[:, None],
        }
        return TensorDict(rows, [batch_size], device=self.device), batch

    def _done(self, batch: mujigae.Batch) -> Any:
        """[B]: whether a row is terminal; with several steps the number that makes the agent's discount that of the window."""
        assert self.replay is not None
        if self.replay.n_step == 1:
            return torch.as_tensor(batch.terminated).to(self._dtypes["done"])
        return 1 - torch.as_tensor(batch.discount) / self.replay.gamma


class PrioritizedReplayBuffer(ReplayBuffer, TheirPrioritized):
    """For `agilerl.components.PrioritizedReplayBuffer`, in float64, drawn in strata.

    Args:
        max_size, device, dtype, **options: as `ReplayBuffer`; `eps` too, 0 unless given, since the agents add their own.
        alpha: priority exponent.
    """

    replay: mujigae.PrioritizedReplayBuffer | None
    _kind = mujigae.PrioritizedReplayBuffer

    def __init__(
        self,
        max_size: int,
        alpha: float = 0.6,
        device: Any = "cpu",
        dtype: Any = torch.float32,
        **options: Any,
    ) -> None:
        ReplayBuffer.__init__(self, max_size, device, dtype, **{"eps": 0.0, **options, "alpha": alpha})
        self.alpha = alpha

    @property
    def max_priority(self) -> float:
        """The largest priority so far, which new rows get."""
        return 1.0 if self.replay is None else self.replay.max_priority

    def sample(self, batch_size: int, return_idx: bool = False, *, beta: float = 0.4) -> Any:
        """As `ReplayBuffer.sample`, by priority, with weights and idxs [B, 1]: for `update_priorities` only."""
        rows, batch = self._sample(batch_size, beta)
        rows["weights"] = batch.weight[:, None]
        rows["idxs"] = torch.as_tensor(batch.key + _NO_INDEX, device=self.device)[:, None]
        return rows

    def update_priorities(self, indices: Any, priorities: Any) -> None:
        """Sets the priorities [B], at least 1e-5, of the rows of a batch that are still there."""
        if self.replay is None:
            raise ValueError("update_priorities: expected at least one row, got none")
        key = torch.as_tensor(indices).flatten().cpu().numpy() - _NO_INDEX
        raw = torch.as_tensor(priorities, dtype=torch.float64).flatten().cpu().numpy()
        self.replay.update_priorities(key, np.maximum(raw, 1e-5))


def _numpy(value: Any) -> Any:
    """Arrays, or dicts of arrays, of a tensor or a TensorDict."""
    if isinstance(value, TensorDict):
        return {name: _numpy(part) for name, part in value.items()}
    return value.cpu().numpy()


def _rows(tree: Any, ids: Any) -> Any:
    """Some of the rows [E, ...]."""
    return map_arrays(lambda array: array[ids], tree)


def _layout(tree: Any) -> Any:
    """The shapes and dtypes of rows [E, ...], as a buffer takes them."""
    return map_arrays(lambda array: (array.shape[1:], array.dtype), tree)


def _tensors(tree: Any, batch_size: int) -> Any:
    if isinstance(tree, dict):
        parts = {name: _tensors(part, batch_size) for name, part in tree.items()}
        return TensorDict(parts, [batch_size])
    return _column(tree)


def _column(tensor: Any) -> Any:
    """AgileRL's buffers hand out [B, 1] for what was added as [E]."""
    return tensor[:, None] if tensor.ndim == 1 else tensor
