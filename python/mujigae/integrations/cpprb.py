"""mujigae's engine with the interface of cpprb 11; cpprb itself is not needed.

    from mujigae.integrations.cpprb import PrioritizedReplayBuffer, ReplayBuffer, create_buffer

How the names of `env_dict` are taken: a name that has a "next_" one (in `env_dict`, or by `next_of`) is an observation and
its successor, of which every array is stored once; with `Nstep`, the one reward and "done" are the engine's; everything else
is stored as it is. A buffer holds the steps of one environment, one after another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

import mujigae

__all__ = ["PrioritizedReplayBuffer", "ReplayBuffer", "create_buffer"]

_NEXT = "next_"


class ReplayBuffer:
    """cpprb's `ReplayBuffer`.

    Args:
        size: rows.
        env_dict: {name: {"shape": number or tuple, 1 by default, "dtype": ...}}.
        next_of: names whose "next_" ones are not in `env_dict`; to be given to `add` all the same.
        stack_compress: names whose last axis is a rolling stack; needs the successor, else the stacks are stored whole.
        default_dtype: of names without one.
        Nstep: {"size": n, "gamma": 0.99, "rew": name, "next": names}; needs "done" in `env_dict`. Without "rew" no column is summed;
            "next" may be left out: every "next_" name of an observation is that of the window's end.
        mmap_prefix: keep the rows in the new file `mmap_prefix + ".mujigae"`.
        **options: further ones of `mujigae.ReplayBuffer`: compress, seed, prefetch.

    `replay` is the engine's buffer.
    """

    def __init__(
        self,
        size: float,
        env_dict: Mapping[str, Any] | None = None,
        *,
        next_of: Any = None,
        stack_compress: Any = None,
        default_dtype: Any = None,
        Nstep: Mapping[str, Any] | None = None,  # noqa: N803
        mmap_prefix: str | None = None,
        **options: Any,
    ) -> None:
        self._size = int(size)
        self._columns = _Columns(
            env_dict or {}, _names(next_of), _names(stack_compress), default_dtype, Nstep
        )
        self._n_step = 1 if Nstep is None else int(Nstep["size"])
        if Nstep is not None:
            options |= {"n_step": self._n_step, "gamma": Nstep.get("gamma", 0.99)}
        if mmap_prefix is not None:
            options["path"] = f"{mmap_prefix}.mujigae"
        spaces, stacks, extras = self._columns.layout()
        self.replay = self._make_replay(
            self._size, spaces, ((), np.int8), frame_stack=stacks, extras=extras, **options
        )
        self._last_obs: Any = None  # of the successor of the newest row, while its episode is open
        self._forget()

    def add(self, **kwargs: Any) -> int | None:
        """Adds one step, or several after one another: each value [T, *shape] or [*shape].

        Returns the first place that was filled, or None while the n-step window of no row is complete. Raises KeyError for a
        missing name, ValueError for values of different numbers of steps, and changes nothing then.
        """
        return self._add(kwargs, None)

    def sample(self, batch_size: int) -> dict[str, Any]:
        """Draws a batch with replacement: {name: [B, *shape]}.

        With `Nstep` the reward is the return of the window, "next_" values and "done" are those of its end, and "discounts" [B, 1]
        is gamma^m (1 - done) for its m steps. Raises ValueError when no row can be drawn.
        """
        return self._columns.restored(self.replay.sample(batch_size))

    def on_episode_end(self) -> None:
        """Ends the episode: the windows of its last rows end with it. A step that is done has ended it already."""
        self.replay.end_episodes()
        self._num_open = self._episode_len = 0
        self._last_obs = None

    def clear(self) -> None:
        """Forgets every row."""
        self.replay.clear()
        self._forget()

    def get_all_transitions(self, shuffle: bool = False) -> dict[str, Any]:
        """All rows by their places, or in random order: {name: [N, *shape]}."""
        held = np.concatenate([np.empty(0, np.int64), *(episode.key for episode in self.replay.episodes())])
        key = np.roll(
            held[: len(self.replay)], self.get_next_index() if len(self.replay) == self._size else 0
        )
        if len(key) == 0:
            return self._columns.empty()
        if shuffle:
            np.random.shuffle(key)
        return self._columns.restored(self.replay.gather(key))

    def save_transitions(self, file: str | os.PathLike[str], *, safe: bool = True) -> None:
        """Writes everything to a file of mujigae's own format; `safe` is accepted."""
        self.replay.save(file)

    def load_transitions(self, file: str | os.PathLike[str]) -> None:
        """Replaces all rows by those of a file that `save_transitions` wrote; ValueError for one of other names or sizes."""
        loaded = mujigae.load(file)
        if type(loaded) is not type(self.replay) or loaded._spec != self.replay._spec:
            raise ValueError(f"file: expected the rows of a buffer like this one, got {loaded}")
        self._forget()
        self.replay, self._num_rows = loaded, len(loaded)
        self.replay.end_episodes()

    def get_stored_size(self) -> int:
        """Rows that can be drawn."""
        return len(self.replay)

    def get_buffer_size(self) -> int:
        """Rows at most."""
        return self._size

    def get_next_index(self) -> int:
        """The place of the next row."""
        return self._num_ready % self._size

    def get_current_episode_len(self) -> int:
        """Steps since the last `on_episode_end`."""
        return self._episode_len

    def is_Nstep(self) -> bool:  # noqa: N802
        """Whether returns have several steps."""
        return self._columns.is_n_step

    def _make_replay(self, *arguments: Any, **options: Any) -> mujigae.ReplayBuffer:
        return mujigae.ReplayBuffer(*arguments, **options)

    def _add(self, values: Mapping[str, Any], priorities: Any) -> int | None:
        rows = self._columns.rows(values)
        ready = self._num_ready
        if self._last_obs is not None and _differs(rows.obs, self._last_obs):
            self.replay.end_episodes()  # another environment's step, or one after a reset without an end
            self._num_open = 0
        ends = rows.ends()
        self.replay.extend(
            *(rows.obs, rows.nothing(), rows.reward, rows.next_obs, rows.terminated, ends & ~rows.terminated),
            extras=rows.extras,
            priority=None if priorities is None else np.broadcast_to(np.ravel(priorities), ends.shape),
        )
        self._num_rows += len(ends)
        self._episode_len += len(ends)
        found = np.flatnonzero(ends)
        self._num_open = len(ends) - 1 - int(found[-1]) if len(found) else self._num_open + len(ends)
        self._last_obs = None if ends[-1] else {name: array[-1] for name, array in rows.next_obs.items()}
        return ready % self._size if self._num_ready > ready else None

    @property
    def _num_ready(self) -> int:
        """Rows so far whose window is complete."""
        return self._num_rows - min(self._n_step - 1, self._num_open)

    def _forget(self) -> None:
        self._num_rows = self._num_open = self._episode_len = 0
        self._last_obs = None


class PrioritizedReplayBuffer(ReplayBuffer):
    """cpprb's `PrioritizedReplayBuffer`: float64, drawn in strata.

    Args:
        alpha: priority exponent.
        eps: added to every priority.
        check_for_update: accepted; the priority of a row that was overwritten is never set.
        **options: as `ReplayBuffer`.
    """

    replay: mujigae.PrioritizedReplayBuffer

    def __init__(
        self,
        size: float,
        env_dict: Mapping[str, Any] | None = None,
        *,
        alpha: float = 0.6,
        eps: float = 1e-4,
        check_for_update: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(size, env_dict, **{"alpha": alpha, "eps": eps, **options})

    def add(self, *, priorities: Any = None, **kwargs: Any) -> int | None:
        """As `ReplayBuffer.add`, with first priorities, one a step; by default the largest so far."""
        return self._add(kwargs, priorities)

    def sample(self, batch_size: int, beta: float = 0.4) -> dict[str, Any]:
        """As `ReplayBuffer.sample`, by priority, with "weights" [B] float32 and "indexes" [B] uint64 for `update_priorities`."""
        batch = self.replay.sample(batch_size, beta)
        more = {"weights": batch.weight, "indexes": batch.key.astype(np.uint64)}
        return self._columns.restored(batch) | more

    def update_priorities(self, indexes: Any, priorities: Any) -> None:
        """Sets the priorities [B] of the rows of a batch; those that were overwritten are left out."""
        if indexes is None or priorities is None:
            raise TypeError("update_priorities: expected indexes and priorities, got None")
        self.replay.update_priorities(np.ravel(indexes).astype(np.int64), np.ravel(priorities))

    def get_max_priority(self) -> float:
        """The largest priority so far, which new rows get."""
        return self.replay.max_priority

    def _make_replay(self, *arguments: Any, **options: Any) -> mujigae.PrioritizedReplayBuffer:
        return mujigae.PrioritizedReplayBuffer(*arguments, **options)


def create_buffer(
    size: float, env_dict: Mapping[str, Any] | None = None, *, prioritized: bool = False, **options: Any
) -> ReplayBuffer:
    """A buffer of either kind."""
    return (PrioritizedReplayBuffer if prioritized else ReplayBuffer)(size, env_dict, **options)


class _Rows:
    """Steps [T] on their way into the engine."""

    def __init__(self, obs: Any, next_obs: Any, reward: Any, terminated: Any, extras: Any) -> None:
        self.obs, self.next_obs, self.extras = obs, next_obs, extras
        self.reward, self.terminated = reward, terminated

    def nothing(self) -> Any:
        return np.zeros(len(self.reward), np.int8)

    def ends(self) -> Any:
        """bool [T]: done, or the step behind it does not go on from here."""
        ends = self.terminated.copy()
        for name, array in self.obs.items():
            differs = array[1:] != self.next_obs[name][:-1]
            ends[:-1] |= differs.any(axis=tuple(range(1, differs.ndim)))
        return ends


class _Columns:
    """The names of a buffer: which are observations, and how a value becomes an array of its dtype and shape."""

    def __init__(
        self, env_dict: Mapping[str, Any], next_of: Any, stacked: Any, default_dtype: Any, n_step: Any
    ) -> None:
        both = dict(env_dict) | {_NEXT + name: env_dict[name] for name in next_of}
        self.specs = {name: _shape_and_dtype(spec, default_dtype) for name, spec in both.items()}
        self.pairs = [name for name in self.specs if _NEXT + name in self.specs]
        self.stacked = [name for name in self.pairs if name in stacked]
        self.is_n_step = n_step is not None
        self.reward = _only_name(n_step["rew"]) if n_step is not None and n_step.get("rew") else None
        self.has_done = "done" in self.specs
        computed = [] if n_step is None else ["done", *([] if self.reward is None else [self.reward])]
        if not set(computed) <= set(self.specs):
            raise ValueError(f"env_dict: expected {computed} for Nstep, got {list(self.specs)}")
        later = {_NEXT + name for name in self.pairs}
        if n_step is not None and not set(_names(n_step.get("next"))) <= later:
            raise ValueError(f'Nstep["next"]: expected names among {sorted(later)}, got {n_step["next"]!r}')
        taken = {*self.pairs, *later, *computed}
        self.extras = [name for name in self.specs if name not in taken]

    def layout(self) -> tuple[Any, Any, Any]:
        """Observation space, stacks and extras of the engine's buffer."""
        spaces = {name: self._stored_spec(name) for name in self.pairs} or {"": ((), np.int8)}
        stacks = {name: self.specs[name][0][-1] for name in self.stacked}
        return spaces, stacks, {name: self.specs[name] for name in self.extras}

    def rows(self, values: Mapping[str, Any]) -> _Rows:
        arrays = {name: self._array(name, values[name]) for name in self.specs}  # KeyError for a missing one
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"add: expected values of one number of steps, got {lengths}")
        num_steps = next(iter(lengths.values()))
        none = {"": np.zeros(num_steps, np.int8)}
        reward = np.zeros(num_steps) if self.reward is None else arrays[self.reward].reshape(num_steps)
        done = (
            arrays["done"].reshape((num_steps, -1)).any(axis=1)
            if self.has_done
            else np.zeros(num_steps, bool)
        )
        obs, next_obs = (
            {name: self._stored(name, arrays[prefix + name]) for name in self.pairs} or none
            for prefix in ("", _NEXT)
        )
        return _Rows(obs, next_obs, reward, done, {name: arrays[name] for name in self.extras})

    def restored(self, batch: mujigae.Batch) -> dict[str, Any]:
        """{name: [B, *shape]} in the order of `env_dict`."""
        found = dict(batch.extras)
        for name in self.pairs:
            found[name] = self._as_given(name, batch.obs[name])
            found[_NEXT + name] = self._as_given(name, batch.next_obs[name])
        if self.reward is not None:
            found[self.reward] = self._column(self.reward, batch.reward)
        if self.is_n_step:
            found["done"] = self._column("done", batch.terminated)
        ordered = {name: found[name] for name in self.specs}
        return ordered | ({"discounts": batch.discount[:, None]} if self.is_n_step else {})

    def empty(self) -> dict[str, Any]:
        return {name: np.zeros((0, *shape), dtype) for name, (shape, dtype) in self.specs.items()}

    def _array(self, name: str, value: Any) -> Any:
        shape, dtype = self.specs[name]
        return np.asarray(value, dtype=dtype).reshape((-1, *shape))

    def _column(self, name: str, array: Any) -> Any:
        shape, dtype = self.specs[name]
        return array.astype(dtype).reshape((-1, *shape))

    def _stored_spec(self, name: str) -> tuple[tuple[int, ...], Any]:
        shape, dtype = self.specs[name]
        return ((shape[-1], *shape[:-1]), dtype) if name in self.stacked else (shape, dtype)

    def _stored(self, name: str, array: Any) -> Any:
        return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if name in self.stacked else array

    def _as_given(self, name: str, array: Any) -> Any:
        return (
            np.moveaxis(array, 1, -1) if name in self.stacked else array
        )  # a view: the copy would take longer than the draw


def _names(names: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def _only_name(names: Any) -> str:
    found = _names(names)
    if len(found) != 1:
        raise ValueError(f'Nstep["rew"]: expected one name, got {list(found)}')
    return found[0]


def _shape_and_dtype(spec: Mapping[str, Any], default_dtype: Any) -> tuple[tuple[int, ...], Any]:
    shape = spec.get("shape", 1)
    dtype = spec.get("dtype", default_dtype)
    return tuple(np.atleast_1d(shape).tolist()), np.dtype(np.single if dtype is None else dtype)


def _differs(obs: Mapping[str, Any], last: Mapping[str, Any]) -> bool:
    return any(array[0].tobytes() != last[name].tobytes() for name, array in obs.items())
