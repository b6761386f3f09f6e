"""Rows that look as if the caller meant others: what `add` warns of, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mujigae import _core

__all__ = ["MANY", "doubt_of"]

MANY = 10  # fewer are no reason to warn, whatever their share


def doubt_of(core: _core.Buffer) -> str | None:
    """What is doubtful about the rows that were added, or None."""
    num_doubtful, num_silent = core.num_doubtful_starts, core.num_silent_boundaries
    if num_doubtful >= MANY and num_doubtful > num_silent:
        return (
            "after each end a row leads from the last observation to another one, without a reward: are these the steps "
            "in which Gymnasium's vector environments reset themselves (AutoresetMode.NEXT_STEP)? They are no transitions: "
            "leave them out, as mujigae.integrations.gymnasium.RecordTransitions does"
        )
    if num_silent >= MANY and num_silent * 10 > core.num_added:
        return (
            f"{num_silent} of {core.num_added} rows had an obs that differs from the next_obs before it, and "
            "started a new episode: is next_obs the true successor, and are env_ids right?"
        )
    return None
