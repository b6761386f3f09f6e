"""The contract: what an environment may return, and one line for whatever it may not."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from envs_by_hand import Five, Registry, observing, one
from gymnasium import spaces

from mujigae.envs import make
from mujigae.envs.contract import Contract, checked_obs, checked_reward
from mujigae.errors import BrokenEnvironmentError, ConfigError


def played(env: Contract, num_steps: int = 7) -> None:
    env.reset(seed=1)
    for _ in range(num_steps):
        if env.step(0)[2]:
            env.reset()


def changed(**methods: Any) -> type[Five]:
    return type("Changed", (Five,), methods)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"reset": lambda self: (self.obs(), {})},
            r"step 0: reset\(\) raised TypeError: .*seed=None, options=None",
        ),
        (
            {"reset": lambda self, seed, options: self.obs()},
            r"reset\(\) has to return obs and info.*got an array",
        ),
        ({"reset": lambda self, seed, options: (1, 2)}, r"reset\(\) has to return .*got a tuple of 2"),
        ({"reset": lambda self, seed, options: None}, r"reset\(\) has to return .*got None"),
        (
            {"step": lambda self, action: (self.obs(), 1.0, True, {})},
            r"step 1: step\(\) has to return .*tuple of 4",
        ),
        (
            {"step": lambda self, action: (self.obs(), 1.0, True, False, None)},
            "has to return a dict as info, got None",
        ),
        ({"step": lambda self, action: {}["lost"]}, r"step 1: step\(\) raised KeyError: 'lost'"),
        ({"obs": lambda self: np.zeros((3, 1), np.float32)}, r"obs: expected shape \(3,\), got \(3, 1\)"),
        ({"obs": lambda self: np.zeros(4, np.float32)}, r"obs: expected shape \(3,\), got \(4,\)"),
        ({"obs": lambda self: None}, "obs: expected numbers, got None"),
        ({"obs": lambda self: [1.0, [2.0], 3.0]}, "obs: expected an array"),
        ({"obs": lambda self: np.full(3, 1j)}, "obs: expected numbers"),
        ({"reward": lambda self: None}, "reward: expected one number, got None"),
        ({"reward": lambda self: "much"}, "reward: expected one number, got 'much'"),
        (
            {"reward": lambda self: np.ones(2)},
            r"reward: expected one number, got an array of float64 of shape \(2,\)",
        ),
        ({"reward": lambda self: float("nan")}, "reward: expected a finite number, got nan"),
        ({"reward": lambda self: -np.inf}, "reward: expected a finite number, got -inf"),
        (
            {"step": lambda self, action: (self.obs(), 1.0, None, False, {})},
            "terminated: expected true or false",
        ),
        (
            {"step": lambda self, action: (self.obs(), 1.0, False, [1, 0], {})},
            "truncated: expected true or false",
        ),
    ],
)
def test_broken_contract_is_one_line_that_names_environment_step_and_part(
    methods: dict[str, Any], message: str
) -> None:
    with pytest.raises(BrokenEnvironmentError, match=rf"^Mine-v0, (?=step \d+: ).*{message}") as error:
        played(Contract(changed(**methods)(), "Mine-v0"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["NaN", "infinity"])
def test_numbers_that_are_not_finite_are_named_with_their_step_and_place(kind: str) -> None:
    bad = {"NaN": np.nan, "infinity": np.inf}[kind]
    env = Contract(
        changed(obs=lambda self: np.array([0, 0, bad if self.time == 3 else 0], np.float32))(), "Mine-v0"
    )
    with pytest.raises(
        BrokenEnvironmentError, match=rf"Mine-v0, step 3: .*finite numbers, got {kind} at index \(2,\)"
    ):
        played(env)


@pytest.mark.parametrize(
    ("space", "obs", "message"),
    [
        (spaces.Discrete(4), 4, "expected values of Discrete"),
        (spaces.Discrete(4, start=2), 1, "expected values of Discrete"),
        (spaces.Discrete(4), 1.0, "expected dtype int64, got float64"),
        (spaces.Discrete(4), "b", "expected numbers, got 'b'"),
        (spaces.MultiDiscrete([2, 3]), [1, 3], "expected values of MultiDiscrete"),
        (spaces.Box(0, 255, (3,), np.uint8), np.zeros(3, np.float32), "expected dtype uint8, got float32"),
        (spaces.Box(0, 255, (1,), np.uint8), [256], "expected dtype uint8, got int64"),
        (
            spaces.Dict(a=spaces.Discrete(2)),
            {"b": 1},
            r"expected a dict with \['a'\], got a dict with \['b'\]",
        ),
        (spaces.Dict(a=spaces.Discrete(2)), {"a": 2}, r"obs\['a'\]: expected values"),
        (spaces.Tuple((spaces.Discrete(2),)), (0, 0), "expected a tuple of 1, got a tuple of 2"),
        (spaces.Tuple((spaces.Discrete(2),)), (5,), r"obs\[0\]: expected values"),
    ],
)
def test_observation_outside_of_its_space_is_refused_by_name(space: Any, obs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_obs(space, obs)


@pytest.mark.parametrize(
    ("space", "obs"),
    [
        (spaces.Discrete(4), 3),
        (spaces.Discrete(4, dtype=np.int16), np.array([3])),
        (spaces.Discrete(4), np.uint8(3)),
        (spaces.MultiBinary(3), [True, False, True]),
        (spaces.MultiBinary(3), np.array([1, 0, 1])),
        (spaces.Box(0, 1, (2,), bool), np.array([0, 1])),
        (spaces.Box(0, 255, (2,), np.uint8), [7, 255]),
        (spaces.Box(-1, 1, (2,), np.float32), np.array([0.1, 0.2])),
        (spaces.Box(-1, 1, (2,), np.float32), [0, 1]),
        (
            spaces.Box(-1, 1, (2,), np.float32),
            np.array([2.0, -3.0]),
        ),  # bounds are what many environments get wrong
    ],
)
def test_numbers_that_keep_their_meaning_are_cast_to_the_dtype_of_the_space(space: Any, obs: Any) -> None:
    got = checked_obs(space, obs)
    expected = np.asarray(obs).reshape(space.shape).astype(space.dtype)
    assert (got.dtype, got.shape) == (space.dtype, space.shape)
    np.testing.assert_array_equal(got, expected)


def test_parts_of_structures_are_cast_each_to_its_own_dtype() -> None:
    space = spaces.Dict(
        a=spaces.Tuple((spaces.Discrete(2, dtype=np.int8), spaces.Box(0, 1, (1,), np.float32)))
    )
    number, array = checked_obs(space, {"a": [1, [0.5]]})["a"]
    assert (number, number.dtype) == (1, np.int8)
    assert (array.tolist(), array.dtype) == ([0.5], np.float32)


@pytest.mark.parametrize(
    "reward",
    [1, True, np.float32(1), np.array(1.0), np.array([1.0], np.float32), np.array([[1]]), [1.0], Decimal(1)],
)
def test_reward_of_any_form_that_is_one_number_is_taken(reward: Any) -> None:
    assert checked_reward(reward) == 1.0
    assert type(checked_reward(reward)) is float


@pytest.mark.parametrize(
    "infos",
    [
        [{"path": np.arange(2)}, {"path": np.arange(5)}],
        [{"winner": None}, {"winner": 1}],
        [{"status": 0}, {"status": "fell"}],
        [{"hit": {"x": 1.0}}, {"hit": None}],
        [{"board": 1}, {"board": 2**80}],
        [{}, {"_status": object(), 3: "three"}],
    ],
)
def test_infos_of_any_shape_and_type_never_end_a_step(register: Registry, infos: list[Any]) -> None:
    env_id = register(changed(info=lambda self: infos[self.time % 2]))
    env = make(one(env_id, num_envs=2), training=True)
    env.stream.reset(seed=0)
    lengths = [e.length_steps for _ in range(12) for e in env.stream.step(np.zeros(2, np.int64)).episodes]
    assert lengths == [5] * 4


def test_last_observation_is_not_overwritten_by_the_reset_of_an_environment_that_reuses_its_array(
    register: Registry,
) -> None:
    class Reuses(Five):
        def obs(self) -> Any:
            self.array = getattr(self, "array", np.zeros(3, np.float32))
            self.array[:] = self.time / 10
            return self.array

    env = make(one(register(Reuses)), training=True)
    env.stream.reset(seed=0)
    steps = [env.stream.step(np.zeros(1, np.int64)) for _ in range(5)]
    assert steps[-1].next_obs[0, 0] == np.float32(0.5)
    assert env.stream.obs[0, 0] == 0


@pytest.mark.parametrize("attribute", ["observation_space", "action_space"])
@pytest.mark.parametrize("value", [None, (3,), "Box"])
def test_environment_without_spaces_is_refused_when_it_is_opened(
    register: Registry, attribute: str, value: Any
) -> None:
    with pytest.raises(
        ConfigError, match=rf"{attribute} to be a gymnasium.Space, got {re.escape(repr(value))}"
    ):
        make(one(register(changed(**{attribute: value}))), training=True)


def test_environment_is_named_by_its_number_among_several(register: Registry) -> None:
    env_id = register(changed(reward=lambda self: None))
    env = make(one(env_id, num_envs=3), training=True)
    env.stream.reset(seed=0)
    with pytest.raises(BrokenEnvironmentError, match=f"{env_id}, environment 0, step 1: step"):
        env.stream.step(np.zeros(3, np.int64))


def test_bounds_that_differ_from_one_environment_to_the_next_are_no_matter(register: Registry) -> None:
    highs = iter(range(1, 100))

    class Differs(Five):
        def __init__(self, render_mode: str | None = None) -> None:
            super().__init__(render_mode)
            self.observation_space = spaces.Box(-1, next(highs), (3,), np.float32)

    env = make(one(register(Differs), num_envs=3), training=True)
    assert env.stream.reset(seed=0).shape == (3, 3)


def test_shapes_that_differ_from_one_environment_to_the_next_are_refused(register: Registry) -> None:
    sizes = iter(range(1, 100))

    class Differs(Five):
        def __init__(self, render_mode: str | None = None) -> None:
            super().__init__(render_mode)
            self.observation_space = spaces.Box(-1, 1, (next(sizes),), np.float32)

    with pytest.raises(ConfigError, match="spaces that differ from one to the next"):
        make(one(register(Differs), num_envs=3), training=True)


@pytest.mark.parametrize("picture", [None, RuntimeError("no display"), NotImplementedError()])
def test_picture_that_cannot_be_drawn_is_one_line(register: Registry, picture: Any) -> None:
    def render(self: Five) -> Any:
        if picture is not None:
            raise picture

    env = make(one(register(changed(render=render))), training=False, render=True)
    env.stream.reset(seed=0)
    with pytest.raises(BrokenEnvironmentError, match=r"render\(\)"):
        env.render()


def test_close_that_fails_is_a_warning(register: Registry) -> None:
    def close(self: Five) -> None:
        raise RuntimeError("the window is gone")

    env = make(one(register(changed(close=close))), training=False)
    with pytest.warns(RuntimeWarning, match=r"close\(\) raised RuntimeError: the window is gone"):
        env.close()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("start", [0, 1])
def test_actions_reach_the_environment_in_the_dtype_of_its_space(
    register: Registry, dtype: Any, start: int
) -> None:
    seen = []

    class Picky(Five):
        action_space = spaces.Discrete(3, start=start, dtype=dtype)

        def step(self, action: Any) -> Any:
            seen.append(action)
            return super().step(action)

    env = make(one(register(Picky), num_envs=2), training=True)
    env.stream.reset(seed=0)
    steps = env.stream.step(np.array([start, start + 2]))
    assert [int(action) for action in seen] == [start, start + 2]
    assert all(Picky.action_space.contains(action) for action in seen)
    assert steps.action.dtype == dtype
    with pytest.raises(ValueError, match="action: expected integers that fit"):
        env.stream.step(np.array([np.iinfo(dtype).max, np.iinfo(np.uint64).max], np.uint64))


def test_random_observations_of_every_space_pass(register: Registry) -> None:
    parts = {
        "box": spaces.Box(-1, 1, (2, 2), np.float32),
        "bits": spaces.MultiBinary(3),
        "numbers": spaces.MultiDiscrete([2, 3]),
        "pair": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.Box(0, 9, (1,), np.int16))),
    }
    played(Contract(observing(spaces.Dict(parts))(), "Mine-v0"), 20)
