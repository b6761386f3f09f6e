"""What a buffer hands out. B is the batch size; every array is C-contiguous and overlaps no other."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Batch", "Episode", "SequenceBatch", "Validity"]


class Batch(NamedTuple):
    """A batch of n-step transitions: `target = reward + discount * bootstrap(next_obs)`.

    Arrays are NumPy's, or torch tensors when the buffer has a `device`; `key` and `probability` are always NumPy arrays.
    Dict and tuple observation spaces give dicts and tuples of arrays for `obs` and `next_obs`.
    """

    obs: Any  #: [B, *obs_shape], stored dtype: s_t, stacked
    action: Any  #: [B, *action_shape], stored dtype: a_t
    reward: Any  #: [B] float32: sum of gamma^i r_{t+i} to the window's end, added in float64, rounded once
    next_obs: Any  #: as obs: the true observation at the window's end, at termination and truncation too
    discount: Any  #: [B] float32: gamma^m (1 - terminated), m the steps really taken
    terminated: Any  #: [B] bool: the window ended in a terminal state
    weight: Any  #: [B] float32: (N P(i))^-beta / max over the batch; 1 without priorities
    key: Any  #: [B] int64: hand it back with the priorities
    probability: Any = None  #: [B] float64: P(i), the chance of the row in a single draw, when it was drawn
    extras: Any = None  #: {name: [B, *shape]}: the fields that the buffer's `extras` add to a row


class SequenceBatch(NamedTuple):
    """Sequences of neighbouring rows, for agents with memory (R2D2, Kapturowski et al. 2019); T = burn_in + length.

    Row `burn_in` of a sequence is the one that was drawn. A sequence never crosses an episode: rows before its start (or no
    longer held), past its end, or not there yet are masked, and zeros. Rewards and discounts are those of one step.
    """

    obs: Any  #: [B, T + 1, *obs_shape]: behind the last row that is there stands its successor
    action: Any  #: [B, T, *action_shape]
    reward: Any  #: [B, T] float32
    discount: Any  #: [B, T] float32: gamma (1 - terminated)
    mask: Any  #: [B, T] bool: the row is there
    is_first: Any  #: [B, T] bool: the row is the first of its episode
    weight: Any  #: [B] float32, of the row that was drawn, as in `Batch`
    key: Any  #: [B] int64, of the row that was drawn
    probability: Any  #: [B] float64, of the row that was drawn
    extras: Any  #: {name: [B, T, *shape]}


class Episode(NamedTuple):
    """The rows of one episode of one environment that are held, in order; T of them. Arrays are NumPy's.

    Its first rows may have been evicted. An episode that was interrupted (the environment was reset without an end) is
    truncated.
    """

    env_id: int
    obs: Any  #: [T + 1, *obs_shape]: the last is the successor of the last row; dict and tuple spaces as in a batch; None without
    action: Any  #: [T, *action_shape]
    reward: Any  #: [T] float64, as they were added
    terminated: Any  #: [T] bool
    truncated: Any  #: [T] bool: False where the row is terminated as well
    extras: Any  #: {name: [T, *shape]}
    key: Any  #: [T] int64
    is_open: bool  #: more rows may follow


class Validity(NamedTuple):
    """The answer of `check_valid()`: true when the structure is sane, else the reason says what is wrong."""

    ok: bool
    reason: str

    def __bool__(self) -> bool:
        return self.ok
