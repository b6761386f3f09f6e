"""What each sampler promises of its draws, on both engines: `ReplayBuffer(sampler=...)`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, add_episode

from mujigae import Uniform


def filled(impl: ModuleType, sampler: Any, num_rows: int = 12, **arguments: Any) -> Any:
    """Row i has action i."""
    buffer = impl.ReplayBuffer(100, VECTOR, ACTION, sampler=sampler, **{"seed": 3, **arguments})
    add_episode(buffer, [0.0] * num_rows, terminated=False)
    return buffer


def test_uniform_draws_without_replacement_are_distinct_rows(impl: ModuleType) -> None:
    buffer = filled(impl, Uniform(replacement=False))
    first_ones = np.zeros(12)
    for batch_size in (1, 5, 11, 12) * 60:
        batch = buffer.sample(batch_size)
        assert len(set(batch.key.tolist())) == batch_size
        assert (batch.weight == 1.0).all()
        first_ones[batch.action[0]] += 1
    assert np.sum((first_ones - 20) ** 2 / 20) < 31.3  # the 0.999 quantile of 11 degrees of freedom


def test_more_distinct_rows_than_there_are_is_a_value_error(impl: ModuleType) -> None:
    buffer = filled(impl, Uniform(replacement=False))
    with pytest.raises(ValueError, match=r"batch_size: expected at most 12, .*, got 13"):
        buffer.sample(13)
    assert sorted(buffer.sample(12).action.tolist()) == list(range(12))
