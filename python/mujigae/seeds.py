"""Children of the run's one seed, by purpose and number (NumPy's SeedSequence): no streams in common."""

from __future__ import annotations

import numpy as np

__all__ = ["child_seed"]

# Append only: the place in this tuple is the key, and moving a name would change every published run.
_PURPOSES = ("environments", "networks", "noise", "exploration", "replay", "evaluation", "recording")


def child_seed(seed: int, purpose: str, number: int = 0) -> int:
    """A 31-bit seed for `purpose`; `number` counts its uses, as the checkpoints do for the environments."""
    key = (_PURPOSES.index(purpose), number)
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint32)
    return int(state[0] >> 1)
