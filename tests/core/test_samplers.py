"""What each sampler promises of its draws, on both engines: `ReplayBuffer(sampler=...)`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, add_episode

from mujigae import Proportional, Uniform


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


@pytest.mark.parametrize("uniform_share", [0.0, 0.4])
def test_proportional_draws_without_replacement_are_distinct_rows(
    impl: ModuleType, uniform_share: float
) -> None:
    sampler = Proportional(alpha=1.0, eps=0.0, uniform_share=uniform_share, replacement=False)
    buffer = filled(impl, sampler)
    keys = buffer.sample(12).key
    buffer.update_priorities(keys, [0.0, *[10.0**i for i in range(11)]])
    most = 11 if uniform_share == 0.0 else 12
    assert len(set(buffer.sample(most).key.tolist())) == most
    with pytest.raises(ValueError, match=f"batch_size: expected at most {most}, .*, got {most + 1}"):
        buffer.sample(most + 1)
    assert buffer.check_valid()


def test_weights_with_a_uniform_share_are_those_of_the_mixture(impl: ModuleType) -> None:
    buffer = filled(impl, Proportional(alpha=1.0, beta=1.0, eps=0.0, uniform_share=0.25))
    batch = buffer.sample(300)
    key_of = dict(zip(batch.action.tolist(), batch.key.tolist(), strict=True))
    priorities = np.arange(12.0)
    buffer.update_priorities([key_of[action] for action in range(12)], priorities)
    batch = buffer.sample(300)
    shares = 0.75 * priorities / priorities.sum() + 0.25 / 12
    np.testing.assert_allclose(batch.weight, shares[batch.action].min() / shares[batch.action], rtol=1e-6)
    assert 0 in batch.action


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_a_uniform_share_outside_0_to_1_is_a_value_error(impl: ModuleType, bad: float) -> None:
    with pytest.raises(ValueError, match="uniform_share: expected 0 to 1"):
        filled(impl, Proportional(uniform_share=bad))
