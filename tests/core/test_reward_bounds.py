"""Rewards whose n-step sum float32 cannot hold are refused, as infinite ones are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

LARGEST = float(np.finfo(np.float32).max)


def add_reward(buffer: Any, reward: float) -> None:
    obs = np.zeros(2, np.float32)
    buffer.add(obs, 0, reward, obs, False, False)


def one_float_buffer(impl: ModuleType, n_step: int) -> Any:
    return impl.ReplayBuffer(8, ((2,), np.float32), ((), np.int64), n_step=n_step, gamma=1.0, seed=0)


@pytest.mark.parametrize("n_step", [1, 2, 3, 7])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rewards_whose_sum_float32_cannot_hold_are_refused(
    impl: ModuleType, n_step: int, sign: float
) -> None:
    buffer = one_float_buffer(impl, n_step)
    with pytest.raises(ValueError, match=r"reward\[0\]: expected at most .* either way"):
        add_reward(buffer, sign * np.nextafter(LARGEST / n_step, np.inf))
    for _ in range(n_step):
        add_reward(buffer, sign * LARGEST / n_step)
    assert buffer.sample(1).reward[0] == np.float32(sign * LARGEST)


def test_an_n_step_too_long_for_the_rewards_held_is_refused(impl: ModuleType) -> None:
    buffer = one_float_buffer(impl, 2)
    add_reward(buffer, LARGEST / 2)
    with pytest.raises(ValueError, match="n_step: expected one with which float32 holds"):
        buffer.n_step = 3
    assert buffer.n_step == 2
    buffer.clear()
    buffer.n_step = 3


def test_a_stream_refuses_rewards_whose_sum_float32_cannot_hold(impl: ModuleType) -> None:
    stream = impl.NStepAccumulator(2, 1.0)
    with pytest.raises(ValueError, match=r"reward\[0\]: expected at most"):
        stream.push([LARGEST * 0.51], [False], [False])
    for _ in range(2):
        window = stream.push([LARGEST / 2], [False], [False])
    assert window[2] == np.float32(LARGEST)
