"""Bad input is named, and changes nothing."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import (
    ACTION,
    VECTOR,
    add_episode,
    assert_same_batch,
    good_arguments,
    stacked_buffer,
    vector_buffer,
)

import mujigae


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        (
            "obs",
            np.zeros((2, 4, 2)),
            TypeError,
            r"obs: expected dtype uint8 \(observations are never cast\), got float64",
        ),
        (
            "obs",
            np.zeros((2, 3, 2), np.uint8),
            ValueError,
            r"obs: expected shape \(2, 4, 2\), got \(2, 3, 2\)",
        ),
        ("obs", np.zeros((4, 2), np.uint8), ValueError, "obs: expected shape"),
        ("next_obs", np.ones((2, 4, 2), np.uint8), ValueError, r"next_obs\[0\]: expected its first 3 frames"),
        ("action", np.zeros(2), TypeError, "action: expected dtype int64 or one of its kind, got float64"),
        ("action", np.zeros((2, 1), np.int64), ValueError, "action: expected shape"),
        ("action", np.array([0, 2**63], np.uint64), ValueError, "action: expected values that fit int64"),
        ("reward", np.array([0.0, np.nan]), ValueError, r"reward\[1\]: expected a finite number, got nan"),
        ("reward", np.array([0.0, np.inf]), ValueError, r"reward\[1\]: expected a finite number, got inf"),
        ("reward", np.zeros(2, complex), TypeError, "reward: expected real numbers"),
        ("reward", np.zeros(3), ValueError, r"reward: expected shape \(2,\), got \(3,\)"),
        ("terminated", np.zeros(2), TypeError, "terminated: expected booleans, got dtype float64"),
        ("truncated", np.zeros((2, 1), bool), ValueError, "truncated: expected shape"),
        ("env_ids", [0, 0], ValueError, r"env_ids\[1\]: expected each id once"),
        ("env_ids", [0, 2], IndexError, r"env_ids\[1\]: expected 0 <= id < 2"),
        ("env_ids", [0.0, 1.0], TypeError, "env_ids: expected integers"),
        ("env_ids", [[0, 1]], ValueError, "env_ids: expected one axis of ids"),
    ],
)
def test_bad_rows_are_named_and_change_nothing(
    impl: ModuleType, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    buffer, same = (stacked_buffer(impl, num_envs=2) for _ in range(2))
    for b in (buffer, same):
        for _ in range(5):
            b.add(**good_arguments())
    with pytest.raises(error, match=message):
        buffer.add(**{**good_arguments(), argument: value})
    assert len(buffer) == len(same)
    assert_same_batch(buffer.sample(20), same.sample(20))


def test_layouts_of_every_kind_are_accepted(impl: ModuleType) -> None:
    buffer, same = (stacked_buffer(impl, num_envs=2) for _ in range(2))
    arguments = good_arguments()
    same.add(**arguments)
    wide = np.zeros((2, 4, 4), np.uint8)[:, :, ::2]
    read_only = arguments["next_obs"].copy(order="F")
    read_only.flags.writeable = False
    buffer.add(**{**arguments, "obs": wide, "next_obs": read_only, "reward": np.zeros(2, np.float32)})
    assert_same_batch(buffer.sample(4), same.sample(4))


def test_an_empty_buffer_and_a_batch_of_zero_are_refused(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, n_step=3)
    with pytest.raises(
        ValueError, match="expected at least one row whose n-step window is complete, got none"
    ):
        buffer.sample(4)
    add_episode(buffer, [0.0] * 4, terminated=False)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        buffer.sample(0)
    with pytest.raises(TypeError, match="batch_size: expected an integer"):
        buffer.sample(2.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"capacity": 0}, ValueError, "capacity"),
        ({"capacity": 2.5}, TypeError, "capacity: expected an integer"),
        ({"n_step": 0}, ValueError, "n_step: expected 1 to"),
        ({"gamma": 1.5}, ValueError, "gamma: expected a number from 0 to 1"),
        ({"alpha": -1.0}, ValueError, "alpha: expected a finite number"),
        ({"beta": float("nan")}, ValueError, "beta: expected a finite number"),
        ({"num_envs": 0}, ValueError, "num_envs: expected at least 1"),
        ({"frame_stack": 3}, ValueError, "frame_stack: expected axis 0"),
    ],
)
def test_bad_settings_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        vector_buffer(mujigae, **arguments)


def test_spaces_that_are_none_are_named() -> None:
    with pytest.raises(TypeError, match="observation_space: expected a space with shape and dtype"):
        mujigae.ReplayBuffer(10, 5, ACTION)
    with pytest.raises(TypeError, match=r"a: expected a native numeric dtype, got object"):
        mujigae.ReplayBuffer(10, {"a": ((2,), object)}, ACTION)
    with pytest.raises(TypeError, match="action_space: expected one array"):
        mujigae.ReplayBuffer(10, VECTOR, {"a": VECTOR, "b": VECTOR})
