"""What each sampler promises of its draws, on both engines: `ReplayBuffer(sampler=...)`."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, add_episode, assert_same_batch

import mujigae
from mujigae import Proportional, RankBased, Uniform
from mujigae.replay.samplers import PrioritySampler

SAMPLERS = [
    Uniform(replacement=False),
    Proportional(0.8, 0.3, eps=0.0, stratified=False),
    Proportional(uniform_share=0.25),
    Proportional(uniform_share=0.25, replacement=False),
    RankBased(0.9, 0.3),
]
EACH_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)


def filled(impl: ModuleType, sampler: Any, num_rows: int = 12, **arguments: Any) -> Any:
    """Row i has action i."""
    options = {"capacity": 100, "seed": 3, **arguments}
    buffer = impl.ReplayBuffer(observation_space=VECTOR, action_space=ACTION, sampler=sampler, **options)
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


def test_draws_by_rank_follow_the_order_of_priorities_and_not_their_sizes(impl: ModuleType) -> None:
    buffer = filled(impl, RankBased(alpha=1.0, beta=1.0))
    key = dict(sorted((int(a), int(k)) for a, k in actions_and_keys(buffer)))
    priorities = np.array([3.0, 0.0, 1e30, 5.0, 5.0, 1.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0])
    buffer.update_priorities(list(key.values()), priorities)
    ranks = np.empty(12, np.int64)
    ranks[np.lexsort((np.arange(12), -priorities))] = np.arange(1, 13)
    shares = 1.0 / ranks / np.sum(1.0 / ranks)
    batch = buffer.sample(5000)
    expected = 5000 * shares
    assert np.abs(np.bincount(batch.action, minlength=12) - expected).max() < 2.0  # one from each slice
    np.testing.assert_allclose(batch.weight, ranks[batch.action] / 12 * batch.weight.max(), rtol=1e-6)


def actions_and_keys(buffer: Any) -> Any:
    batch = buffer.sample(400)
    return zip(batch.action, batch.key, strict=True)


def test_a_new_row_is_ranked_by_the_largest_priority_ever_given(impl: ModuleType) -> None:
    buffer = filled(impl, RankBased(alpha=50.0), num_rows=4)
    keys = np.unique(buffer.sample(64).key)
    buffer.update_priorities(keys, [5.0] * len(keys))
    buffer.update_priorities(keys, [1.0] * len(keys))
    add_episode(buffer, [0.0], terminated=False, start=50.0)
    assert buffer.max_priority == 5.0
    assert set(buffer.sample(64).obs[:, 0].tolist()) == {50.0}


@EACH_SAMPLER
def test_a_buffer_continues_from_its_snapshot_and_its_pickle(sampler: Any, tmp_path: Path) -> None:
    buffer = filled(mujigae, sampler, capacity=8)
    update(buffer)
    buffer.save(tmp_path / "saved")
    for copy in (mujigae.load(tmp_path / "saved"), pickle.loads(pickle.dumps(buffer))):
        assert copy.sampler == sampler
        assert copy.check_valid()
        assert_same_batch(copy.sample(5), filled_and_updated(sampler).sample(5))


@EACH_SAMPLER
def test_a_file_is_reopened_with_its_priorities_and_exponents(sampler: Any, tmp_path: Path) -> None:
    buffer = filled(mujigae, sampler, path=tmp_path / "rows", capacity=8)
    update(buffer)
    if isinstance(sampler, PrioritySampler):
        buffer.alpha, buffer.beta = 0.35, 0.9
    buffer.flush()
    in_memory = pickle.loads(pickle.dumps(buffer))
    sampler = buffer.sampler
    del buffer
    reopened = mujigae.load(tmp_path / "rows")
    assert reopened.sampler == sampler
    assert reopened.check_valid()
    assert_same_batch(reopened.sample(5), in_memory.sample(5))


def filled_and_updated(sampler: Any) -> Any:
    buffer = filled(mujigae, sampler, capacity=8)
    update(buffer)
    return buffer


def update(buffer: Any) -> None:
    keys = np.unique(buffer.sample(7).key)
    if isinstance(buffer.sampler, PrioritySampler):
        buffer.update_priorities(keys, 0.5 + np.arange(len(keys)))
