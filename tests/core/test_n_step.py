"""n-step windows: the stream and the buffer agree with brute force, at every boundary."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, add_episode, drawn_rows

GAMMA = 0.5  # sums of halves are exact


def expected_window(rewards: list[float], start: int, n: int, terminated: bool) -> tuple[float, float, int]:
    window = rewards[start : start + n]
    reaches_end = start + len(window) == len(rewards)
    total = sum(GAMMA**i * r for i, r in enumerate(window))
    return total, 0.0 if terminated and reaches_end else GAMMA ** len(window), len(window)


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
def test_accumulator_equals_brute_force(impl: ModuleType, length: int, n: int, terminated: bool) -> None:
    rewards = [float(2**t) for t in range(length)]
    accumulator = impl.NStepAccumulator(n, GAMMA)
    got: dict[int, tuple[float, float, int]] = {}
    for t, reward in enumerate(rewards):
        ends = t == length - 1
        columns = accumulator.push([reward], [ends and terminated], [ends and not terminated])
        for _, steps_ago, total, discount, count in zip(*columns, strict=True):
            got[t - int(steps_ago)] = (float(total), float(discount), int(count))
        assert accumulator.check_valid()
    assert got == {t: expected_window(rewards, t, n, terminated) for t in range(length)}


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_buffer_equals_brute_force(impl: ModuleType, length: int, n: int, terminated: bool) -> None:
    rewards = [float(2**t) for t in range(length)]
    buffer = impl.ReplayBuffer(100, VECTOR, ACTION, n_step=n, gamma=GAMMA, seed=0)
    add_episode(buffer, rewards, terminated=terminated)
    add_episode(buffer, [64.0] * 8, terminated=False, start=50.0)
    rows = drawn_rows(buffer, num_batches=8)
    for t in range(length):
        total, discount, count = expected_window(rewards, t, n, terminated)
        assert rows[float(t)] == (total, float(t + count), discount, discount == 0.0)
    assert len(buffer) == length + 8


def test_environments_do_not_mix(impl: ModuleType) -> None:
    accumulator = impl.NStepAccumulator(3, 1.0, num_envs=2)
    pushed: list[Any] = [accumulator.push([1.0, 10.0], [False, False], [False, False]) for _ in range(3)]
    env, steps_ago, reward, discount, num_steps = pushed[-1]
    assert env.tolist() == [0, 1]
    assert reward.tolist() == [3.0, 30.0]
    assert (steps_ago.tolist(), discount.tolist(), num_steps.tolist()) == ([2, 2], [1.0, 1.0], [3, 3])


def test_env_ids_in_any_order_feed_their_own_lanes(impl: ModuleType) -> None:
    accumulator = impl.NStepAccumulator(2, 1.0, num_envs=3)
    accumulator.push([5.0], [False], [False], env_ids=[2])
    env, _, reward, _, _ = accumulator.push([1.0, 2.0], [False, False], [False, False], env_ids=[2, 0])
    assert (env.tolist(), reward.tolist()) == ([2], [6.0])


def test_terminated_wins_over_truncated(impl: ModuleType) -> None:
    discount = impl.NStepAccumulator(1, 0.9).push([1.0], [True], [True])[3]
    assert discount.tolist() == [0.0]


def test_sums_are_rounded_once(impl: ModuleType) -> None:
    rewards = [0.1, 0.2, 0.3, 0.4]
    accumulator = impl.NStepAccumulator(4, 0.99)
    for reward in rewards[:-1]:
        accumulator.push([reward], [False], [False])
    reward = accumulator.push([rewards[-1]], [False], [False])[2]
    total, weight = 0.0, 1.0
    for r in rewards:
        total += weight * r
        weight *= 0.99
    assert reward[0] == np.float32(total)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([np.nan, 0.0], [False] * 2, [False] * 2), ValueError, r"reward\[0\]: expected a finite number"),
        (([0.0, 0.0], [False] * 2, [False] * 2, [0, 0]), ValueError, r"env_ids\[1\]: expected each id once"),
        (([0.0, 0.0], [False] * 2, [False] * 2, [0, 2]), IndexError, r"env_ids\[1\]: expected 0 <= id < 2"),
    ],
)
def test_bad_pushes_change_nothing(
    impl: ModuleType, arguments: Any, error: type[Exception], message: str
) -> None:
    accumulator = impl.NStepAccumulator(2, 1.0, num_envs=2)
    accumulator.push([1.0, 2.0], [False, False], [False, False])
    with pytest.raises(error, match=message):
        accumulator.push(*arguments)
    reward = accumulator.push([1.0, 1.0], [False, False], [False, False])[2]
    assert reward.tolist() == [2.0, 3.0]


def test_bad_settings_are_refused(impl: ModuleType) -> None:
    with pytest.raises(ValueError, match="n_step: expected 1 to 1073741824, got 0"):
        impl.NStepAccumulator(0, 0.9)
    with pytest.raises(ValueError, match="gamma: expected a number from 0 to 1"):
        impl.NStepAccumulator(1, 1.5)
    with pytest.raises(ValueError, match="num_envs: expected at least 1"):
        impl.NStepAccumulator(1, 0.9, 0)
