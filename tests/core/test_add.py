"""What `add` takes as it is and what it converts first: the same rows either way."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

STEP_NAMES = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
Step = tuple[Any, ...]


def steps(num_envs: int, seed: int, num_steps: int = 40) -> list[Step]:
    """Steps [E, ...] of float64 rewards, int64 actions and float32 observations, some of which end episodes."""
    random = np.random.default_rng(seed)
    obs = random.standard_normal((num_steps + 1, num_envs, 3)).astype(np.float32)
    return [
        (
            obs[t],
            random.integers(0, 9, num_envs),
            random.integers(-4, 5, num_envs) / 2,
            obs[t + 1],
            random.random(num_envs) < 0.1,
            random.random(num_envs) < 0.1,
        )
        for t in range(num_steps)
    ]


def filled(impl: ModuleType, num_envs: int, all_steps: list[Step]) -> Any:
    buffer = impl.ReplayBuffer(100, ((3,), np.float32), ((), np.int64), num_envs=num_envs, n_step=2, seed=1)
    for step in all_steps:
        buffer.add(*step)
    assert buffer.check_valid()
    return buffer


def drawn(buffer: Any) -> list[bytes]:
    return [np.asarray(field).tobytes() for field in buffer.sample(64)[:9]]


def as_lists(step: Step) -> Step:
    return (step[0], step[1].tolist(), step[2].tolist(), step[3], step[4].tolist(), step[5].tolist())


def in_other_dtypes(step: Step) -> Step:
    return (step[0], step[1].astype(np.int8), step[2].astype(np.float32), step[3], step[4], step[5])


def strided(step: Step) -> Step:
    return tuple(np.repeat(field, 2, axis=0)[::2] for field in step)


def unaligned(step: Step) -> Step:
    def moved(array: NDArray[Any]) -> NDArray[Any]:
        memory = np.zeros(array.nbytes + 1, np.uint8)
        odd = memory[1:].view(array.dtype).reshape(array.shape)
        odd[...] = array
        return odd

    return tuple(moved(field) for field in step)


@pytest.mark.parametrize("convert", [as_lists, in_other_dtypes, strided, unaligned])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_steps_in_another_form_are_the_same_rows(impl: ModuleType, num_envs: int, convert: Any) -> None:
    exact = steps(num_envs, seed=0)
    assert drawn(filled(impl, num_envs, exact)) == drawn(filled(impl, num_envs, [convert(s) for s in exact]))


@pytest.mark.parametrize(
    ("integer", "real", "flag"),
    [
        (int, float, bool),
        (np.int64, np.float64, np.bool_),
        (np.int32, np.float32, np.array),
        (np.array, np.array, bool),
    ],
)
def test_numbers_of_one_environment_are_the_same_rows(
    impl: ModuleType, integer: Any, real: Any, flag: Any
) -> None:
    exact = steps(1, seed=2)
    alone = [
        (obs[0], integer(action[0]), real(reward[0]), next_obs[0], flag(terminated[0]), flag(truncated[0]))
        for obs, action, reward, next_obs, terminated, truncated in exact
    ]
    assert drawn(filled(impl, 1, exact)) == drawn(filled(impl, 1, alone))


@pytest.mark.parametrize("name", STEP_NAMES)
def test_one_argument_without_the_axis_of_environments_is_refused(impl: ModuleType, name: str) -> None:
    (step,) = steps(1, seed=3, num_steps=1)
    place = STEP_NAMES.index(name)
    lacking = (*step[:place], step[place][0], *step[place + 1 :])
    buffer = filled(impl, 1, [])
    with pytest.raises(ValueError, match="expected shape"):
        buffer.add(*lacking)
    assert len(buffer) == 0


@pytest.mark.parametrize("action", [2**63, -(2**63) - 1, 1.0])
def test_a_number_that_is_no_64_bit_integer_is_no_action(impl: ModuleType, action: Any) -> None:
    buffer = filled(impl, 1, [])
    one = np.zeros(3, np.float32)
    with pytest.raises((TypeError, ValueError, OverflowError), match="action"):
        buffer.add(one, action, 0.0, one, False, False)
    assert len(buffer) == 0


@pytest.mark.parametrize("reward", [np.nan, np.inf, np.float32(-np.inf)])
def test_a_reward_that_is_not_finite_is_refused_in_every_form(impl: ModuleType, reward: Any) -> None:
    buffer = filled(impl, 1, [])
    one = np.zeros(3, np.float32)
    for form in (reward, float(reward)):
        with pytest.raises(ValueError, match=r"reward\[0\]: expected a finite number"):
            buffer.add(one, 1, form, one, False, False)
    assert len(buffer) == 0
