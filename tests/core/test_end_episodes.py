"""Episodes that are ended from outside: as truncated, without a word about a silent boundary."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import Space

OBS, ACTION = Space((), np.float32), Space((), np.int64)


def add(buffer: Any, env: int, obs: float, next_obs: float, reward: float = 1.0) -> None:
    def row(value: Any, dtype: Any) -> Any:
        return np.array([value], dtype)

    flag = row(False, np.bool_)
    buffer.add(
        row(obs, np.float32),
        row(7, np.int64),
        row(reward, np.float64),
        row(next_obs, np.float32),
        flag,
        flag,
        [env],
    )


@pytest.mark.parametrize("name", ["ReplayBuffer", "PrioritizedReplayBuffer"])
def test_rows_at_the_end_can_be_drawn_and_bootstrap_from_their_own_successor(
    impl: ModuleType, name: str
) -> None:
    buffer = getattr(impl, name)(20, OBS, ACTION, num_envs=2, n_step=3, gamma=0.5, seed=0)
    for t in range(4):
        add(buffer, 0, t, t + 1)
    assert len(buffer) == 2
    buffer.end_episodes()
    assert len(buffer) == 4
    batch = buffer.sample(64)
    found = {
        (float(o), float(n), float(d))
        for o, n, d in zip(batch.obs, batch.next_obs, batch.discount, strict=True)
    }
    assert found == {(0, 3, 0.125), (1, 4, 0.125), (2, 4, 0.25), (3, 4, 0.5)}
    assert not batch.terminated.any()
    assert buffer.check_valid()


def test_a_new_episode_that_begins_where_the_old_one_stopped_is_still_a_new_one(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(20, OBS, ACTION, n_step=2, gamma=0.5, seed=0)
    add(buffer, 0, 0, 1)
    buffer.end_episodes()
    add(buffer, 0, 1, 2, reward=100.0)
    add(buffer, 0, 2, 3, reward=100.0)
    batch = buffer.sample(64)
    assert set(batch.reward[batch.obs == 0]) == {1.0}
    assert buffer.num_silent_boundaries == 0


def test_of_some_environments_the_others_go_on(impl: ModuleType) -> None:
    buffer = impl.PrioritizedReplayBuffer(40, OBS, ACTION, num_envs=3, n_step=3, gamma=0.5, seed=0)
    for t in range(4):
        for env in range(3):
            add(buffer, env, 10 * env + t, 10 * env + t + 1)
    buffer.end_episodes([2, 0])
    assert len(buffer) == 4 + 2 + 4
    batch = buffer.sample(256)
    found = {(float(o), float(n)) for o, n in zip(batch.obs, batch.next_obs, strict=True)}
    ended = {(start + t, start + min(t + 3, 4)) for start in (0, 20) for t in range(4)}
    assert found == ended | {(10, 13), (11, 14)}
    add(buffer, 1, 14, 15)
    add(buffer, 0, 4, 5)
    assert len(buffer) == 4 + 3 + 4
    assert buffer.num_silent_boundaries == 0
    assert buffer.check_valid()


@pytest.mark.parametrize("env_ids", [[], np.array([], np.int64), [1], np.array([1], np.uint8)])
def test_environments_without_an_open_episode_may_be_named(impl: ModuleType, env_ids: Any) -> None:
    buffer = impl.ReplayBuffer(20, OBS, ACTION, num_envs=2, n_step=2, seed=0)
    add(buffer, 0, 0, 1)
    buffer.end_episodes(env_ids)
    assert len(buffer) == 0
    add(buffer, 0, 1, 2)
    assert len(buffer) == 1


@pytest.mark.parametrize(
    ("env_ids", "error", "message"),
    [
        ([0, 2], IndexError, r"env_ids\[1\]: expected 0 <= id < 2, got 2"),
        ([-1], IndexError, r"env_ids\[0\]: expected 0 <= id < 2, got -1"),
        ([0, 1, 0], ValueError, r"env_ids\[2\]: expected each id once, got 0 again"),
        ([0.0], TypeError, "env_ids: expected integers"),
        ([True], TypeError, "env_ids: expected integers"),
        (0, ValueError, "env_ids: expected one axis of ids"),
    ],
)
def test_ids_that_add_would_refuse_end_nothing(
    impl: ModuleType, env_ids: Any, error: type[Exception], message: str
) -> None:
    buffer = impl.ReplayBuffer(20, OBS, ACTION, num_envs=2, n_step=2, seed=0)
    add(buffer, 0, 0, 1)
    with pytest.raises(error, match=message):
        buffer.end_episodes(env_ids)
    assert len(buffer) == 0


def test_without_open_episodes_nothing_changes(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(20, OBS, ACTION, seed=0)
    buffer.end_episodes()
    assert len(buffer) == 0
    add(buffer, 0, 0, 1)
    for _ in range(2):
        buffer.end_episodes()
    assert len(buffer) == 1
    assert buffer.check_valid()


def test_more_rows_become_ready_than_a_lane_owns(impl: ModuleType) -> None:
    buffer = impl.PrioritizedReplayBuffer(4, OBS, ACTION, n_step=5, seed=0)
    for t in range(20):
        add(buffer, 0, t, t + 1)
    buffer.end_episodes()
    assert len(buffer) == 4
    assert set(buffer.sample(64).obs) == {16.0, 17.0, 18.0, 19.0}
    assert buffer.check_valid()
