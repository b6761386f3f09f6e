"""One sequence of a reference buffer, found by walking from the row that was drawn."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mujigae.replay.reference.lanes import Lane

__all__ = ["SEQUENCE_COLUMNS", "Sequence", "checked_shape", "sequence_of"]

SEQUENCE_COLUMNS = ("action", "reward", "discount", "mask", "is_first")
MAX_STEPS = 2**20


class Sequence(NamedTuple):
    """The fields of a `SequenceBatch` that belong to one of its sequences; obs and extras are lists of arrays."""

    obs: list[Any]
    action: Any
    reward: Any
    discount: Any
    mask: Any
    is_first: Any
    extras: list[Any]


def checked_shape(length: int, burn_in: int) -> tuple[int, int]:
    """(length, burn_in); ValueError for numbers that are none of a sequence."""
    if length < 1:
        raise ValueError(f"length: expected at least 1, got {length}")
    if burn_in < 0:
        raise ValueError(f"burn_in: expected at least 0, got {burn_in}")
    if max(length, burn_in) > MAX_STEPS:
        raise ValueError(f"length: expected at most {MAX_STEPS}, got {length} and a burn_in of {burn_in}")
    return length, burn_in


def sequence_of(row: tuple[Lane, int], shape: tuple[int, int], gamma: float) -> Sequence:
    """The sequence around a row, which is one of `lane.rows`."""
    lane, start = row
    length, burn_in = shape
    first = last = start
    while first > max(start - burn_in, 0) and not lane.rows[first - 1].ended:
        first -= 1
    while last + 1 < min(start + length, len(lane.rows)) and not lane.rows[last].ended:
        last += 1
    rows = lane.rows[first : last + 1]
    before, num_steps = first - (start - burn_in), burn_in + length

    def spread(values: list[Any], size: int = num_steps) -> Any:
        array = np.asarray(values)
        whole = np.zeros((size, *array.shape[1:]), array.dtype)
        whole[before : before + len(array)] = array
        return whole

    begins = [
        lane.begins_episode if first + i == 0 else lane.rows[first + i - 1].ended for i in range(len(rows))
    ]
    return Sequence(
        [
            spread([one.obs[c] for one in rows] + [rows[-1].next_obs[c]], num_steps + 1)
            for c in range(len(rows[0].obs))
        ],
        spread([one.action for one in rows]),
        spread([np.float32(one.reward) for one in rows]),
        spread([np.float32(0.0 if one.terminated else gamma) for one in rows]),
        spread([True] * len(rows)),
        spread(begins),
        [spread([one.extras[x] for one in rows]) for x in range(len(rows[0].extras))],
    )
