"""The tables of bad input to SumTree, FrameRing and NStepAccumulator: named, and nothing is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mujigae

RAGGED = [[1], [2, 3]]
FALSE = [False, False]
HUGE = np.array([0, 2**64 - 1], np.uint64)  # as int64 it would be -1
TWO_ROWS = np.zeros((2, 2), np.uint8)


def tree() -> Any:
    one = mujigae.SumTree(4, seed=0)
    one.update([0, 1, 3], [1.0, 2.0, 0.5])
    return one


def ring() -> Any:
    one = mujigae.FrameRing(4, (2,), 2)
    one.start(np.array([[1, 2], [3, 4]], np.uint8))
    one.append(np.array([5, 6], np.uint8))
    return one


def accumulator() -> Any:
    one = mujigae.NStepAccumulator(3, 0.5, 2)
    one.push([1.0, 2.0], FALSE, FALSE)
    return one


def seen(one: Any) -> Any:
    """All that can be seen of it, and what it does next."""
    assert one.check_valid()
    if isinstance(one, mujigae.SumTree):
        return one[np.arange(4)].tobytes(), one.total, one.sample(20).tobytes()
    if isinstance(one, mujigae.FrameRing):
        return len(one), one.stacks(np.arange(len(one))).tobytes(), one.append(np.zeros(2, np.uint8))
    pushed = [one.push([4.0, 8.0], FALSE, FALSE) for _ in range(3)]
    return [[column.tolist() for column in columns] for columns in pushed]


CALLS: list[tuple[Any, str, tuple[Any, ...], type[Exception], str]] = [
    (tree, "update", ([[0]], [[1.0]]), ValueError, r"indices: expected 1 dimension\(s\), got shape \(1, 1\)"),
    (tree, "update", ([0], [[1.0]]), ValueError, r"values: expected 1 dimension\(s\), got shape \(1, 1\)"),
    (tree, "update", (0, 1.0), ValueError, r"indices: expected 1 dimension\(s\), got shape \(\)"),
    (tree, "update", ([0.0], [1.0]), TypeError, "indices: expected integers, got dtype float64"),
    (tree, "update", ([True], [1.0]), TypeError, "indices: expected integers, got dtype bool"),
    (tree, "update", ([0], ["a"]), TypeError, "values: expected real numbers, got dtype <U1"),
    (tree, "update", ([0], [1j]), TypeError, "values: expected real numbers, got dtype complex128"),
    (tree, "update", (RAGGED, [1.0]), TypeError, "indices: expected integers, got list"),
    (tree, "update", ([0], RAGGED), TypeError, "values: expected real numbers, got list"),
    (tree, "update", (None, None), TypeError, "indices: expected integers, got dtype object"),
    (tree, "update", ([0, 4], [1.0, 1.0]), IndexError, r"indices\[1\]: expected 0 <= index < 4, got 4"),
    (tree, "update", ([0, -1], [1.0, 1.0]), IndexError, r"indices\[1\]: expected 0 <= index < 4, got -1"),
    (tree, "update", (HUGE, [1.0, 1.0]), IndexError, rf"indices\[1\]: expected .*, got {HUGE[1]}"),
    (tree, "update", ([0, 1], [9.0]), ValueError, "values: expected 2 of them, one for each index, got 1"),
    *[
        (
            tree,
            "update",
            ([0, 1], [9.0, value]),
            ValueError,
            r"values\[1\]: expected 0, or a number from 2\^-900",
        )
        for value in (-1.0, np.nan, np.inf, -np.inf, 1e-300, 5e-324, 1e300)
    ],
    (tree, "sample", (0,), ValueError, "batch_size: expected at least 1, got 0"),
    (tree, "sample", (-1,), ValueError, "batch_size: expected at least 1, got -1"),
    (tree, "sample", (2.5,), TypeError, "batch_size: expected an integer, got 2.5"),
    (tree, "sample", ("x",), TypeError, "batch_size: expected an integer, got 'x'"),
    (tree, "sample", (True,), TypeError, "batch_size: expected an integer, got True"),
    (tree, "sample", (2**62,), ValueError, r"batch_size: expected at most 2\^31"),
    (tree, "sample", (2**70,), ValueError, "batch_size: expected a 64-bit integer"),
    (tree, "find", ([0.0, -1.0],), ValueError, r"targets\[1\]: expected a number of at least 0, got -1"),
    (tree, "find", ([0.0, np.nan],), ValueError, r"targets\[1\]: expected a number of at least 0, got nan"),
    (tree, "find", ("x",), TypeError, "targets: expected real numbers, got dtype <U1"),
    (tree, "find", ([[1.0]],), ValueError, r"targets: expected 1 dimension\(s\)"),
    (tree, "find", (RAGGED,), TypeError, "targets: expected real numbers, got list"),
    (tree, "__getitem__", (4,), IndexError, "index: expected 0 <= index < 4, got 4"),
    (tree, "__getitem__", (-1,), IndexError, "index: expected 0 <= index < 4, got -1"),
    (tree, "__getitem__", ([0, 4],), IndexError, "index: expected 0 <= index < 4, got 4"),
    (tree, "__getitem__", (HUGE,), IndexError, rf"index\[1\]: expected .*, got {HUGE[1]}"),
    (tree, "__getitem__", (2.5,), TypeError, "index: expected integers, got dtype float64"),
    (tree, "__getitem__", ([[0]],), ValueError, r"index: expected 1 dimension\(s\)"),
    (
        ring,
        "start",
        (np.zeros((3, 2), np.uint8),),
        ValueError,
        r"frames: expected shape \(2, 2\), got \(3, 2\)",
    ),
    (ring, "start", (TWO_ROWS[:0],), ValueError, r"frames: expected shape \(2, 2\), got \(0, 2\)"),
    (ring, "start", (TWO_ROWS[0],), ValueError, r"frames: expected shape \(2, 2\), got \(2,\)"),
    (ring, "start", (np.zeros((2, 2)),), TypeError, "frames: expected dtype uint8, got float64"),
    (ring, "start", ([[0, 0], [0, 0]],), TypeError, "frames: expected a NumPy array, got list"),
    (ring, "start", (TWO_ROWS.T,), ValueError, "frames: expected a C-contiguous array"),
    (
        ring,
        "start",
        (np.zeros((2, 4), np.uint8)[:, ::2],),
        ValueError,
        "frames: expected a C-contiguous array",
    ),
    (ring, "append", (np.zeros(3, np.uint8),), ValueError, r"frame: expected shape \(2,\), got \(3,\)"),
    (ring, "append", (TWO_ROWS[:1],), ValueError, r"frame: expected shape \(2,\), got \(1, 2\)"),
    (ring, "append", (np.zeros(2, np.int8),), TypeError, "frame: expected dtype uint8, got int8"),
    (ring, "append", (None,), TypeError, "frame: expected a NumPy array, got NoneType"),
    (ring, "append", (np.zeros(4, np.uint8)[::2],), ValueError, "frame: expected a C-contiguous array"),
    (ring, "stacks", ([0, 2],), IndexError, r"slots\[1\]: expected 0 <= slot < 2"),
    (ring, "stacks", ([0, -1],), IndexError, r"slots\[1\]: expected 0 <= slot < 2"),
    (ring, "stacks", (HUGE,), IndexError, rf"slots\[1\]: expected .*, got {HUGE[1]}"),
    (ring, "stacks", ([0.5],), TypeError, "slots: expected integers, got dtype float64"),
    (ring, "stacks", ([[0]],), ValueError, r"slots: expected 1 dimension\(s\)"),
    (ring, "stacks", (RAGGED,), TypeError, "slots: expected integers, got list"),
    (ring, "stacks", ([0], [1]), TypeError, "out: expected a NumPy array, got list"),
    (ring, "stacks", ([0], np.zeros((1, 2, 2))), TypeError, "out: expected dtype uint8, got float64"),
    (ring, "stacks", ([0], TWO_ROWS), ValueError, r"out: expected shape \(1, 2, 2\), got \(2, 2\)"),
    (
        ring,
        "stacks",
        ([0], np.zeros((2, 2, 1), np.uint8).T),
        ValueError,
        "out: expected a C-contiguous array",
    ),
    (
        ring,
        "stacks",
        ([0], np.frombuffer(bytes(4), np.uint8).reshape(1, 2, 2)),
        ValueError,
        "out: expected a wri",
    ),
    (accumulator, "push", ([1.0], FALSE, FALSE), ValueError, "reward: expected 2 values, one for each env"),
    (accumulator, "push", ([1.0, 2.0], [False], FALSE), ValueError, "terminated: expected 2 values"),
    (accumulator, "push", ([1.0, 2.0], FALSE, [False]), ValueError, "truncated: expected 2 values"),
    (accumulator, "push", ([[1.0, 2.0]], FALSE, FALSE), ValueError, r"reward: expected 1 dimension\(s\)"),
    (
        accumulator,
        "push",
        (1.0, False, False),
        ValueError,
        r"reward: expected 1 dimension\(s\), got shape \(\)",
    ),
    (
        accumulator,
        "push",
        (["a", "b"], FALSE, FALSE),
        TypeError,
        "reward: expected real numbers, got dtype <U1",
    ),
    (
        accumulator,
        "push",
        ([1j, 1], FALSE, FALSE),
        TypeError,
        "reward: expected real numbers, got dtype complex",
    ),
    (accumulator, "push", (RAGGED, FALSE, FALSE), TypeError, "reward: expected real numbers, got list"),
    (
        accumulator,
        "push",
        ([1.0, np.nan], FALSE, FALSE),
        ValueError,
        r"reward\[1\]: expected a finite number",
    ),
    (
        accumulator,
        "push",
        ([np.inf, 1.0], FALSE, FALSE),
        ValueError,
        r"reward\[0\]: expected a finite number",
    ),
    (
        accumulator,
        "push",
        ([1.0, 2.0], [0, 1], FALSE),
        TypeError,
        "terminated: expected booleans, got dtype i",
    ),
    (
        accumulator,
        "push",
        ([1.0, 2.0], FALSE, [0.0, 1.0]),
        TypeError,
        "truncated: expected booleans, got dtype",
    ),
    (
        accumulator,
        "push",
        ([1.0, 2.0], FALSE, FALSE, [0, 0]),
        ValueError,
        r"env_ids\[1\]: expected each id once",
    ),
    (
        accumulator,
        "push",
        ([1.0, 2.0], FALSE, FALSE, [0, 2]),
        IndexError,
        r"env_ids\[1\]: expected 0 <= id < 2",
    ),
    (
        accumulator,
        "push",
        ([1.0, 2.0], FALSE, FALSE, [0, -1]),
        IndexError,
        r"env_ids\[1\]: expected 0 <= id < 2",
    ),
    (accumulator, "push", ([1.0, 2.0], FALSE, FALSE, [0.0, 1.0]), TypeError, "env_ids: expected integers"),
    (accumulator, "push", ([1.0, 2.0], FALSE, FALSE, [0]), ValueError, "reward: expected 1 values"),
]


@pytest.mark.parametrize(("make", "call", "arguments", "error", "message"), CALLS)
def test_calls_name_what_is_wrong_and_change_nothing(
    make: Any, call: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    one = make()
    with pytest.raises(error, match=message) as caught:
        getattr(one, call)(*arguments)
    assert type(caught.value) is error
    assert seen(one) == seen(make())


SEED = "seed: expected None, an integer of at least 0 or a SeedSequence, got"
CONSTRUCTORS: list[tuple[str, tuple[Any, ...], type[Exception], str]] = [
    ("SumTree", (0,), ValueError, r"capacity: expected 1 to 2\^40, got 0"),
    ("SumTree", (-1,), ValueError, r"capacity: expected 1 to 2\^40, got -1"),
    ("SumTree", (2**41,), ValueError, r"capacity: expected 1 to 2\^40, got 2199023255552"),
    ("SumTree", (2**70,), ValueError, "capacity: expected a 64-bit integer"),
    ("SumTree", (2.5,), TypeError, "capacity: expected an integer, got 2.5"),
    ("SumTree", ("x",), TypeError, "capacity: expected an integer, got 'x'"),
    ("SumTree", (True,), TypeError, "capacity: expected an integer, got True"),
    ("SumTree", (4, -1), ValueError, f"{SEED} -1"),
    ("SumTree", (4, "x"), TypeError, f"{SEED} 'x'"),
    ("SumTree", (4, 1.5), TypeError, f"{SEED} 1.5"),
    ("FrameRing", (0, (2,), 2), ValueError, "capacity: expected 1 to 1099511627776, got 0"),
    ("FrameRing", (2.5, (2,), 2), TypeError, "capacity: expected an integer, got 2.5"),
    ("FrameRing", (4, (2,), 0), ValueError, "stack: expected 1 to 255, got 0"),
    ("FrameRing", (4, (2,), 256), ValueError, "stack: expected 1 to 255, got 256"),
    ("FrameRing", (4, (2,), "2"), TypeError, "stack: expected an integer, got '2'"),
    ("FrameRing", (4, (0,), 2), ValueError, "frame_shape: expected positive extents"),
    ("FrameRing", (4, 2, 2), TypeError, "frame_shape: expected a sequence of integers, got 2"),
    ("FrameRing", (4, (2.5,), 2), TypeError, "frame_shape: expected an integer, got 2.5"),
    ("NStepAccumulator", (0, 0.9), ValueError, "n_step: expected 1 to 1073741824, got 0"),
    ("NStepAccumulator", (2.5, 0.9), TypeError, "n_step: expected an integer, got 2.5"),
    ("NStepAccumulator", (1, 2.0), ValueError, "gamma: expected a number from 0 to 1, got 2"),
    ("NStepAccumulator", (1, np.nan), ValueError, "gamma: expected a number from 0 to 1, got nan"),
    ("NStepAccumulator", (1, "x"), TypeError, "gamma: expected a real number, got 'x'"),
    ("NStepAccumulator", (1, 0.9, 0), ValueError, "num_envs: expected at least 1, got 0"),
    ("NStepAccumulator", (1, 0.9, 2**62), ValueError, r"num_envs: expected at most 2\^31"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "message"), CONSTRUCTORS)
def test_constructors_name_what_is_wrong(
    name: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        getattr(mujigae, name)(*arguments)
    assert type(caught.value) is error


def test_a_dtype_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match="dtype: expected a native numeric dtype, got 'nope'"):
        mujigae.FrameRing(4, (2,), 2, dtype="nope")


def test_an_empty_tree_and_a_ring_before_its_start_refuse() -> None:
    with pytest.raises(ValueError, match="sample: every leaf is zero"):
        mujigae.SumTree(4).sample(1)
    with pytest.raises(ValueError, match="find: every leaf is zero"):
        mujigae.SumTree(4).find([0.0])
    with pytest.raises(ValueError, match="append: expected a started episode, got none"):
        mujigae.FrameRing(4, (2,), 2).append(np.zeros(2, np.uint8))
