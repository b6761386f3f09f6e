"""What a replay buffer has to look like to be examined: one class around it, and what it does not offer it says so."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from mujigae.replay.batch import Batch, Episode, SequenceBatch

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "OPTIONS",
    "Adapter",
    "Batch",
    "Config",
    "Episode",
    "NotOffered",
    "SequenceBatch",
    "Tree",
    "resident_bytes",
    "size_of",
]


class NotOffered(Exception):  # noqa: N818, it is no error
    """A case asks for what a buffer never promised; the message says what."""


@dataclass(frozen=True)
class Config:
    """How a case wants its buffer. Fields with a default that a case changes are options: see `Adapter.offers`.

    An observation is uint8 of `frame_shape`; with `frame_stack` k a rolling stack [k, *frame_shape]; with `dict_obs`
    {"image": that, "speed": float32 [1]}. An action is one int64.
    """

    capacity: int  #: rows over all environments
    frame_shape: tuple[int, ...] = (2, 3)
    num_envs: int = 1
    frame_stack: int | None = None
    n_step: int = 1
    gamma: float = 0.99  #: discount of one step
    prioritized: bool = False
    alpha: float = 1.0  #: priority exponent
    beta: float = 1.0  #: importance-sampling exponent
    eps: float = 1e-6  #: added to a priority; a library without such a setting uses its own
    stratified: bool = False  #: the i-th of B rows from the i-th of B equal slices of the total priority
    rank_based: bool = False  #: with `prioritized`: shares by the rank of a priority, not its size
    uniform_share: float = 0.0  #: with `prioritized`: of the draws that every row has alike
    replacement: bool = True  #: a row may come more than once in a batch
    dict_obs: bool = False
    compact: bool = False  #: whatever the library has to store next_obs once and not twice
    frames_once: bool = False  #: whatever the library has to store each frame of its stacks once
    extras: bool = (
        False  #: a row has {"log_prob": float32 [], "state": int16 [2]} besides; see `Adapter.add_with`
    )
    seed: int | None = None

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """[*frame_shape] or [frame_stack, *frame_shape]."""
        return self.frame_shape if self.frame_stack is None else (self.frame_stack, *self.frame_shape)

    def options(self) -> set[str]:
        """The options that this configuration makes use of."""
        return {name for name in OPTIONS if getattr(self, name) != _DEFAULTS[name]}


OPTIONS = frozenset(
    [
        "num_envs",
        "frame_stack",
        "n_step",
        "prioritized",
        "stratified",
        "rank_based",
        "uniform_share",
        "replacement",
        "dict_obs",
        "compact",
        "frames_once",
        "extras",
        "seed",
    ]
)
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Config)}


class Tree(Protocol):
    """A sum tree on its own: leaves 0 ... capacity - 1."""

    def update(self, indices: Any, values: Any) -> None:
        """Sets leaves."""

    def find(self, targets: Any) -> Any:
        """The leaf in which each prefix sum lies."""

    @property
    def total(self) -> float:
        """The sum of the leaves."""


class Adapter:
    """Derive from this around your buffer: `__init__`, `add` and `sample` are enough, the rest widens the examination.

    Raise `NotOffered` in `__init__` for combinations of options that the library refuses or its manual warns of.
    """

    name: ClassVar[str] = "unnamed"
    version: ClassVar[str] = ""
    #: which of OPTIONS the library has; "env_ids": `add` takes some of the environments; "threads": one may add while
    #: others sample
    offers: ClassVar[frozenset[str]] = frozenset()
    #: how stacks begin an episode: "any" (what is added comes back), or "zeros" or "repeat" by the library itself
    padding: ClassVar[str] = "any"
    #: false when `import torch` is part of the library
    runs_without_torch: ClassVar[bool] = True
    _resident_before: int

    def __new__(cls, config: Config) -> Self:
        """Notes what the process holds before there is a buffer."""
        self = super().__new__(cls)
        self._resident_before = resident_bytes()
        return self

    def __init__(self, config: Config) -> None:
        raise NotImplementedError

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
        """One transition of each environment [E, ...], or of those in `env_ids` [E], in any order.

        obs and next_obs [E, *obs_shape] uint8 (a dict with `dict_obs`), action [E] int64, reward [E] float64,
        terminated and truncated [E] bool. next_obs is the true successor. The caller reuses its arrays afterwards.
        """
        raise NotImplementedError

    def sample(self, batch_size: int) -> Batch:
        """A batch as `mujigae.Batch` has it: discount is what a user multiplies the bootstrap by, [B] each.

        Where the library gives no discount, the one that its manual tells its users to take. `weight` 1 and `key` None
        without priorities.
        """
        raise NotImplementedError

    def extend(
        self, obs: Any, action: Any, reward: Any, next_obs: Any, terminated: Any, truncated: Any
    ) -> None:
        """Consecutive transitions of one environment [T, ...]; one by one, unless the library takes them at once."""
        for t in range(len(reward)):
            now = slice(t, t + 1)
            self.add(obs[now], action[now], reward[now], next_obs[now], terminated[now], truncated[now])

    def update_priorities(self, key: Any, priorities: Any) -> None:
        """Hands back the `key` [B] of a batch with raw priorities [B] float64."""
        raise NotOffered("priorities")

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        """As `add(*step, env_ids)`, with more about the rows.

        Args:
            step: the first six arguments of `add`.
            env_ids: as in `add`.
            priority: [E] float64: the first priorities of these rows; None: what a new row gets.
            extras: {"log_prob": [E] float32, "state": [E, 2] int16} of a buffer with `Config.extras`, else None.
        """
        raise NotOffered("first priorities of new rows" if extras is None else "extras of a row")

    def draw(self, batch_size: int) -> tuple[Any, Any]:
        """The key and the probability [B] of the rows that `sample` would draw, without their contents."""
        raise NotOffered("draws without reading")

    def gather(self, key: Any) -> Batch:
        """The rows of these keys [B], as `sample` gives them; IndexError for a key whose row cannot be had."""
        raise NotOffered("rows by their keys")

    def next_key(self, key: Any) -> Any:
        """[B] int64: the key of the row after each of these in its episode, -1 where there is none (yet)."""
        raise NotOffered("the row after a row")

    def episodes(self) -> Iterable[Episode]:
        """All rows held, by episodes as `mujigae.Episode` has them: closed ones oldest first, then the open ones."""
        raise NotOffered("rows by episodes")

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        """Sequences as `mujigae.SequenceBatch` has them, of `burn_in` rows before each drawn row and `length` from it on."""
        raise NotOffered("sequences with burn-in and mask")

    def clear(self) -> None:
        """Forgets every row."""
        raise NotOffered("clear")

    def save(self, path: Path) -> None:
        """Writes what is needed to go on, to `path`, which does not exist (a file or a folder)."""
        raise NotOffered("save and load")

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        """Reads what `save` wrote."""
        raise NotOffered("save and load")

    def pickled(self) -> Self:
        """Itself through `pickle`."""
        raise NotOffered("pickle")

    @property
    def nbytes(self) -> int:
        """Bytes of memory used; unless the library counts them, what the process grew by since the construction."""
        return resident_bytes() - self._resident_before

    @classmethod
    def tree(cls, capacity: int) -> Tree:
        """A sum tree with all leaves 0, where the library has one of its own."""
        raise NotOffered("a sum tree on its own")

    def collect(self, env: Any, num_steps: int) -> None:
        """Steps a Gymnasium vector environment with action 0 from a reset, and adds what happens, by the library's means."""
        raise NotOffered("a collector for Gymnasium vector environments")


def resident_bytes() -> int:
    """Bytes of memory that the process holds (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(size_of(entry) for entry in path.iterdir())
    return os.stat(path).st_size
