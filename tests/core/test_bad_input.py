"""The tables of bad input to the buffers: each call names what is wrong with which argument, and changes nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, Space, assert_same_batch, good_arguments, stacked_buffer, vector_buffer

import mujigae

RAGGED = [[1], [2, 3]]
OBS = np.zeros((2, 4, 2), np.uint8)
Row = tuple[str, Any, type[Exception], str]


def content(buffer: Any, folder: Path) -> bytes:
    """All that a buffer holds: the snapshot of a compiled one, the pickle of a twin's core."""
    if type(buffer).__module__.startswith("mujigae.replay.reference"):
        return pickle.dumps(buffer._core)
    buffer.save(folder / "snapshot")
    return (folder / "snapshot").read_bytes()


@pytest.fixture
def filled(impl: ModuleType) -> Any:
    """Two environments, five rows each, a stack of four frames."""
    buffer = stacked_buffer(impl, num_envs=2)
    for _ in range(5):
        buffer.add(**good_arguments())
    return buffer


@pytest.fixture
def refuses(filled: Any, tmp_path: Path) -> Callable[[Callable[[], Any], type[Exception], str], None]:
    """Checks that a call on `filled` raises exactly this type with this text, and that not a byte has changed."""

    def check(call: Callable[[], Any], error: type[Exception], message: str) -> None:
        before = content(filled, tmp_path)
        with pytest.raises(error, match=message) as caught:
            call()
        assert type(caught.value) is error
        assert content(filled, tmp_path) == before

    return check


# --- add and extend

ROWS: list[Row] = [
    (
        "obs",
        OBS.astype(float),
        TypeError,
        r"obs: expected dtype uint8 \(never cast\), got f",
    ),
    ("obs", OBS.astype(">u2"), TypeError, "obs: expected dtype uint8 .*, got >u2"),
    ("obs", np.zeros((2, 3, 2), np.uint8), ValueError, r"obs: expected shape \(2, 4, 2\), got \(2, 3, 2\)"),
    ("obs", OBS[0], ValueError, r"obs: expected shape \(2, 4, 2\), got \(4, 2\)"),
    ("obs", OBS[:0], ValueError, r"obs: expected shape \(2, 4, 2\), got \(0, 4, 2\)"),
    ("obs", OBS[0, 0, 0], ValueError, r"obs: expected shape \(2, 4, 2\), got \(\)"),
    ("obs", RAGGED, ValueError, "obs: expected rows of equal length, got ragged ones"),
    ("obs", None, TypeError, "obs: expected dtype uint8 .*, got object"),
    ("obs", {"a": OBS}, TypeError, "obs: expected dtype uint8 .*, got object"),
    ("next_obs", OBS + 1, ValueError, r"next_obs\[0\]: expected its first 3 frames to be the last"),
    ("next_obs", OBS[:1], ValueError, "next_obs: expected shape"),
    ("action", np.zeros(2), TypeError, "action: expected dtype int64 or one of its kind, got float64"),
    ("action", ["a", "b"], TypeError, "action: expected dtype int64 or one of its kind, got <U1"),
    ("action", None, TypeError, "action: expected dtype int64 or one of its kind, got object"),
    ("action", RAGGED, ValueError, "action: expected rows of equal length"),
    ("action", np.zeros((2, 1), int), ValueError, r"action: expected shape \(2,\), got \(2, 1\)"),
    ("action", np.array([0, 2**63], np.uint64), ValueError, "action: expected values that fit int64"),
    ("reward", [0.0, np.nan], ValueError, r"reward\[1\]: expected a finite number, got nan"),
    ("reward", [0.0, np.inf], ValueError, r"reward\[1\]: expected a finite number, got inf"),
    ("reward", [-np.inf, 0.0], ValueError, r"reward\[0\]: expected a finite number, got -inf"),
    ("reward", np.zeros(2, complex), TypeError, "reward: expected real numbers, got dtype complex128"),
    ("reward", ["a", "b"], TypeError, "reward: expected real numbers, got dtype <U1"),
    ("reward", None, TypeError, "reward: expected real numbers, got dtype object"),
    ("reward", np.zeros(3), ValueError, r"reward: expected shape \(2,\), got \(3,\)"),
    ("reward", 1.0, ValueError, r"reward: expected shape \(2,\), got \(\)"),
    ("reward", RAGGED, ValueError, "reward: expected rows of equal length"),
    ("terminated", np.zeros(2), TypeError, "terminated: expected booleans, got dtype float64"),
    ("terminated", [0, 1], TypeError, "terminated: expected booleans, got dtype int64"),
    ("terminated", RAGGED, ValueError, "terminated: expected rows of equal length"),
    ("truncated", np.zeros((2, 1), bool), ValueError, r"truncated: expected shape \(2,\), got \(2, 1\)"),
    ("truncated", None, TypeError, "truncated: expected booleans, got dtype object"),
    ("env_ids", [0, 0], ValueError, r"env_ids\[1\]: expected each id once"),
    ("env_ids", [0, 2], IndexError, r"env_ids\[1\]: expected 0 <= id < 2, got 2"),
    ("env_ids", [-1, 0], IndexError, r"env_ids\[0\]: expected 0 <= id < 2, got -1"),
    ("env_ids", np.array([0, 2**63], np.uint64), IndexError, rf"env_ids\[1\]: expected .*, got {2**63}"),
    ("env_ids", [0.0, 1.0], TypeError, "env_ids: expected integers, got dtype float64"),
    ("env_ids", [True, False], TypeError, "env_ids: expected integers, got dtype bool"),
    ("env_ids", [[0, 1]], ValueError, r"env_ids: expected one axis of ids, got shape \(1, 2\)"),
    ("env_ids", 0, ValueError, r"env_ids: expected one axis of ids, got shape \(\)"),
    ("env_ids", RAGGED, ValueError, "env_ids: expected rows of equal length"),
    ("env_ids", [0], ValueError, r"obs: expected shape \(1, 4, 2\), got \(2, 4, 2\)"),
]


@pytest.mark.parametrize(("argument", "value", "error", "message"), ROWS)
def test_add_names_what_is_wrong(
    filled: Any, refuses: Any, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    refuses(lambda: filled.add(**{**good_arguments(), argument: value}), error, message)


STEPS: list[Row] = [
    ("reward", 1.0, ValueError, r"reward: expected a leading time axis \[T, E\], got a scalar"),
    ("reward", RAGGED, ValueError, "reward: expected rows of equal length"),
    ("reward", np.array([[0, 0], [0, np.nan], [0, 0]]), ValueError, r"reward\[3\]: expected a finite number"),
    ("reward", np.zeros((3, 1)), ValueError, r"reward: expected shape \(3, 2\), got \(3, 1\)"),
    ("obs", OBS, ValueError, r"obs: expected shape \(3, 2, 4, 2\), got \(2, 4, 2\)"),
    ("obs", np.stack([OBS, OBS, OBS + 1]), ValueError, r"next_obs\[4\]: expected its first 3 frames"),
    ("next_obs", np.zeros((2, 2, 4, 2), np.uint8), ValueError, r"next_obs: expected shape \(3, 2, 4, 2\)"),
    ("action", np.zeros((2, 3), int), ValueError, r"action: expected shape \(3, 2\), got \(2, 3\)"),
    ("terminated", np.zeros((3, 2)), TypeError, "terminated: expected booleans"),
    ("truncated", np.zeros(3, bool), ValueError, r"truncated: expected shape \(3, 2\), got \(3,\)"),
    ("env_ids", [1, 1], ValueError, r"env_ids\[1\]: expected each id once"),
    ("env_ids", [1, 5], IndexError, r"env_ids\[1\]: expected 0 <= id < 2, got 5"),
]


@pytest.mark.parametrize(("argument", "value", "error", "message"), STEPS)
def test_extend_names_what_is_wrong(
    filled: Any, refuses: Any, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    steps = {name: np.stack([array] * 3) for name, array in good_arguments().items()}
    refuses(lambda: filled.extend(**{**steps, argument: value}), error, message)


def test_rows_of_no_environment_and_of_no_step_are_no_rows(filled: Any, tmp_path: Path) -> None:
    before = content(filled, tmp_path)
    none = {name: array[:0] for name, array in good_arguments().items()}
    filled.add(**none, env_ids=[])
    filled.extend(**{name: np.stack([array])[:0] for name, array in good_arguments().items()})
    assert content(filled, tmp_path) == before


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        (OBS, r"obs: expected a dict with \['a', 'b'\], got ndarray"),
        ({"a": OBS}, r"obs: expected a dict with \['a', 'b'\], got a dict with \['a'\]"),
        ({"a": OBS, "b": OBS}, r"obs\['b'\]: expected a tuple of 1, got ndarray"),
        ({"a": OBS, "b": (OBS, OBS)}, r"obs\['b'\]: expected a tuple of 1, got a tuple of 2"),
        ({"a": OBS, "b": (OBS,)}, r"obs\[b\.0\]: expected shape \(2, 1\), got \(2, 4, 2\)"),
        ({"a": RAGGED, "b": (OBS,)}, r"obs\[a\]: expected rows of equal length"),
    ],
)
def test_observations_of_another_structure_are_named(impl: ModuleType, obs: Any, message: str) -> None:
    space = {"a": Space((4, 2), np.uint8), "b": (Space((1,), np.uint8),)}
    buffer = impl.ReplayBuffer(8, space, ACTION, num_envs=2, frame_stack={"a": 4}, seed=0)
    with pytest.raises(ValueError, match=message):
        buffer.add(**{**good_arguments(), "obs": obs})
    assert len(buffer) == 0


def test_layouts_of_every_kind_are_accepted(impl: ModuleType) -> None:
    buffer, same = (stacked_buffer(impl, num_envs=2) for _ in range(2))
    arguments = good_arguments()
    same.add(**arguments)
    wide = np.zeros((2, 4, 4), np.uint8)[:, :, ::2]
    read_only = arguments["next_obs"].copy(order="F")
    read_only.flags.writeable = False
    buffer.add(**{**arguments, "obs": wide, "next_obs": read_only, "reward": np.zeros(2, np.float32)})
    assert_same_batch(buffer.sample(4), same.sample(4))


# --- sample

DRAWS: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    ((0,), ValueError, "batch_size: expected at least 1, got 0"),
    ((-1,), ValueError, "batch_size: expected at least 1, got -1"),
    ((2.5,), TypeError, "batch_size: expected an integer, got 2.5"),
    (("4",), TypeError, "batch_size: expected an integer, got '4'"),
    ((True,), TypeError, "batch_size: expected an integer, got True"),
    ((None,), TypeError, "batch_size: expected an integer, got None"),
    ((2**64,), ValueError, "batch_size: expected a 64-bit integer"),
    ((4, "x"), TypeError, "beta: expected a real number, got 'x'"),
    ((4, None, (1, 2)), TypeError, "out: expected a Batch, got tuple"),
    ((4, None, 5), TypeError, "out: expected a Batch, got int"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), DRAWS)
def test_sample_names_what_is_wrong(
    filled: Any, refuses: Any, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    refuses(lambda: filled.sample(*arguments), error, message)


@pytest.mark.parametrize("beta", [-0.1, np.nan, np.inf])
def test_an_exponent_of_weights_that_is_none_is_refused(beta: float, tmp_path: Path) -> None:
    buffer = vector_buffer(mujigae)
    buffer.add(np.zeros(1, np.float32), 0, 0.0, np.zeros(1, np.float32), False, False)
    before = content(buffer, tmp_path)
    with pytest.raises(ValueError, match="beta: expected a finite number of at least 0"):
        buffer.sample(4, beta)
    assert content(buffer, tmp_path) == before


@pytest.mark.parametrize("size", [2**31 + 1, 2**40, 2**62])
def test_batches_beyond_any_memory_are_refused(size: int) -> None:
    buffer = vector_buffer(mujigae)
    buffer.add(np.zeros(1, np.float32), 0, 0.0, np.zeros(1, np.float32), False, False)
    with pytest.raises(ValueError, match=r"batch_size: expected at most 2\^31"):
        buffer.sample(size)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"obs": np.zeros((5, 4, 2), np.uint8)}, ValueError, r"out\.obs: expected shape \(4, 4, 2\), got"),
        ({"obs": np.zeros((4, 4, 2))}, TypeError, r"out\.obs: expected dtype uint8, got float64"),
        ({"obs": np.zeros((2, 4, 4), np.uint8).T}, ValueError, r"out\.obs: expected a C-contiguous array"),
        ({"obs": [1]}, TypeError, r"out\.obs: expected a NumPy array, got list"),
        ({"reward": np.zeros(4)}, TypeError, r"out\.reward: expected dtype float32, got float64"),
        ({"key": np.zeros(4, np.int32)}, TypeError, r"out\.key: expected dtype int64, got int32"),
        ({"terminated": np.frombuffer(bytes(4), bool)}, ValueError, r"out\.terminated: expected a writeable"),
    ],
)
def test_a_batch_to_refill_is_checked_field_by_field(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    buffer = stacked_buffer(mujigae, num_envs=2)
    buffer.add(**good_arguments())
    out = buffer.sample(4)._replace(**changes)
    before = content(buffer, tmp_path)
    with pytest.raises(error, match=message):
        buffer.sample(4, out=out)
    assert content(buffer, tmp_path) == before


def test_a_buffer_without_a_complete_window_refuses_to_sample(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, n_step=3)
    message = "expected at least one row whose n-step window is complete, got none"
    for t in range(3):
        with pytest.raises(ValueError, match=message):
            buffer.sample(4)
        buffer.add(np.full(1, t, np.float32), 0, 0.0, np.full(1, t + 1, np.float32), False, False)
    assert buffer.sample(4).key.shape == (4,)


# --- update_priorities

PRIORITIES: list[tuple[Any, Any, type[Exception], str]] = [
    ("live", [1, 2, 3], ValueError, "priorities: expected 4 of them"),
    ("live", -np.ones(4), ValueError, r"priorities\[0\]: expected a finite number of at least 0, got -1"),
    ("live", [1, 1, np.nan, 1], ValueError, r"priorities\[2\]: expected a finite number of at least 0, got"),
    ("live", [1, 1, 1, np.inf], ValueError, r"priorities\[3\]: expected a finite number of at least 0, got"),
    ([-1], [1.0], IndexError, r"key\[0\]: expected a key .*, got -1"),
    ([2**62], [1.0], IndexError, r"key\[0\]: expected a key that was issued, got 46"),
    ([7 << 32], [1.0], IndexError, r"key\[0\]: expected a key that was issued, got"),
    ([2**31], [1.0], IndexError, r"key\[0\]: expected a key"),
    (np.array([2**63], np.uint64), [1.0], IndexError, rf"key\[0\]: expected .*, got {2**63}"),
]
TYPES: list[tuple[Any, Any, type[Exception], str]] = [
    ("live", ["a"] * 4, TypeError, "priorities: expected real numbers, got dtype <U1"),
    ("live", np.ones(4, bool), TypeError, "priorities: expected real numbers, got dtype bool"),
    ("live", np.ones(4, complex), TypeError, "priorities: expected real numbers, got dtype complex128"),
    ("live", np.ones((1, 4)), ValueError, r"priorities: expected 1 dimension\(s\), got shape \(1, 4\)"),
    ("live", 1.0, ValueError, r"priorities: expected 1 dimension\(s\), got shape \(\)"),
    ("live", RAGGED, TypeError, "priorities: expected real numbers, got list"),
    ([0.0], [1.0], TypeError, "key: expected integers, got dtype float64"),
    ([[0]], [1.0], ValueError, r"key: expected 1 dimension\(s\), got shape \(1, 1\)"),
    (RAGGED, [1.0], TypeError, "key: expected integers, got list"),
    (None, [1.0], TypeError, "key: expected integers, got dtype object"),
]


@pytest.mark.parametrize(("key", "priorities", "error", "message"), PRIORITIES)
def test_update_priorities_names_what_is_wrong(
    filled: Any, refuses: Any, key: Any, priorities: Any, error: type[Exception], message: str
) -> None:
    key = filled.sample(4).key if isinstance(key, str) else key
    refuses(lambda: filled.update_priorities(key, priorities), error, message)


@pytest.mark.parametrize(("key", "priorities", "error", "message"), TYPES)
def test_update_priorities_names_what_is_of_the_wrong_kind(
    key: Any, priorities: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    buffer = stacked_buffer(mujigae, num_envs=2)
    buffer.add(**good_arguments())
    key = buffer.sample(4).key if isinstance(key, str) else key
    before = content(buffer, tmp_path)
    with pytest.raises(error, match=message):
        buffer.update_priorities(key, priorities)
    assert content(buffer, tmp_path) == before


def test_keys_of_rows_overwritten_since_change_nothing(impl: ModuleType, tmp_path: Path) -> None:
    buffer = stacked_buffer(impl, capacity=2, num_envs=2)
    buffer.add(**good_arguments())
    stale = buffer.sample(4).key
    for _ in range(9):
        buffer.add(**good_arguments())
    before = content(buffer, tmp_path)
    assert buffer.update_priorities(stale, np.full(4, 1e9)) == 0
    assert buffer.update_priorities([], []) == 0
    assert content(buffer, tmp_path) == before


# --- construction, settings, files

SETTINGS: list[Row] = [
    ("capacity", 0, ValueError, "capacity: expected at least"),
    ("capacity", -1, ValueError, "capacity: expected at least"),
    ("capacity", 2.5, TypeError, "capacity: expected an integer, got 2.5"),
    ("capacity", "4", TypeError, "capacity: expected an integer, got '4'"),
    ("capacity", True, TypeError, "capacity: expected an integer, got True"),
    ("capacity", 2**62, ValueError, "capacity: expected"),
    ("capacity", 2**70, ValueError, "capacity: expected a 64-bit integer"),
    ("num_envs", 0, ValueError, "num_envs: expected at least 1, got 0"),
    ("num_envs", 1.5, TypeError, "num_envs: expected an integer, got 1.5"),
    ("n_step", 0, ValueError, "n_step: expected 1 to 1073741824, got 0"),
    ("n_step", 2**40, ValueError, "n_step: expected 1 to 1073741824"),
    ("n_step", "1", TypeError, "n_step: expected an integer, got '1'"),
    ("gamma", 1.5, ValueError, "gamma: expected a number from 0 to 1, got 1.5"),
    ("gamma", np.nan, ValueError, "gamma: expected a number from 0 to 1, got nan"),
    ("gamma", None, TypeError, "gamma: expected a real number, got None"),
    ("alpha", -1.0, ValueError, "alpha: expected a finite number of at least 0, got -1"),
    ("alpha", [0.5], TypeError, r"alpha: expected a real number, got \[0.5\]"),
    ("beta", np.inf, ValueError, "beta: expected a finite number of at least 0, got inf"),
    ("eps", -1e-6, ValueError, "eps: expected a finite number of at least 0, got"),
    ("eps", np.nan, ValueError, "eps: expected a finite number of at least 0, got nan"),
    ("stratified", "yes", TypeError, "stratified: expected True or False, got 'yes'"),
    ("compress", 1, TypeError, "compress: expected True or False, got 1"),
    ("validate", None, TypeError, "validate: expected True or False, got None"),
    ("frame_stack", 3, ValueError, "frame_stack: expected axis 0 of observation_space to be a multiple of 3"),
    ("frame_stack", 0, ValueError, "frame_stack: expected 1 to 255"),
    ("frame_stack", 2.0, TypeError, "frame_stack: expected an integer, got 2.0"),
    ("frame_stack", {"z": 4}, ValueError, r"frame_stack: expected names among .*, got \['z'\]"),
    ("seed", -1, ValueError, "seed: expected None, an integer of at least 0 or a SeedSequence, got -1"),
    ("seed", "x", TypeError, "seed: expected None, an integer of at least 0 or a SeedSequence, got 'x'"),
    ("seed", 1.5, TypeError, "seed: expected None, an integer of at least 0 or a SeedSequence, got 1.5"),
]


@pytest.mark.parametrize(("argument", "value", "error", "message"), SETTINGS)
def test_constructors_name_what_is_wrong(
    argument: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        stacked_buffer(mujigae, **{argument: value})
    assert type(caught.value) is error


SETTERS = [row for row in SETTINGS if row[0] in ("n_step", "gamma", "alpha", "beta")]


@pytest.mark.parametrize(("argument", "value", "error", "message"), SETTERS)
def test_setters_name_what_is_wrong(
    argument: str, value: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    buffer = stacked_buffer(mujigae, num_envs=2)
    buffer.add(**good_arguments())
    before = content(buffer, tmp_path)
    with pytest.raises(error, match=message):
        setattr(buffer, argument, value)
    assert content(buffer, tmp_path) == before


def test_spaces_that_are_none_are_named() -> None:
    with pytest.raises(TypeError, match="observation_space: expected a space with shape and dtype"):
        mujigae.ReplayBuffer(10, 5, ACTION)
    with pytest.raises(TypeError, match=r"observation_space: expected a space with shape and dtype, .*int64"):
        mujigae.ReplayBuffer(10, np.int64, ACTION)
    with pytest.raises(TypeError, match=r"observation_space\[0\]: expected a space .* got 3"):
        mujigae.ReplayBuffer(10, (3, np.float32), ACTION)
    with pytest.raises(TypeError, match="action_space: expected a NumPy dtype, got 'floaty'"):
        mujigae.ReplayBuffer(10, VECTOR, ((3,), "floaty"))
    with pytest.raises(TypeError, match=r"a: expected a native numeric dtype, got object"):
        mujigae.ReplayBuffer(10, {"a": ((2,), object)}, ACTION)
    with pytest.raises(TypeError, match="action_space: expected one array"):
        mujigae.ReplayBuffer(10, VECTOR, {"a": VECTOR, "b": VECTOR})


@pytest.mark.parametrize("path", [None, 5, ["x"]])
def test_paths_that_are_none_are_named(path: Any) -> None:
    for call in (vector_buffer(mujigae).save, mujigae.load):
        with pytest.raises(TypeError, match=r"path: expected a str or os\.PathLike, got"):
            call(path)
