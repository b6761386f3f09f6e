"""The private module refuses what would read or write out of bounds, also when its shell is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mujigae
from mujigae import _core
from mujigae.replay.spec import BufferSpec

OBS = np.dtype(np.float32), (4,)


def core(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "capacity": 16,
        "num_envs": 2,
        "n_step": 1,
        "gamma": 0.99,
        "obs": [OBS],
        "stacks": [1],
        "action": (np.dtype(np.int64), ()),
        "validate": True,
        "seed": 0,
        "compress": False,
        "file": None,
        "prefetch": 0,
        "sampler": ("uniform", {"replacement": True}),
        "tree": 0,
        "extras": [],
    }
    return _core.Buffer(**arguments | changes)


def filled() -> Any:
    """Four rows of each of two environments."""
    buffer = core()
    for t in range(4):
        obs = np.full((2, 4), t, np.float32)
        flags = np.zeros(2, np.bool_)
        step = obs, np.zeros(2, np.int64), np.zeros(2), obs + 1, flags, flags
        assert buffer.add_exact(*step, None, None, None) is not None
    return buffer


# --- rows and episodes


@pytest.mark.parametrize("env", [-1, 2, 2**62, -(2**63)])
def test_episodes_of_no_environment_are_refused(env: int) -> None:
    with pytest.raises(IndexError, match=f"env: expected 0 <= env < 2, got {env}"):
        filled().read_episode(env, 0, 1, True)


@pytest.mark.parametrize("first", [-1, -(2**63)])
def test_episodes_that_begin_before_the_first_row_are_refused(first: int) -> None:
    with pytest.raises(ValueError, match=f"first: expected at least 0, got {first}"):
        filled().read_episode(0, first, 1, True)


@pytest.mark.parametrize("count", [0, -1, 10, 2**62, 2**63 - 1, -(2**63)])
def test_episodes_of_more_rows_than_an_environment_has_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count: expected 1 to 9 rows, got {count}"):
        filled().read_episode(0, 0, count, True)


@pytest.mark.parametrize(("first", "count"), [(0, 5), (4, 1), (2**62, 9), (2**63 - 1, 9)])
def test_rows_that_are_not_there_yet_are_none(first: int, count: int) -> None:
    assert filled().read_episode(1, first, count, True) is None
    assert filled().read_episode(1, 0, 4, True) is not None


@pytest.mark.parametrize("num_steps", [2**62, 2**63 - 1, -1, -(2**63)])
def test_more_steps_than_the_arrays_have_are_refused(num_steps: int) -> None:
    buffer = filled()
    for num_rows in (0, 2):
        obs = np.zeros((num_rows, 4), np.float32)
        flags = np.zeros(num_rows, np.bool_)
        step = [obs], np.zeros(num_rows, np.int64), np.zeros(num_rows), [obs], flags, flags
        with pytest.raises(ValueError, match="expected"):
            buffer.add(*step, np.arange(2), num_steps, None, [])
    assert buffer.num_added == 8


def test_keys_that_are_none_are_refused_by_every_call() -> None:
    buffer = filled()
    for call in (lambda key: buffer.gather(key, None), buffer.next_key):
        for key in (-1, 2**62, 2**63 - 1, -(2**63), 31):
            with pytest.raises(IndexError, match=r"key\[0\]"):
                call(np.array([key]))


# --- sizes


@pytest.mark.parametrize("batch_size", [0, -1, 2**31 + 1, 2**63 - 1])
def test_batches_of_impossible_sizes_are_refused(batch_size: int) -> None:
    buffer = filled()
    calls = (
        lambda: buffer.sample(batch_size, None, None),
        lambda: buffer.draw(batch_size),
        lambda: buffer.sample_sequences(batch_size, 2, 0, None),
    )
    for call in calls:
        with pytest.raises(ValueError, match="batch_size: expected at"):
            call()


@pytest.mark.parametrize(("length", "burn_in"), [(0, 0), (-1, 0), (1, -1), (2**62, 0), (1, 2**63 - 1)])
def test_sequences_of_impossible_lengths_are_refused(length: int, burn_in: int) -> None:
    with pytest.raises(ValueError, match=r"length|burn_in"):
        filled().sample_sequences(1, length, burn_in, None)


def test_batches_that_no_memory_holds_are_refused() -> None:
    buffer = core(num_envs=1, capacity=1, obs=[(np.dtype(np.uint8), (2**20,))])
    row = np.zeros((1, 2**20), np.uint8)
    flag = np.zeros(1, np.bool_)
    assert buffer.add_exact(row, np.zeros(1, np.int64), np.zeros(1), row, flag, flag, None, None, None) == 0
    with pytest.raises(MemoryError):
        buffer.sample_sequences(2**31, 2**20, 2**20, None)  # 2^72 bytes


@pytest.mark.parametrize(("num_rows", "max_frames"), [(0, 8), (2, 0), (2, -1)])
def test_mirrored_batches_without_rows_or_frames_are_refused(num_rows: int, max_frames: int) -> None:
    buffer = filled()
    slots = np.zeros((num_rows, 1), np.int64)
    batch = list(buffer.sample(max(num_rows, 1), None, None))
    batch[0], batch[3] = slots, slots.copy()
    with pytest.raises(ValueError, match="expected"):
        buffer.sample_mirrored(
            None, tuple(field[:num_rows] if len(field) else field for field in batch), max_frames
        )
    with pytest.raises(TypeError, match="out: expected the fields of a batch"):
        buffer.sample_mirrored(None, (), 8)


def test_accumulators_larger_than_any_memory_are_refused() -> None:
    with pytest.raises(ValueError, match="num_envs: "):
        mujigae.NStepAccumulator(1, 0.99, 2**31)


# --- the constructor


@pytest.mark.parametrize("tree", [1, -1, 2**62, {"a": 0, "b": 0}, (0, 1), {}, ()])
def test_structures_that_do_not_name_each_observation_once_are_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match="tree: expected each"):
        core(tree=tree)


def test_structures_of_endless_depth_are_refused() -> None:
    tree: Any = 0
    for _ in range(100_000):
        tree = (tree,)
    with pytest.raises(ValueError, match="tree: expected a depth of at most 500"):
        core(tree=tree)


def test_structures_of_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="tree: expected an integer, a dict or a tuple"):
        core(tree=[0])


def test_a_structure_that_is_changed_afterwards_changes_nothing() -> None:
    tree = {"a": 0}
    buffer = core(tree=tree, num_envs=1)
    tree["a"] = 7
    row, flag = np.zeros((1, 4), np.float32), np.zeros(1, np.bool_)
    step = {"a": row}, np.zeros(1, np.int64), np.zeros(1), {"a": row}, flag, flag
    assert buffer.add_exact(*step, None, None, None) == 0


@pytest.mark.parametrize("stacks", [[], [1, 1], [0], [-1], [3], [2**62]])
def test_stacks_that_do_not_divide_the_observation_are_refused(stacks: list[int]) -> None:
    with pytest.raises(ValueError, match="stacks: expected"):
        core(stacks=stacks)


def test_a_stack_of_scalars_is_refused() -> None:
    with pytest.raises(ValueError, match="stacks: expected a divisor"):
        core(obs=[(np.dtype(np.float32), ())], stacks=[2])


@pytest.mark.parametrize("shape", [(-1,), (0,), (2**40, 2**40), (2**62, 4), (2**63 - 1,)])
@pytest.mark.parametrize("name", ["obs", "action", "extras"])
def test_rows_of_impossible_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    layout = np.dtype(np.float32), shape
    value = {"obs": [layout], "action": layout, "extras": [("x", layout)]}[name]
    with pytest.raises(ValueError, match=f"{name}: expected positive extents"):
        core(**{name: value})


@pytest.mark.parametrize("dtype", [object, "S3", "M8[s]", "U4", [("a", "i4")]])
def test_rows_of_anything_but_numbers_are_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match="obs: expected a numeric dtype"):
        core(obs=[(np.dtype(dtype), (2,))])


def test_a_buffer_without_observations_is_refused() -> None:
    with pytest.raises(ValueError, match="obs: expected at least one observation"):
        core(obs=[], stacks=[], tree={})


def test_what_the_shell_passes_is_accepted() -> None:
    space = {"a": ((2, 3), np.uint8), "b": ((), np.float32)}
    spec = BufferSpec.of(8, space, ((), np.int64), frame_stack={"a": 2}, extras={"x": ((3,), np.int8)})
    assert len(_core.Buffer(seed=0, file=None, **spec.core_arguments())) == 0
