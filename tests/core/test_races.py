"""Another thread writes into an argument while a call reads it: the call takes what it checked, and touches nothing out of bounds."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mujigae

SIZE = 1 << 19
DELAYS = [0.0002, 0.0005, 0.001, 0.002, 0.004]
WRONG_INDICES = [-(2**62), 1 << 40]


def call_while_writing(call: Callable[[], Any], array: np.ndarray, value: Any, delay: float) -> Any:
    """The result of `call`, or the ValueError or IndexError that it raised; `value` is written meanwhile."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(call())
        except (ValueError, IndexError) as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(delay)
    array[len(array) // 4 :] = value
    thread.join()
    return results[0]


def ones_tree() -> mujigae.SumTree:
    tree = mujigae.SumTree(SIZE, seed=0)
    tree.update(np.arange(SIZE), np.ones(SIZE))
    return tree


@pytest.mark.parametrize("value", [-1e300, np.nan, np.inf])
@pytest.mark.parametrize("delay", DELAYS)
def test_targets_that_change_find_indices_of_the_tree(delay: float, value: float) -> None:
    tree, targets = ones_tree(), np.full(SIZE, 5.0)
    found = call_while_writing(lambda: tree.find(targets), targets, value, delay)
    assert isinstance(found, ValueError) or ((found >= 0) & (found < SIZE)).all()


@pytest.mark.parametrize("index", WRONG_INDICES)
@pytest.mark.parametrize("delay", DELAYS)
def test_indices_that_change_update_leaves_of_the_tree(delay: float, index: int) -> None:
    tree, indices = ones_tree(), np.arange(SIZE)
    call_while_writing(lambda: tree.update(indices, np.full(SIZE, 2.0)), indices, index, delay)
    assert tree.check_valid()
    assert tree.total in (SIZE, 2.0 * SIZE)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("delay", DELAYS)
def test_values_that_change_leave_a_valid_tree(delay: float, value: float) -> None:
    tree, values = ones_tree(), np.full(SIZE, 2.0)
    call_while_writing(lambda: tree.update(np.arange(SIZE), values), values, value, delay)
    assert tree.check_valid()
    assert tree.total in (SIZE, 2.0 * SIZE)


@pytest.mark.parametrize("index", WRONG_INDICES)
@pytest.mark.parametrize("delay", DELAYS)
def test_indices_that_change_read_leaves_of_the_tree(delay: float, index: int) -> None:
    tree, indices = ones_tree(), np.arange(SIZE)
    leaves = call_while_writing(lambda: tree[indices], indices, index, delay)
    assert isinstance(leaves, IndexError) or (leaves == 1.0).all()


@pytest.mark.parametrize("changed", ["reward", "env_ids", "terminated"])
@pytest.mark.parametrize("delay", DELAYS)
def test_steps_that_change_are_pushed_as_they_were_checked(delay: float, changed: str) -> None:
    accumulator = mujigae.NStepAccumulator(3, 0.9, SIZE)
    steps = {"reward": np.zeros(SIZE), "terminated": np.zeros(SIZE, bool), "env_ids": np.arange(SIZE)}
    value = {"reward": np.nan, "terminated": True, "env_ids": 1 << 40}[changed]
    result = call_while_writing(
        lambda: accumulator.push(truncated=np.zeros(SIZE, bool), **steps), steps[changed], value, delay
    )
    assert accumulator.check_valid()
    if not isinstance(result, Exception):
        assert np.isfinite(result[2]).all()
        assert len(result[0]) <= SIZE


@pytest.mark.parametrize("slot", WRONG_INDICES)
@pytest.mark.parametrize("delay", DELAYS)
def test_slots_that_change_read_stacks_of_the_ring(delay: float, slot: int) -> None:
    ring = mujigae.FrameRing(4, (2,), 2)
    ring.start(np.full((2, 2), 7, np.uint8))
    slots = np.zeros(SIZE, np.int64)
    stacks = call_while_writing(lambda: ring.stacks(slots), slots, slot, delay)
    assert isinstance(stacks, IndexError) or (stacks == 7).all()


def test_bytes_that_are_no_truth_values_are_true() -> None:
    flags = np.array([0, 1, 2, 255], np.uint8).view(bool)
    accumulator = mujigae.NStepAccumulator(3, 0.9, 4)
    assert accumulator.push(np.ones(4), flags, np.zeros(4, bool))[0].tolist() == [1, 2, 3]
    assert accumulator.check_valid()


def rolled_on(ring: mujigae.FrameRing, frames: list[np.ndarray]) -> list[bool]:
    """Whether each frame appended comes back as it is."""
    slots = [ring.append(frame) for frame in frames]
    return [bool(np.array_equal(ring.stacks([s])[0, -1], f)) for s, f in zip(slots, frames, strict=True)]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("delay", DELAYS)
def test_a_frame_that_changes_spoils_no_other(delay: float, stack: int, compress: bool) -> None:
    ring = mujigae.FrameRing(50, (2048, 1024), stack, compress=compress)
    ring.start(np.zeros((stack, 2048, 1024), np.uint8))
    raced = np.zeros((2048, 1024), np.uint8)
    raced[::64] = 1
    call_while_writing(lambda: ring.append(raced), raced, 5, delay)
    after = [np.full_like(raced, i) for i in range(2)] + [raced] * 7
    after[1][7] = 3
    assert all(rolled_on(ring, after))
    assert ring.check_valid()


def offline_steps(num_steps: int) -> dict[str, np.ndarray]:
    zeros = np.zeros(num_steps)
    flags = np.zeros(num_steps, bool)
    obs = np.zeros((num_steps, 2), np.float32)
    return {
        "obs": obs,
        "action": zeros.astype(np.int64),
        "reward": zeros,
        "next_obs": obs.copy(),
        "terminated": flags,
        "truncated": flags.copy(),
    }


@pytest.mark.parametrize(
    "changed", [("reward", np.nan), ("reward", 1e300), ("terminated", True), ("truncated", True)]
)
@pytest.mark.parametrize("delay", [0.001, 0.01, 0.03])
def test_offline_data_that_changes_is_added_as_it_was_checked(delay: float, changed: tuple[str, Any]) -> None:
    name, value = changed
    buffer = mujigae.ReplayBuffer(SIZE, ((2,), np.float32), ((), np.int64), seed=0)
    steps = offline_steps(SIZE)
    call_while_writing(lambda: buffer.extend(**steps), steps[name], value, delay)
    assert buffer.check_valid()
    assert len(pickle.loads(pickle.dumps(buffer))) == len(buffer)


@pytest.mark.parametrize(
    "changed", [("key", -5), ("key", 1 << 40), ("priorities", np.nan), ("priorities", -1.0)]
)
@pytest.mark.parametrize("delay", DELAYS)
def test_priorities_that_change_are_set_as_they_were_checked(delay: float, changed: tuple[str, Any]) -> None:
    buffer = mujigae.PrioritizedReplayBuffer(64, ((2,), np.float32), ((), np.int64), seed=0)
    buffer.extend(**offline_steps(64))
    arguments = {"key": np.repeat(buffer.sample(8).key, SIZE // 8), "priorities": np.ones(SIZE)}
    call_while_writing(
        lambda: buffer.update_priorities(**arguments), arguments[changed[0]], changed[1], delay
    )
    assert buffer.check_valid()
    assert np.isfinite(buffer.sample(8).weight).all()
