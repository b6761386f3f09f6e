"""What a buffer hands out. B is the batch size; every array is C-contiguous and overlaps no other."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Batch", "Validity"]


class Batch(NamedTuple):
    """A batch of n-step transitions: `target = reward + discount * bootstrap(next_obs)`.

    Arrays are NumPy's, or torch tensors when the buffer has a `device`; `key` is always a NumPy array.
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


class Validity(NamedTuple):
    """The answer of `check_valid()`: true when the structure is sane, else the reason says what is wrong."""

    ok: bool
    reason: str

    def __bool__(self) -> bool:
        return self.ok
