"""skrl 2.1: a memory for its off-policy agents in torch, on mujigae's engine.

    memory = ReplayMemory(memory_size=100_000, num_envs=8, observation_space=env.observation_space, frame_stack=4)
    agent = DQN(models=models, memory=memory, ...)

skrl's own memories hold every observation twice, as float32. Here a successor is stored once, a frame of a stack once, and
both in the dtype of the space. skrl's agents do not tell their memory that an episode was cut: the engine sees it where the next
observation is not the successor before it. With `frame_stack`, the step in which a vector environment resets itself is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import mujigae
from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("skrl", "skrl", first="2.1", below="2.2")

torch: Any = require("torch", "skrl")

from skrl.memories.torch import Memory  # noqa: E402

from mujigae.envs.reset_steps import ResetSteps  # noqa: E402
from mujigae.structures import map_arrays  # noqa: E402

__all__ = ["ReplayMemory"]

_PAIRS = {"observations": "next_observations", "states": "next_states"}
_NAMES = (*_PAIRS, *_PAIRS.values(), "actions", "rewards", "terminated", "truncated")


class ReplayMemory(Memory):
    """For skrl's `RandomMemory` with replacement.

    Args:
        memory_size: rows of one environment.
        num_envs: environments, E.
        device: of the batches; None: skrl's default.
        observation_space: of one environment, a box, whose shape and dtype the observations are stored in; None: as skrl gives
            them, flat and float32.
        **options: further ones of `mujigae.ReplayBuffer`: frame_stack, compress, path, prefetch, validate, seed.

    Batches are flat and of the dtypes that the agent asked for, as skrl's. `replay` is the engine's buffer; None before the first row.
    """

    replay: mujigae.ReplayBuffer | None

    def __init__(
        self,
        *,
        memory_size: int,
        num_envs: int = 1,
        device: Any = None,
        observation_space: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(memory_size=memory_size, num_envs=num_envs, device=device)
        if "n_step" in options:
            raise TypeError("n_step: expected none, since skrl's agents discount by one step, got one")
        self._space, self._options = observation_space, options
        self._dtypes: dict[str, Any] = {}  # torch dtypes, by the name of a column
        self._reset_steps = ResetSteps(self._stacks())
        self.replay = None

    def __len__(self) -> int:
        """Rows that can be drawn, of all environments."""
        return 0 if self.replay is None else len(self.replay)

    def create_tensor(
        self, name: str, *, size: Any, dtype: Any = None, keep_dimensions: bool = False
    ) -> bool:
        """Notes what the agent will ask for. Raises ValueError for a name that off-policy agents without memory do not use."""
        if size is None:
            return False
        if name not in _NAMES or keep_dimensions:
            raise ValueError(f"name: expected one of {list(_NAMES)}, kept flat, got {name!r}")
        is_new = name not in self._dtypes
        self._dtypes[name] = torch.get_default_dtype() if dtype is None else dtype
        return is_new

    def add_samples(self, **tensors: Any) -> None:
        """Adds one row of each environment, tensors [E, size].

        Raises ValueError for rows of another number of environments, observations that their space cannot hold, and what
        `mujigae.ReplayBuffer.add` refuses; nothing is changed then.
        """
        rows = {name: _array(tensor) for name, tensor in tensors.items() if name in self._dtypes}
        if len(rows["rewards"]) != self.num_envs:
            raise ValueError(
                f"rewards: expected a row of each of {self.num_envs} environments, got {len(rows['rewards'])}"
            )
        replay = self._made(rows) if self.replay is None else self.replay
        no = np.zeros((self.num_envs, 1), bool)
        obs, next_obs = (
            {name: self._stored(name, rows[pair if is_next else name]) for name, pair in self._pairs()}
            for is_next in (False, True)
        )
        terminated, truncated = (
            rows.get(name, no).astype(bool)[:, 0] for name in ("terminated", "truncated")
        )
        found = self._reset_steps.find(obs, next_obs)
        every = np.arange(self.num_envs)
        ids = every[~found]
        if len(ids):
            step = obs, rows["actions"], rows["rewards"][:, 0], next_obs, terminated, truncated, every
            replay.add(*(_rows(part, ids) for part in step))
        self._reset_steps.keep(next_obs, found)
        self.replay = replay

    def sample(
        self, names: list[str], *, batch_size: int, mini_batches: int = 1, sequence_length: int = 1
    ) -> list[list[Any]]:
        """Rows drawn with replacement, tensors [B, size] in the order of `names`, in `mini_batches` parts.

        Raises ValueError before the first row and for sequences.
        """
        if self.replay is None or sequence_length > 1:
            raise ValueError(
                f"sample: expected rows, one at a time, got {len(self)} rows and sequence_length={sequence_length}"
            )
        batch = self.replay.sample(batch_size)
        found = {"actions": batch.action, "rewards": batch.reward, "terminated": batch.terminated}
        found["truncated"] = torch.zeros_like(batch.terminated)  # a row that was cut bootstraps
        for name, pair in self._pairs():
            found |= {name: batch.obs[name], pair: batch.next_obs[name]}
        columns = [
            found[name].reshape(batch_size, -1).to(self._dtypes[name]) if name in self._dtypes else None
            for name in names
        ]
        parts = [None if column is None else torch.tensor_split(column, mini_batches) for column in columns]
        return [[None if part is None else part[i] for part in parts] for i in range(mini_batches)]

    def reset(self) -> None:
        """Forgets every row."""
        super().reset()
        if self.replay is not None:
            self.replay.clear()

    def save(self, directory: str = "", **_: Any) -> None:
        """Writes the engine's buffer to `memories/memory.mujigae` in a folder. Raises ValueError before the first row."""
        if self.replay is None:
            raise ValueError("save: expected at least one row, got none")
        folder = Path(directory) / "memories"
        folder.mkdir(parents=True, exist_ok=True)
        self.replay.save(folder / "memory.mujigae")

    def load(self, path: str) -> None:
        """Reads what `save` wrote; the agent has to have been initialised."""
        self.replay = mujigae.load(path, device=str(self.device))

    def sample_by_index(self, names: Any, *, indexes: Any, mini_batches: int = 1) -> Any:
        """Not there: rows have keys, which `replay.gather` takes."""
        raise NotImplementedError("sample_by_index: rows have no index; use replay.gather(key)")

    def sample_all(self, names: Any, *, mini_batches: int = 1, sequence_length: int = 1) -> Any:
        """Not there: this memory is for off-policy agents."""
        raise NotImplementedError("sample_all: expected an off-policy agent; use skrl's RandomMemory")

    def _made(self, rows: dict[str, Any]) -> mujigae.ReplayBuffer:
        spaces = {name: (rows[name].shape[1:], rows[name].dtype) for name, _ in self._pairs()}
        if self._space is not None:
            spaces["observations"] = tuple(self._space.shape), np.dtype(self._space.dtype)
        options = self._options | {"frame_stack": self._stacks()}
        return mujigae.ReplayBuffer(
            self.memory_size * self.num_envs,
            spaces,
            (rows["actions"].shape[1:], rows["actions"].dtype),
            num_envs=self.num_envs,
            device=str(self.device),
            **options,
        )

    def _stacks(self) -> dict[str, int] | None:
        """`frame_stack` as the engine's buffer takes it."""
        stack = self._options.get("frame_stack")
        return None if stack is None else {"observations": stack}

    def _pairs(self) -> list[tuple[str, str]]:
        return [(name, pair) for name, pair in _PAIRS.items() if name in self._dtypes]

    def _stored(self, name: str, array: Any) -> Any:
        """Observations [E, size] in the shape and dtype that they are stored in; ValueError where that would change them."""
        if self._space is None or name != "observations":
            return array
        stored = array.astype(self._space.dtype).reshape(-1, *self._space.shape)
        if not np.array_equal(stored.reshape(array.shape), array):
            raise ValueError(
                f"observations: expected values of {self._space.dtype}, got {array.dtype} that are none"
            )
        return stored


def _rows(part: Any, ids: Any) -> Any:
    """Some of the rows [E, ...] of an array, or of a dict of arrays."""
    return map_arrays(lambda array: array[ids], part)


def _array(tensor: Any) -> Any:
    """A NumPy array [E, size], 64-bit floats as 32, which skrl's memories hold."""
    array = tensor.detach().cpu().numpy()
    return array.astype(np.float32) if array.dtype == np.float64 else array
