"""Eviction, keys and priorities."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from streams import (
    add_episode,
    assert_same_batch,
    drawn_rows,
    vector_buffer,
)

# --- eviction, capacity, keys


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 7, 8, 9])
def test_a_full_buffer_holds_exactly_its_newest_rows(impl: ModuleType, capacity: int) -> None:
    buffer = vector_buffer(impl, capacity=capacity, n_step=2)
    for t in range(30):
        buffer.add(np.array([t], np.float32), t, float(t), np.array([t + 1], np.float32), False, False)
        assert len(buffer) == min(t, capacity)
        assert buffer.check_valid()
    assert set(drawn_rows(buffer)) == {float(t) for t in range(29 - capacity, 29)}


def test_capacity_is_shared_out_to_the_row(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=10, num_envs=4)
    for t in range(20):
        obs = np.full((4, 1), t, np.float32)
        buffer.add(obs, np.arange(4), np.zeros(4), obs + 1, np.zeros(4, bool), np.zeros(4, bool))
    assert len(buffer) == 10
    actions = [buffer.sample(64).action for _ in range(30)]
    assert np.bincount(np.concatenate(actions)).tolist() == pytest.approx([576, 576, 384, 384], rel=0.2)


def test_capacity_below_num_envs_is_refused(impl: ModuleType) -> None:
    with pytest.raises(ValueError, match="capacity: expected at least num_envs = 4, got 3"):
        vector_buffer(impl, capacity=3, num_envs=4)


def test_late_priorities_of_overwritten_rows_are_ignored_and_counted(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=4)
    add_episode(buffer, [0.0] * 4, terminated=False)
    old = buffer.sample(8)
    add_episode(buffer, [0.0] * 3, terminated=False, start=10.0)
    survivors = int(np.sum(old.obs[:, 0] == 3.0))
    assert buffer.update_priorities(old.key, np.full(8, 100.0)) == survivors
    assert buffer.check_valid()


def test_keys_survive_clear_as_dead(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=4)
    add_episode(buffer, [0.0] * 4, terminated=False)
    key = buffer.sample(8).key
    buffer.clear()
    assert len(buffer) == 0
    add_episode(buffer, [0.0] * 2, terminated=False)
    assert buffer.update_priorities(key, np.full(8, 9.0)) == 0
    assert buffer.max_priority == 1.0


@pytest.mark.parametrize("key", [-1, 7, 1 << 40, 1 << 62])
def test_keys_that_were_never_issued_are_index_errors(impl: ModuleType, key: int) -> None:
    buffer = vector_buffer(impl, capacity=4)
    add_episode(buffer, [0.0] * 3, terminated=False)
    good = buffer.sample(1).key[0]
    with pytest.raises(IndexError, match=r"key\[1\]: expected a key"):
        buffer.update_priorities([good, key], [5.0, 5.0])
    assert buffer.max_priority == 1.0


def test_of_duplicate_keys_the_last_wins_and_each_is_counted(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0)
    add_episode(buffer, [0.0] * 2, terminated=False)
    batch = buffer.sample(16)
    first = batch.key[batch.action == 0][0]
    second = batch.key[batch.action == 1][0]
    assert buffer.update_priorities([first, first, second], [9.0, 0.0, 1.0]) == 3
    assert (buffer.sample(50).action == 1).all()


# --- priorities


def test_new_rows_get_the_largest_priority_ever_given(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0, beta=1.0)
    add_episode(buffer, [0.0], terminated=False)
    assert buffer.max_priority == 1.0
    buffer.update_priorities(buffer.sample(1).key, [4.0])
    buffer.update_priorities(buffer.sample(1).key, [1.0])
    add_episode(buffer, [0.0], terminated=False, start=10.0)
    batch = buffer.sample(64)
    weights = dict(zip(batch.obs[:, 0].tolist(), batch.weight.tolist(), strict=True))
    assert weights == {0.0: 1.0, 10.0: 0.25}


def test_weights_are_the_papers_divided_by_the_batch_maximum(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=0.5, beta=0.7, eps=0.01)
    add_episode(buffer, [0.0] * 6, terminated=False)
    batch = buffer.sample(200)
    by_action = dict(zip(batch.action.tolist(), batch.key.tolist(), strict=True))
    priorities = np.array([0.1, 0.5, 1.0, 2.0, 3.0, 9.0])
    buffer.update_priorities([by_action[a] for a in range(6)], priorities)
    leaves = (priorities + 0.01) ** 0.5
    batch = buffer.sample(64)
    weights = (6 * leaves[batch.action] / leaves.sum()) ** -0.7
    np.testing.assert_allclose(batch.weight, weights / weights.max(), rtol=1e-6)
    assert batch.weight.max() == 1.0


def test_changing_alpha_rewrites_the_leaves_from_raw_priorities(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0, beta=1.0)
    add_episode(buffer, [0.0] * 2, terminated=False)
    batch = buffer.sample(32)
    buffer.update_priorities([batch.key[batch.action == 0][0], batch.key[batch.action == 1][0]], [1.0, 16.0])
    buffer.alpha = 0.5
    assert sorted(set(buffer.sample(64).weight.tolist())) == [0.25, 1.0]
    assert buffer.check_valid()


def test_all_zero_priorities_are_uniform_with_alpha_zero_and_refused_without(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0)
    add_episode(buffer, [0.0] * 4, terminated=False)
    keys = np.unique(buffer.sample(200).key)
    buffer.update_priorities(keys, np.zeros(len(keys)))
    with pytest.raises(ValueError, match="every leaf is zero"):
        buffer.sample(4)
    buffer.alpha = 0.0
    assert set(buffer.sample(200).action.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_bad_priorities_change_nothing(impl: ModuleType, bad: float) -> None:
    buffer, same = (vector_buffer(impl) for _ in range(2))
    for b in (buffer, same):
        add_episode(b, [0.0] * 5, terminated=False)
    batch = buffer.sample(3)
    same.sample(3)
    with pytest.raises(ValueError, match=r"priorities\[2\]: expected a finite number of at least 0"):
        buffer.update_priorities(batch.key, [7.0, 7.0, bad])
    assert buffer.max_priority == 1.0
    assert_same_batch(buffer.sample(9), same.sample(9))
