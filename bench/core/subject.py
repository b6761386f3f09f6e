"""What is timed: one adapter for each library (`SpeedSubject` in `bench/peers/<library>.py`), ours among them.

A subject builds a structure for a kind of work; a kind that it lacks raises NotOffered. A library is used as its manual says, with
the options that are fastest for the work. Shapes: B batch, T steps, E environments, N leaves.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from mujigae.conformance import NotOffered  # the message is its row's reason

GAMMA, ALPHA, BETA, EPS = 0.99, 0.6, 0.4, 1e-6


class Rows(NamedTuple):
    """Consecutive steps of one environment, [T, ...] each, NumPy; a single step of E environments likewise [E, ...]."""

    obs: Any
    action: Any
    reward: Any
    next_obs: Any
    terminated: Any
    truncated: Any


class Drawn(NamedTuple):
    """A batch as an agent needs it: torch tensors but for `key`, which goes back with the priorities."""

    obs: Any
    action: Any
    reward: Any
    next_obs: Any
    discount: Any
    weight: Any
    key: Any


class Tree(Protocol):
    """Leaves that are drawn in proportion to their values."""

    def draw(self, batch_size: int) -> Any:
        """[B] indices, random numbers included."""

    def update(self, indices: Any, values: Any) -> None:
        """Sets leaves: int64 [B], float64 [B]."""

    def total(self) -> float:
        """Sum of the leaves."""


class Replay(Protocol):
    """A replay buffer."""

    def add(self, step: Rows, env_ids: Any = None) -> None:
        """One step of every environment, [E, ...]; of these environments, int64 [E], where they are given."""

    def extend(self, rows: Rows) -> None:
        """Consecutive steps of one environment, [T, ...]: the way to fill it that is fastest."""

    def sample(self, batch_size: int) -> Drawn:
        """A batch of n-step windows."""

    def update(self, key: Any, priorities: Any) -> None:
        """New priorities, a float32 tensor [B]; nothing where draws are uniform."""


class SequenceReplay(Protocol):
    """A replay buffer that gives sequences."""

    def extend(self, rows: Rows) -> None:
        """Consecutive steps of one environment, [T, ...]."""

    def sample(self, batch_size: int) -> Any:
        """A batch of sequences (`bench.core.sequences.Sequences`)."""


class Subject:
    """The defaults: nothing is offered. `tolerance` is the relative precision in which its tree adds."""

    name: str
    version: str
    packages: tuple[str, ...] = ("numpy",)  # whose versions are reported
    tolerance = 1e-12
    is_prioritized = True
    batches_ahead = 0  # that are made while nobody asks
    keeps_to_episodes = True  # a sequence's steps are all of one episode
    repeats_first = False  # a stack's places before an episode's first frame repeat it; zeros otherwise

    def tree(self, values: Any) -> Tree:
        """A tree with these leaves, float64 [N]."""
        raise NotOffered("a tree of its own")

    def atari(self, capacity: int, num_envs: int = 1) -> Replay:
        """Prioritized, 3-step, observations of four 84 x 84 frames, int64 actions."""
        raise NotOffered("a replay buffer")

    def atari_dict(self, capacity: int, num_envs: int) -> Replay:
        """As `atari`; observations are dicts with one entry, "image"."""
        raise NotOffered("dict observations")

    def vector(self, capacity: int, is_prioritized: bool) -> Replay:
        """1-step, 17 floats, actions of six floats; uniform ones in NumPy arrays where that is faster."""
        raise NotOffered("a replay buffer")

    def uniform(self, capacity: int) -> Replay:
        """Uniform, 1-step, four floats, int64 actions; NumPy arrays where that is faster."""
        raise NotOffered("a replay buffer")

    def sequences(self, capacity: int, length: int, burn_in: int) -> SequenceReplay:
        """Uniform; rows as those of `vector`; sequences of `length` steps after `burn_in` others, and the successor."""
        raise NotOffered("sequences")

    def bytes_of(self, replay: Replay) -> int | None:
        """Bytes that the library counts for its buffer, or None."""
        return None
