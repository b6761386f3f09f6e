"""mujigae's engine under TorchRL 0.14: a prioritized sampler on the sum tree, and a storage that keeps every frame once.

    TensorDictReplayBuffer(
        storage=FrameStorage(1_000_000, frame_stack={"pixels": 4}),
        sampler=PrioritizedSampler(1_000_000, alpha=0.6, beta=0.4),
        batch_size=32,
    )

Either works without the other. The sampler is a subclass of TorchRL's, since `update_tensordict_priority` asks for one; it
needs nothing of TorchRL's compiled extension, which can be loaded beside one release of torch only.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import mujigae
from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("torchrl", "torchrl", first="0.14", below="0.15")

import torch  # noqa: E402
from tensordict import TensorDictBase, unravel_key  # noqa: E402
from torchrl.data import LazyTensorStorage, Storage  # noqa: E402
from torchrl.data import replay_buffers as theirs  # noqa: E402

__all__ = ["FrameStorage", "PrioritizedSampler"]

_Key = tuple[str, ...]  # of an entry in a TensorDict
_FRAMES_FILE, _KEYS_FILE, _GENERATOR_FILE = "frames.mujigae", "keys.npy", "generator.json"


class PrioritizedSampler(theirs.PrioritizedSampler):
    """TorchRL's `PrioritizedSampler` with a sum tree in float64 that is exact after any number of updates.

    Args:
        max_capacity, alpha, beta, eps, dtype, reduction, max_priority_within_buffer: as TorchRL's; `dtype` is that of the weights.
        device: accepted, as TorchRL's buffers give it.
        stratified: draw one row of each of `batch_size` equal shares of the total priority.
        seed: of the sampler's own generator; the `generator` of the replay buffer is used instead where it has one.

    The tree lies in the memory of the host, whatever the device of the storage. A weight is (p_i / p_min)^-beta with the
    smallest priority in the buffer, as TorchRL has it. Priorities that are negative, NaN or infinite are refused by a
    ValueError, and nothing is changed.
    """

    def __init__(
        self,
        max_capacity: int,
        alpha: float,
        beta: float,
        eps: float = 1e-8,
        dtype: torch.dtype = torch.float,
        reduction: str = "max",
        max_priority_within_buffer: bool = False,
        device: Any = None,
        *,
        stratified: bool = False,
        seed: int | None = None,
    ) -> None:
        self._stratified = stratified
        self._generator = np.random.Generator(np.random.Philox(seed))
        super().__init__(max_capacity, alpha, beta, eps, dtype, reduction, max_priority_within_buffer)

    @property
    def device(self) -> torch.device:
        """Of indices and weights: the CPU."""
        return torch.device("cpu")

    def sample(self, storage: Storage, batch_size: int) -> tuple[Any, dict[str, Any]]:
        """Draws rows in proportion to their priorities: index [B] and {"priority_weight": [B]}."""
        if len(storage) == 0:
            raise RuntimeError("Cannot sample from an empty storage.")
        tree = self._sum_tree.tree
        if tree.total <= 0:
            raise RuntimeError("expected a row with a priority above zero, got none")
        index = tree.find(self._targets(batch_size) * tree.total)
        beta = float(self._beta)  # a scheduler of TorchRL makes a tensor of it
        weight = torch.from_numpy((tree[index] / tree.min) ** -beta).to(self.dtype)
        if storage.ndim > 1:
            return tuple(map(torch.from_numpy, np.unravel_index(index, storage.shape))), {
                "priority_weight": weight
            }
        return torch.from_numpy(index), {"priority_weight": weight}

    def update_priority(self, index: Any, priority: Any, *, storage: Any = None) -> None:
        """As TorchRL's; of an index that occurs twice the last priority holds."""
        values = torch.as_tensor(priority).detach()
        if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
            raise ValueError("priority: expected finite numbers of at least 0, got others")
        super().update_priority(index, values.cpu(), storage=storage)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the future: settings, leaves and generator."""
        return {
            "_alpha": self._alpha,
            "_beta": self._beta,
            "_eps": self._eps,
            "_max_priority": self._max_priority,
            "_leaves": self._sum_tree[torch.arange(self._max_capacity)],
            "_generator": self._generator.bit_generator.state,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The state of a sampler of the same capacity."""
        for name in ("_alpha", "_beta", "_eps", "_max_priority"):
            setattr(self, name, state_dict[name])
        self._sum_tree[torch.arange(self._max_capacity)] = state_dict["_leaves"]
        self._generator.bit_generator.state = state_dict["_generator"]

    def dumps(self, path: Any) -> None:
        """As TorchRL's, with the generator beside it."""
        super().dumps(path)
        state = json.dumps(self._generator.bit_generator.state, default=np.ndarray.tolist)
        (Path(path) / _GENERATOR_FILE).write_text(state, encoding="utf-8")

    def loads(self, path: Any) -> None:
        """What `dumps` wrote."""
        super().loads(path)
        state = json.loads((Path(path) / _GENERATOR_FILE).read_text(encoding="utf-8"))
        words = state["state"] | {"buffer": state["buffer"]}
        arrays = {name: np.array(values, dtype=np.uint64) for name, values in words.items()}
        self._generator.bit_generator.state = state | {"buffer": arrays.pop("buffer"), "state": arrays}

    def _init(self) -> None:
        self._sum_tree = _Tree(self._max_capacity)
        self._min_tree = _MinTree(self._sum_tree)
        self._max_priority = None

    def _maybe_init_from_storage(self, storage: Any) -> None:
        """The tree stays on the host."""

    def _targets(self, batch_size: int) -> Any:
        """[B] numbers in [0, 1)."""
        if self._rng is None:
            numbers = self._generator.random(batch_size)
        else:
            numbers = torch.rand(batch_size, dtype=torch.float64, generator=self._rng).numpy()
        return (np.arange(batch_size) + numbers) / batch_size if self._stratified else numbers


class _Tree:
    """A sum tree as TorchRL's sampler uses one: its leaves are read and written by tensors of indices."""

    def __init__(self, capacity: int) -> None:
        self.tree = mujigae.SumTree(capacity)

    def __getitem__(self, index: Any) -> Any:
        return torch.as_tensor(self.tree[np.asarray(index)] if np.ndim(index) else self.tree[int(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        index = np.asarray(index, dtype=np.int64).reshape(-1)
        self.tree.update(index, np.broadcast_to(np.asarray(value, dtype=np.float64), index.shape))

    def __getstate__(self) -> dict[str, Any]:
        return {"leaves": self.tree[np.arange(len(self.tree))]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        leaves = state["leaves"]
        self.__init__(len(leaves))  # type: ignore[misc]
        self[np.arange(len(leaves))] = leaves


class _MinTree:
    """The same tree: it knows its smallest leaf."""

    def __init__(self, tree: _Tree) -> None:
        self._tree = tree

    def __getitem__(self, index: Any) -> Any:
        return self._tree[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        """The leaf is written already."""


class FrameStorage(LazyTensorStorage):
    """A `LazyTensorStorage` whose stacked observations lie in mujigae's engine, every frame once.

    Args:
        max_size: rows.
        frame_stack: {key: k}, key being an entry of the rows whose axis 0 is a rolling stack of k frames, as `CatFrames` makes
            it, and ("next", key) its successor. 1: no stack, but the successor is still stored once only.
        compress: keep frames in as few bytes as the frame before allows, lossless.
        **options: further ones of `mujigae.ReplayBuffer`: path.

    Every other entry is stored as `LazyTensorStorage` does. Rows are added in order, as `extend` and `add` of a replay buffer
    do; those of one environment should follow each other, as in `data.reshape(-1)` of a collector's [environments, time].
    `frames` is the engine's buffer, None before the first row.
    """

    frames: Any

    def __init__(
        self, max_size: int, *, frame_stack: Mapping[Any, int], compress: bool = False, **options: Any
    ) -> None:
        super().__init__(max_size)
        self._stacks: dict[_Key, int] = {_as_tuple(key): k for key, k in frame_stack.items()}
        self._frame_options = {"compress": compress, **options}
        self._keys = np.full(self.max_size, -1, dtype=np.int64)  # the engine's key of the row at each place
        self._next_place = 0
        self.frames = None

    def set(self, cursor: Any, data: Any, *, set_cursor: bool = True) -> None:
        """Adds rows [n] at the next places, or one row at the next place.

        Raises ValueError for other places, rows with a time axis or without an entry that is declared, and frames that do not
        roll; nothing is changed then.
        """
        places = np.atleast_1d(np.asarray(cursor, dtype=np.int64))
        rows = data if data.ndim else data.unsqueeze(0)
        self._check(places, rows)
        obs, next_obs = self._observations(rows), self._observations(rows.get("next"))
        self._check_stacks(obs, next_obs)
        frames = self._made(obs) if self.frames is None else self.frames
        self._keys[places] = _added(frames, obs, next_obs, _ends(rows, obs, next_obs))
        self.frames = frames
        self._next_place = int(places[-1] + 1) % self.max_size
        super().set(cursor, self._without_observations(data), set_cursor=set_cursor)

    def get(self, index: Any) -> Any:
        """The rows at these places, each observation a tensor of its own."""
        rest = super().get(index)
        keys = self._keys[: len(self)][index.numpy() if isinstance(index, torch.Tensor) else index]
        found = self.frames.gather(keys.reshape(-1))
        rows = rest.copy()
        for key in self._stacks:
            for arrays, entry in ((found.obs, key), (found.next_obs, ("next", *key))):
                array = arrays[_name(key)]
                rows.set(entry, torch.from_numpy(array.reshape((*keys.shape, *array.shape[1:]))))
        return rows

    def state_dict(self) -> dict[str, Any]:
        """As `LazyTensorStorage`'s, with the engine's snapshot as bytes."""
        state = super().state_dict() | {"_keys": torch.from_numpy(self._keys.copy())}
        with tempfile.TemporaryDirectory() as folder:
            if self.frames is not None:
                self.frames.save(Path(folder) / _FRAMES_FILE)
                content = np.fromfile(Path(folder) / _FRAMES_FILE, dtype=np.uint8)
                state["_frames"] = torch.from_numpy(content)
        return state | {"_next_place": self._next_place}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The state of a storage of the same size."""
        super().load_state_dict(state_dict)
        self._keys[:] = state_dict["_keys"].numpy()
        self._next_place = state_dict["_next_place"]
        with tempfile.TemporaryDirectory() as folder:
            if "_frames" in state_dict:
                state_dict["_frames"].numpy().tofile(Path(folder) / _FRAMES_FILE)
                self.frames = mujigae.load(Path(folder) / _FRAMES_FILE)

    def dumps(self, path: Any) -> None:
        """As `LazyTensorStorage`'s, with the engine's snapshot beside it."""
        super().dumps(path)
        self.frames.save(Path(path) / _FRAMES_FILE)
        np.save(Path(path) / _KEYS_FILE, np.append(self._keys, self._next_place))

    def loads(self, path: Any) -> None:
        """What `dumps` wrote."""
        super().loads(path)
        self.frames = mujigae.load(Path(path) / _FRAMES_FILE)
        *self._keys[:], self._next_place = np.load(Path(path) / _KEYS_FILE).tolist()

    def _empty(self) -> None:
        super()._empty()
        self._next_place = 0
        if self.frames is not None:
            self.frames.clear()

    def _check(self, places: Any, rows: Any) -> None:
        if not isinstance(rows, TensorDictBase) or rows.ndim != 1:
            raise ValueError("data: expected a TensorDict with at most one axis; use data.reshape(-1)")
        expected = (self._next_place + np.arange(len(places))) % self.max_size
        if len(places) > self.max_size or not np.array_equal(places, expected):
            raise ValueError(
                f"cursor: expected the places from {self._next_place} on, at most {self.max_size} of them, since rows "
                "are added in order"
            )

    def _check_stacks(self, obs: Mapping[str, Any], next_obs: Mapping[str, Any]) -> None:
        """Before the first row is added: the engine would refuse a row in the middle."""
        for key, k in self._stacks.items():
            before, after = obs[_name(key)], next_obs[_name(key)]
            step = before.shape[1] // k if k > 1 else 0
            if k > 1 and not np.array_equal(before[:, step:], after[:, :-step]):
                raise ValueError(f"data: expected axis 0 of {key} to be a rolling stack of {k} frames")

    def _observations(self, rows: Any) -> dict[str, Any]:
        """The declared entries as arrays, by the engine's names."""
        found = {}
        for key in self._stacks:
            value = rows.get(key, None)
            if value is None:
                raise ValueError(f"data: expected the entry {key} and its successor, got {list(rows.keys())}")
            found[_name(key)] = value.detach().cpu().contiguous().numpy()
        return found

    def _made(self, obs: Mapping[str, Any]) -> mujigae.ReplayBuffer:
        """An empty buffer of the engine for rows like the first one; it stores nothing but observations."""
        spaces = {name: (array.shape[1:], array.dtype) for name, array in obs.items()}
        return mujigae.ReplayBuffer(
            self.max_size,
            spaces,
            ((), np.int8),
            frame_stack={_name(key): k for key, k in self._stacks.items()},
            **self._frame_options,
        )

    def _without_observations(self, data: Any) -> Any:
        return data.exclude(*self._stacks, *(("next", *key) for key in self._stacks))


def _added(frames: mujigae.ReplayBuffer, obs: Any, next_obs: Any, ends: Any) -> Any:
    """Adds rows [n], an episode after the other, and returns their keys [n] int64."""
    keys = np.empty(len(ends), dtype=np.int64)
    bounds = [0, *(np.flatnonzero(ends[:-1]) + 1).tolist(), len(ends)]
    for begin, end in pairwise(bounds):
        _extend(frames, slice(begin, begin + 1), obs, next_obs, ends)
        keys[begin] = frames.last_key()[0]
        _extend(frames, slice(begin + 1, end), obs, next_obs, ends)
        for i in range(begin + 1, end):
            keys[i] = frames.next_key(keys[i - 1 : i])[0]
    return keys


def _extend(frames: mujigae.ReplayBuffer, which: slice, obs: Any, next_obs: Any, ends: Any) -> None:
    one, after = ({name: array[which] for name, array in part.items()} for part in (obs, next_obs))
    count = which.stop - which.start
    nothing, reward, no = np.zeros(count, np.int8), np.zeros(count), np.zeros(count, dtype=bool)
    frames.extend(one, nothing, reward, after, no, ends[which])


def _ends(rows: Any, obs: Mapping[str, Any], next_obs: Mapping[str, Any]) -> Any:
    """bool [n]: the row is the last of its episode, or the one behind it belongs to another environment."""
    done = rows.get(("next", "done"), None)
    ends = (
        np.zeros(len(rows), dtype=bool)
        if done is None
        else done.cpu().numpy().reshape((len(rows), -1)).any(axis=1)
    )
    for name, array in obs.items():
        differs = array[1:] != next_obs[name][:-1]
        ends[:-1] |= differs.any(axis=tuple(range(1, differs.ndim)))
    return ends


def _as_tuple(key: Any) -> _Key:
    key = unravel_key(key)
    return (key,) if isinstance(key, str) else tuple(key)


def _name(key: _Key) -> str:
    return ".".join(key)
