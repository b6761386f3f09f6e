"""mujigae's engine under Tianshou 2.0: the two vector buffers, with observations kept once and drawn by the engine.

    from mujigae.integrations.tianshou import PrioritizedVectorReplayBuffer, VectorReplayBuffer

One row's way through it:

1. `Collector` adds a batch of the environments that are ready. The engine takes observations, actions, rewards and ends;
   Tianshou's own flat arrays take everything but the observations, so that `buffer.rew`, `buffer.done`, `next`, `prev`
   and `unfinished_index` are Tianshou's.
2. With `stack_num` a row is given to the engine as the stack that Tianshou would put together from the rows before it:
   an episode's first observation is repeated before its start. The engine stores the newest frame only.
3. A place in Tianshou's arrays is tied to the engine's key of the row in it, both ways: `sample` draws in the engine and
   returns places; `buffer[indices]` gathers by keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

import mujigae
from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("tianshou", "tianshou", first="2.0", below="2.1")

from tianshou.data import Batch, ReplayBuffer, ReplayBufferManager, to_numpy  # noqa: E402
from tianshou.data.batch import create_value  # noqa: E402

__all__ = ["PrioritizedVectorReplayBuffer", "VectorReplayBuffer"]

_Path = tuple[str, ...]  # of an array in an observation: () is the observation itself
_OBSERVATIONS = ("obs", "obs_next")
_STACKED = (*_OBSERVATIONS, "info", "policy")  # what `get` stacks
_EPS = float(np.finfo(np.float32).eps)  # what Tianshou adds to a priority


class VectorReplayBuffer(ReplayBufferManager):
    """Tianshou's `VectorReplayBuffer` on the engine; also for one environment, with `buffer_num=1`.

    Args:
        total_size: rows over all environments; each has ceil(total_size / buffer_num).
        buffer_num: environments, E.
        stack_num: k: rows are read as stacks of k observations [k, *shape], each stored once.
        ignore_obs_next: accepted; `obs_next` is always the true successor and takes no memory of its own.
        save_only_last_obs: observations come as stacks already: take the newest frame of each.
        sample_avail: with stack_num > 1, draw only rows with stack_num - 1 rows of their episode before them.
        random_seed: of the engine's generator.
        compress: store frames in as few bytes as the frame before allows, lossless.
        **options: further ones of `mujigae.ReplayBuffer`: path, prefetch, validate.

    `replay` is the engine's buffer, None before the first row, whose arrays decide shapes and dtypes.
    """

    replay: Any

    def __init__(
        self,
        total_size: int,
        buffer_num: int,
        stack_num: int = 1,
        ignore_obs_next: bool = False,
        save_only_last_obs: bool = False,
        sample_avail: bool = False,
        random_seed: int | None = 42,
        **options: Any,
    ) -> None:
        if buffer_num < 1:
            raise ValueError(f"buffer_num: expected at least 1, got {buffer_num}")
        size = math.ceil(total_size / buffer_num)
        settings = {"stack_num": stack_num, "sample_avail": sample_avail}
        super().__init__([ReplayBuffer(size, **settings) for _ in range(buffer_num)])
        self._takes_newest_frame = save_only_last_obs
        self._save_obs_next = False  # not in Tianshou's arrays
        self._replay_options = {"seed": random_seed, **options}
        self._keys = np.full(self.maxsize, -1, dtype=np.int64)  # of the row at each place
        self._stacks = _Stacks(buffer_num, stack_num)
        self.replay = None

    def add(self, batch: Any, buffer_ids: Any = None) -> tuple[Any, Any, Any, Any]:
        """Adds one row of each environment in `buffer_ids` [R], by default of all; see Tianshou's for what is returned.

        `batch` has obs, act, rew, terminated, truncated and obs_next, each [R, ...]; obs and obs_next may be Batches.
        Raises ValueError or TypeError for rows that do not fit those before, or a missing obs_next, and changes nothing.
        """
        ids = np.arange(self.buffer_num) if buffer_ids is None else np.asarray(buffer_ids, dtype=np.int64)
        if "obs_next" not in batch.get_keys():
            raise ValueError("obs_next: expected the successor of every row, got none")
        frames, next_frames = self._frames(batch.obs), self._frames(batch.obs_next)
        replay = self._made(frames, batch.act) if self.replay is None else self.replay
        obs, next_obs = self._stacks.of(ids, frames, next_frames)
        terminated, truncated = (
            np.asarray(flags, dtype=bool) for flags in (batch.terminated, batch.truncated)
        )
        places = self._offset[ids] + [self.buffers[e]._insertion_idx for e in ids]
        replay.add(
            *(obs, self._action(batch.act), batch.rew, next_obs, terminated, truncated, ids),
            extras={"index": places},
        )
        if self.replay is None:
            self.replay, self._layout = replay, [(path, leaf.dtype) for path, leaf in frames.items()]
        self._stacks.move(ids, next_obs, terminated | truncated)
        self._keys[places] = self.replay.last_key()[ids]
        columns = Batch({key: batch[key] for key in batch.get_keys() if key not in _OBSERVATIONS})
        columns.obs = Batch()  # Tianshou asks for the key
        return super().add(columns, ids)

    def sample(self, batch_size: int | None) -> tuple[Any, Any]:
        """Draws rows as the engine does: (Batch, places [B]). 0: all rows in order; None: all, as Tianshou has it."""
        if batch_size is None or batch_size <= 0 or self._draws_by_itself:
            return super().sample(batch_size)
        rows = self._drawn(batch_size)
        places = rows.extras["index"]
        return self._batch(rows, places, places.shape), places

    def sample_indices(self, batch_size: int | None) -> Any:
        """The places of rows that are drawn, [B]."""
        if batch_size is None or batch_size <= 0 or self._draws_by_itself:
            return super().sample_indices(batch_size)
        return self._drawn(batch_size).extras["index"]

    def get(self, index: Any, key: str, default_value: Any = None, stack_num: int | None = None) -> Any:
        """One field of the rows at these places; `stack_num` of observations: the buffer's own, or 1 for the newest."""
        if key not in _OBSERVATIONS:
            return super().get(index, key, default_value, stack_num)
        if stack_num not in (None, 1, self.stack_num):
            raise ValueError(f"stack_num: expected 1 or {self.stack_num}, got {stack_num}")
        keys = self._keys[index]
        rows = self._gathered(keys)
        tree = self._tree(rows.obs if key == "obs" else rows.next_obs, keys.shape)
        is_whole = self.stack_num == 1 or stack_num != 1
        return tree if is_whole else _map(lambda leaf: leaf.take(-1, axis=keys.ndim), tree)

    def __getitem__(self, index: Any) -> Any:
        """The rows at these places, or in this slice of the rows held; `[:]` is all in order."""
        if isinstance(index, slice):
            index = self.sample_indices(0) if index == slice(None) else self._indices[: len(self)][index]
        keys = self._keys[index]
        return self._batch(self._gathered(keys), index, keys.shape)

    @property
    def obs(self) -> Any:
        """The newest frame of each row, [maxsize, ...], read from the engine: a copy."""
        return self._flat("obs")

    @property
    def obs_next(self) -> Any:
        """As `obs`, of the successors."""
        return self._flat("obs_next")

    def reset(self, keep_statistics: bool = False) -> None:
        """Forgets every row."""
        super().reset(keep_statistics)
        self._stacks.close()
        self._keys[:] = -1
        if self.replay is not None:
            self.replay.clear()

    def set_batch(self, batch: Any) -> None:
        """Refused: rows enter by `add`."""
        raise NotImplementedError("set_batch: rows enter this buffer by add()")

    def dropnull(self) -> None:
        """Refused: a row leaves when it is overwritten."""
        raise NotImplementedError("dropnull: a row leaves this buffer when it is overwritten")

    def _make_replay(self, *arguments: Any, **options: Any) -> Any:
        return mujigae.ReplayBuffer(*arguments, **options)

    def _made(self, frames: Mapping[_Path, Any], action: Any) -> Any:
        """An empty buffer of the engine for rows like the first one."""
        k = self.stack_num
        lead = (k,) if k > 1 else ()
        spaces = {_name(path): ((*lead, *leaf.shape[1:]), leaf.dtype) for path, leaf in frames.items()}
        first = self._action(action)
        return self._make_replay(
            self.maxsize,
            spaces,
            (first.shape[1:], first.dtype),
            num_envs=self.buffer_num,
            frame_stack=dict.fromkeys(spaces, k),
            extras={"index": ((), np.int64)},
            **self._replay_options,
        )

    def _frames(self, obs: Any) -> dict[_Path, Any]:
        """The arrays [R, ...] of one observation of each environment, in the dtypes of the first row."""
        leaves = _leaves(obs)
        if self._takes_newest_frame:
            leaves = {path: leaf[:, -1] for path, leaf in leaves.items()}
        if self.replay is None:
            return leaves
        paths = [path for path, _ in self._layout]
        if set(leaves) != set(paths):
            raise ValueError(f"obs: expected {[*map(_name, paths)]}, got {[*map(_name, leaves)]}")
        return {path: leaves[path].astype(dtype, copy=False) for path, dtype in self._layout}

    @staticmethod
    def _action(action: Any) -> Any:
        """What the engine is given: the action where it is one array of numbers, else nothing of meaning."""
        is_array = isinstance(action, np.ndarray) and action.dtype.kind in "biuf"
        return action if is_array else np.zeros(len(action), dtype=np.int8)

    @property
    def _draws_by_itself(self) -> bool:
        """Whether Tianshou chooses: it alone knows which rows have a whole stack behind them."""
        return self.replay is None or (self._sample_avail and self.stack_num > 1)

    def _drawn(self, batch_size: int) -> Any:
        return self.replay.sample(batch_size)

    def _gathered(self, keys: Any) -> Any:
        if self.replay is None:
            raise IndexError("index: expected a place of a row, got one of an empty buffer")
        return self.replay.gather(keys.reshape(-1))

    def _batch(self, rows: mujigae.Batch, index: Any, shape: tuple[int, ...]) -> Any:
        """Tianshou's Batch of rows that were gathered from these places."""
        columns = {key: self._meta[key][index] for key in self._meta.get_keys() if key not in _STACKED}
        columns |= {"obs": self._tree(rows.obs, shape), "obs_next": self._tree(rows.next_obs, shape)}
        return Batch(columns | {key: self.get(index, key, Batch()) for key in ("info", "policy")})

    def _tree(self, arrays: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
        """An observation as Tianshou has it, out of the engine's arrays [B, ...]."""
        leaves = {path: arrays[_name(path)] for path, _ in self._layout}
        return _rebuilt({path: leaf.reshape((*shape, *leaf.shape[1:])) for path, leaf in leaves.items()})

    def _flat(self, key: str) -> Any:
        places = self.sample_indices(0)
        newest = self.get(places, key, stack_num=1)
        flat = create_value(newest, self.maxsize, stack=False)
        flat[places] = newest
        return flat


class PrioritizedVectorReplayBuffer(VectorReplayBuffer):
    """Tianshou's `PrioritizedVectorReplayBuffer` on the engine's sum tree: exact in float64, drawn in strata.

    Args:
        alpha: priority exponent.
        beta: importance-sampling exponent; see `set_beta`.
        weight_norm: divide the weights of a batch by the largest of them.
        **options: as `VectorReplayBuffer`.
    """

    def __init__(
        self,
        total_size: int,
        buffer_num: int,
        alpha: float,
        beta: float,
        weight_norm: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(total_size, buffer_num, **{"eps": _EPS, **options})
        self.options.update(alpha=alpha, beta=beta)
        self._weight_norm = weight_norm
        self._replay_options |= {"alpha": alpha, "beta": beta}

    @property
    def weight(self) -> Any:
        """(priority + eps)^alpha of the row at each place, [maxsize] float64, 0 where there is none: a copy."""
        weights, places = np.zeros(self.maxsize), self.sample_indices(0)
        if len(places):
            raw = self.replay.priorities(self._keys[places])
            weights[places] = (raw + self._replay_options["eps"]) ** self.replay.alpha
        return weights

    def update_weight(self, index: Any, new_weight: Any) -> None:
        """Sets the priorities |new_weight| [B] of the rows at these places."""
        self.replay.update_priorities(self._keys[index], np.abs(to_numpy(new_weight)).reshape(-1))

    def get_weight(self, index: Any) -> Any:
        """(N P(i))^-beta of the rows at these places."""
        keys = self._keys[index]
        return self._weights(self._gathered(keys)).reshape(keys.shape)

    def set_beta(self, beta: float) -> None:
        """Sets the importance-sampling exponent."""
        self._replay_options["beta"] = beta
        if self.replay is not None:
            self.replay.beta = beta

    def _make_replay(self, *arguments: Any, **options: Any) -> Any:
        return mujigae.PrioritizedReplayBuffer(*arguments, **options)

    def _weights(self, rows: mujigae.Batch) -> Any:
        return (len(self.replay) * rows.probability) ** -self.replay.beta

    def _batch(self, rows: mujigae.Batch, index: Any, shape: tuple[int, ...]) -> Any:
        batch = super()._batch(rows, index, shape)
        weights = self._weights(rows).reshape(shape)
        batch.weight = weights / weights.max() if self._weight_norm else weights
        return batch


class _Stacks:
    """The last k observations of each of E environments; before an episode's start, its first one again."""

    def __init__(self, num_envs: int, k: int) -> None:
        self._k = k
        self._newest: dict[str, Any] = {}  # [E, k, *shape] each, the newest observation last
        self._is_open = np.zeros(num_envs, dtype=bool)

    def of(self, ids: Any, frames: Mapping[_Path, Any], next_frames: Mapping[_Path, Any]) -> tuple[Any, Any]:
        """The stacks [R, k, *shape] that end with these observations [R, *shape], and those of their successors."""
        if self._k == 1:
            return tuple({_name(p): leaf for p, leaf in leaves.items()} for leaves in (frames, next_frames))  # type: ignore[return-value]
        goes_on = self._goes_on(ids, frames)
        obs, next_obs = {}, {}
        for path, frame in frames.items():
            stack = np.repeat(frame[:, None], self._k, axis=1)
            if goes_on.any():
                stack[goes_on] = self._newest[_name(path)][ids[goes_on]]
            obs[_name(path)] = stack
            next_obs[_name(path)] = np.concatenate([stack[:, 1:], next_frames[path][:, None]], axis=1)
        return obs, next_obs

    def move(self, ids: Any, next_obs: Mapping[str, Any], is_done: Any) -> None:
        """Remembers the stacks of the successors, for the rows after them."""
        self._is_open[ids] = ~is_done
        if self._k == 1:
            return
        for name, stack in next_obs.items():
            if name not in self._newest:
                self._newest[name] = np.zeros((len(self._is_open), *stack.shape[1:]), stack.dtype)
            self._newest[name][ids] = stack

    def close(self) -> None:
        """The next row of every environment is the first of an episode."""
        self._is_open[:] = False

    def _goes_on(self, ids: Any, frames: Mapping[_Path, Any]) -> Any:
        """bool [R]: the observation is the successor that the row before had; else the environment was reset."""
        goes_on = self._is_open[ids].copy()
        for r in np.flatnonzero(goes_on):
            goes_on[r] = all(
                self._newest[_name(path)][ids[r], -1].tobytes() == frame[r].tobytes()
                for path, frame in frames.items()
            )
        return goes_on


def _name(path: _Path) -> str:
    return ".".join(path) or "obs"


def _leaves(obs: Any) -> dict[_Path, Any]:
    """The arrays of an observation, by their paths."""
    if not isinstance(obs, Batch | Mapping):
        return {(): np.asarray(obs)}
    keys = obs.get_keys() if isinstance(obs, Batch) else obs.keys()
    return {(key, *path): leaf for key in keys for path, leaf in _leaves(obs[key]).items()}


def _rebuilt(leaves: Mapping[_Path, Any]) -> Any:
    """The observation that has these arrays."""
    if () in leaves:
        return leaves[()]
    parts: dict[str, dict[_Path, Any]] = {}
    for (key, *rest), leaf in leaves.items():
        parts.setdefault(key, {})[tuple(rest)] = leaf
    return Batch({key: _rebuilt(part) for key, part in parts.items()})


def _map(function: Any, tree: Any) -> Any:
    return _rebuilt({path: function(leaf) for path, leaf in _leaves(tree).items()})
