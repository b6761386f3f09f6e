"""Observations as an agent takes them: channels first, flattened as Gymnasium flattens, stacks known as stacks."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from envs_by_hand import Five, Registry, observing, one
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation, TimeLimit, TransformObservation

from mujigae.envs import Environment, make
from mujigae.envs.images import image_sides
from mujigae.errors import ConfigError

LIKE_IMAGES = [
    # shape, where the channels are, sides
    ((84, 84, 3), "last", (84, 84)),
    ((84, 84, 1), "last", (84, 84)),
    ((210, 160, 3), "last", (210, 160)),
    ((10, 10, 4), "last", (10, 10)),
    ((10, 10, 7), "last", (10, 10)),
    ((8, 8, 16), "last", (8, 8)),
    ((12, 9, 5), "last", (12, 9)),
    ((3, 84, 84), "first", (84, 84)),
    ((12, 84, 84), "first", (84, 84)),
    ((16, 8, 8), "first", (8, 8)),
    ((1, 10, 5), "first", (10, 5)),
    ((3, 210, 160), "first", (210, 160)),
]


def opened(register: Registry, entry_point: Any, **options: Any) -> Environment:
    env = make(one(register(entry_point), **options), training=True)
    env.stream.reset(seed=3)
    return env


@pytest.mark.parametrize(("shape", "where", "sides"), LIKE_IMAGES)
@pytest.mark.parametrize("dtype", [np.uint8, np.bool_])
def test_images_are_turned_to_channels_first_by_their_shape(
    register: Registry, shape: tuple[int, ...], where: str, sides: tuple[int, int], dtype: Any
) -> None:
    space = spaces.Box(0, 1, shape, dtype)
    pixels = spaces.Box(0, 1, shape, dtype, seed=5).sample()
    assert image_sides(space) == sides
    env = opened(register, observing(space, lambda self: pixels))
    expected = np.moveaxis(pixels, -1, 0) if where == "last" else pixels
    assert env.observation_space.shape == expected.shape
    np.testing.assert_array_equal(env.stream.obs[0], expected)
    assert env.stream.obs.dtype == env.observation_space.dtype == dtype
    assert env.family == ("pixels" if min(sides) >= 12 else "tiny_pixels")


@pytest.mark.parametrize("shape", [(10, 10, 10), (12, 40, 12)])
def test_images_whose_axes_could_be_either_are_refused_unless_told(register: Registry, shape: Any) -> None:
    kind = observing(spaces.Box(0, 255, shape, np.uint8))
    env_id = register(kind)
    with pytest.raises(ConfigError, match="channels: expected first or last"):
        make(one(env_id), training=True)
    last, first = (make(one(env_id, channels=where), training=True) for where in ("last", "first"))
    raw = kind().reset(seed=last.stream.reset(seed=3) is None)[0]
    assert last.observation_space.shape == (shape[-1], *shape[:2])
    assert first.observation_space.shape == raw.shape == shape
    np.testing.assert_array_equal(
        np.moveaxis(last.stream.reset(seed=1)[0], 0, -1), first.stream.reset(seed=1)[0]
    )


def test_float_images_are_brought_to_the_unit_interval_by_their_bounds(register: Registry) -> None:
    for low, high in ((0, 255), (-1, 1), (0, 1)):
        pixels = np.linspace(low, high, 12 * 12 * 3, dtype=np.float32).reshape(12, 12, 3)
        env = opened(
            register, observing(spaces.Box(low, high, (12, 12, 3)), lambda self, pixels=pixels: pixels)
        )
        assert (env.family, env.stream.obs.dtype) == ("pixels", np.float32)
        np.testing.assert_allclose(
            np.moveaxis(env.stream.obs[0], 0, -1), np.linspace(0, 1, 432).reshape(12, 12, 3), atol=1e-6
        )


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (5, 5), np.float32),  # a table of vehicles
        spaces.Box(0, 255, (128,), np.uint8),
        spaces.Box(0, 1, (8, 2), np.uint8),
        spaces.Box(0, 9, (4, 4), np.int64),
    ],
)
def test_arrays_that_are_no_images_stay_as_they_are(register: Registry, space: spaces.Box) -> None:
    env = opened(register, observing(space))
    assert (env.family, env.observation_space.shape) == ("vector", space.shape)


@pytest.mark.parametrize("shape", [(), (2, 2, 2, 3)])
def test_arrays_without_axes_or_with_many_become_one_vector(
    register: Registry, shape: tuple[int, ...]
) -> None:
    env = opened(register, observing(spaces.Box(-1, 1, shape, np.float32)))
    assert env.observation_space.shape == (int(np.prod(shape)),)
    assert env.stream.obs.shape == (1, int(np.prod(shape)))


@pytest.mark.parametrize(
    ("space", "dtype"),
    [
        (spaces.Discrete(6), np.uint8),
        (spaces.Discrete(6, start=-3), np.uint8),
        (spaces.MultiDiscrete([6, 3]), np.uint8),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), np.uint8),
        (spaces.MultiBinary(6), np.uint8),
        (spaces.MultiBinary((2, 3)), np.uint8),
        (spaces.Tuple((spaces.Discrete(32), spaces.Discrete(11), spaces.Discrete(2))), np.uint8),
        (spaces.Dict(a=spaces.Box(-1, 1, (2,), np.float32), b=spaces.Discrete(6)), np.float32),
        (spaces.Dict(image=spaces.Box(0, 255, (7, 7, 3), np.uint8), direction=spaces.Discrete(4)), np.uint8),
        (spaces.Dict(z=spaces.Tuple((spaces.Discrete(3), spaces.Dict(y=spaces.MultiBinary(2))))), np.uint8),
        (spaces.Dict(big=spaces.Box(0, 1000, (2,), np.int64)), np.float32),
    ],
)
def test_discrete_and_composite_observations_are_flattened_as_gymnasium_does(
    register: Registry, space: gymnasium.Space[Any], dtype: Any
) -> None:
    seen = []

    def sample(self: Five) -> Any:
        seen.append(self.observation_space.sample())
        return seen[-1]

    env = opened(register, observing(space, sample))
    assert env.family == "flattened"
    assert env.observation_space.shape == (spaces.flatdim(space),)
    for _ in range(12):
        obs = env.stream.obs[0]
        assert obs.dtype == env.observation_space.dtype == dtype
        np.testing.assert_allclose(obs, spaces.flatten(space, seen[-1]))
        assert env.observation_space.contains(obs)
        env.stream.step(np.zeros(1, np.int64))


class Words(gymnasium.Space[str]):
    """A space of an environment's own, as MiniGrid's missions are."""

    def __init__(self) -> None:
        super().__init__(dtype=str)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        return "go"

    def contains(self, x: Any) -> bool:
        return isinstance(x, str)


def test_parts_that_cannot_be_flattened_are_left_out_and_the_protocol_says_so(register: Registry) -> None:
    env = opened(register, observing(spaces.Dict(mission=Words(), at=spaces.Discrete(3))))
    assert env.observation_space.shape == (3,)
    assert "observations without mission" in env.protocol


@pytest.mark.parametrize(
    "space",
    [
        Words(),
        spaces.Dict(mission=Words()),
        spaces.Graph(spaces.Box(0, 1, (1,)), None),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Discrete(2**40),
    ],
)
def test_observations_that_cannot_be_one_array_are_refused_in_one_line(
    register: Registry, space: Any
) -> None:
    with pytest.raises(ConfigError, match="observation_space: expected"):
        opened(register, observing(space))


def test_image_beside_discrete_parts_gets_a_plane_for_each_of_their_flattened_numbers(
    register: Registry,
) -> None:
    pixels = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)
    space = spaces.Dict(
        image=spaces.Box(0, 255, (12, 12, 3), np.uint8), at=spaces.Discrete(3), bits=spaces.MultiBinary(2)
    )
    obs = {"image": pixels, "at": 1, "bits": np.array([0, 1], np.int8)}
    env = opened(register, observing(space, lambda self: obs))
    assert (env.family, env.observation_space.shape) == ("pixels", (8, 12, 12))
    np.testing.assert_array_equal(env.stream.obs[0, :3], np.moveaxis(pixels, -1, 0))
    assert [np.unique(plane).tolist() for plane in env.stream.obs[0, 3:]] == [[0], [255], [0], [0], [255]]


@pytest.mark.parametrize(
    "others",
    [
        {"speed": spaces.Box(-1, 1, (1,), np.float32)},
        {"other": spaces.Box(0, 255, (12, 12, 3), np.uint8)},
        {"at": spaces.Discrete(33)},
    ],
)
def test_images_that_cannot_be_put_together_with_the_rest_are_refused(
    register: Registry, others: Any
) -> None:
    space = spaces.Dict(image=spaces.Box(0, 255, (12, 12, 3), np.uint8), **others)
    with pytest.raises(ConfigError, match="observation_space: expected one image of uint8"):
        opened(register, observing(space))


STACKED = [
    # space of one frame, shape of a stack of 3, family
    (spaces.Box(0, 255, (12, 12), np.uint8), (3, 12, 12), "pixels"),
    (spaces.Box(0, 255, (12, 14, 3), np.uint8), (9, 12, 14), "pixels"),
    (spaces.Box(0, 255, (3, 14, 12), np.uint8), (9, 14, 12), "pixels"),
    (spaces.Box(0, 255, (5, 5, 1), np.uint8), (3, 5, 5), "tiny_pixels"),
    (spaces.Box(-1, 1, (4,), np.float32), (3, 4), "vector"),
    (spaces.Discrete(5), (15,), "flattened"),
    (spaces.MultiDiscrete([2, 3]), (3, 2), "vector"),  # Gymnasium makes a Box of it
    (spaces.MultiBinary(4), (3, 4), "vector"),
]


@pytest.mark.parametrize(("space", "shape", "family"), STACKED)
@pytest.mark.parametrize("padding", ["reset", "zero"])
def test_stacks_of_gymnasium_are_known_and_roll(
    register: Registry, space: Any, shape: Any, family: str, padding: str
) -> None:
    kind = observing(space)
    entry_point = lambda: TimeLimit(FrameStackObservation(kind(), 3, padding_type=padding), 4)  # noqa: E731
    env = opened(register, entry_point)
    assert (env.frame_stack, env.observation_space.shape, env.family) == (3, shape, family)
    for _ in range(12):
        steps = env.stream.step(np.zeros(1, np.int64))
        frames, next_frames = (part[0].reshape(3, -1) for part in (steps.obs, steps.next_obs))
        np.testing.assert_array_equal(frames[1:], next_frames[:-1])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: env,
        lambda env: FrameStackObservation(env, 1),
        lambda env: TransformObservation(FrameStackObservation(env, 3), lambda obs: 255 - obs, None),
    ],
)
def test_what_may_not_roll_is_no_stack(register: Registry, wrap: Any) -> None:
    kind = observing(spaces.Box(0, 255, (12, 12), np.uint8))
    assert make(one(register(lambda: wrap(kind()))), training=True).frame_stack is None


def test_stack_of_a_dict_is_stored_as_it_is(register: Registry) -> None:
    kind = observing(spaces.Dict(a=spaces.Discrete(3)))
    assert make(one(register(lambda: FrameStackObservation(kind(), 3))), training=True).frame_stack is None
