"""JAX: a batch's arrays are taken over without a copy, stay as they are as long as they are held, and learn."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from example_runs import output_of  # noqa: E402
from jax import numpy as jnp  # noqa: E402

import mujigae  # noqa: E402
from mujigae.integrations.jax import to_jax  # noqa: E402

FIELDS = ("obs", "action", "reward", "next_obs", "discount", "terminated", "weight")


def filled(obs_dtype: Any = np.float32, action_dtype: Any = np.int32, **options: Any) -> mujigae.ReplayBuffer:
    """A buffer of 500 rows in episodes of ten."""
    spaces = ((3, 5), obs_dtype), ((), action_dtype)
    buffer = mujigae.PrioritizedReplayBuffer(1000, *spaces, seed=0, **options)
    for t in range(500):
        obs, next_obs = (np.full((1, 3, 5), i % 256).astype(obs_dtype) for i in (t, t + 1))
        ends = np.array([t % 10 == 9])
        buffer.add(obs, np.array([t]), np.array([float(t)]), next_obs, ends, np.array([False]))
    return buffer


def address(array: Any) -> int:
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.unsafe_buffer_pointer())


@pytest.mark.parametrize("batch_size", [1, 7, 32, 257])
@pytest.mark.parametrize("obs_dtype", [np.uint8, np.int16, np.float32, bool])
def test_arrays_lie_where_those_of_the_batch_lie(batch_size: int, obs_dtype: Any) -> None:
    batch = filled(obs_dtype).sample(batch_size)
    arrays = to_jax(batch)
    for name in FIELDS:
        theirs, ours = getattr(batch, name), getattr(arrays, name)
        assert isinstance(ours, jax.Array)
        assert address(ours) == address(theirs), name
        np.testing.assert_array_equal(ours, theirs)


def test_arrays_of_sequences_dicts_and_extras_lie_where_those_of_the_batch_lie() -> None:
    space = {"image": ((2, 2), np.uint8), "speed": ((1,), np.float32)}
    extras = {"log_prob": ((), np.float32)}
    buffer = mujigae.ReplayBuffer(100, space, ((), np.int32), extras=extras, seed=0)
    for t in range(60):
        obs = {"image": np.full((1, 2, 2), t, np.uint8), "speed": np.full((1, 1), t, np.float32)}
        next_obs = {name: array + 1 for name, array in obs.items()}
        no = np.array([False])
        given = {"log_prob": np.array([t], np.float32)}
        buffer.add(obs, np.array([t]), np.array([0.0]), next_obs, no, no, extras=given)
    for batch in (buffer.sample(9), buffer.sample_sequences(9, length=4, burn_in=2)):
        arrays = to_jax(batch)
        pairs = (
            (arrays.obs["image"], batch.obs["image"]),
            (arrays.obs["speed"], batch.obs["speed"]),
            (arrays.extras["log_prob"], batch.extras["log_prob"]),
            (arrays.weight, batch.weight),
        )
        assert [address(ours) for ours, _ in pairs] == [address(theirs) for _, theirs in pairs]


def test_key_and_probability_keep_their_64_bits() -> None:
    batch = filled().sample(8)
    arrays = to_jax(batch)
    assert (arrays.key is batch.key, arrays.probability is batch.probability) == (True, True)


def test_actions_of_64_bits_are_cast_unless_jax_is_told_to_keep_them() -> None:
    batch = filled(action_dtype=np.int64).sample(8)
    cast = to_jax(batch).action
    assert cast.dtype == np.int32
    np.testing.assert_array_equal(cast, batch.action)
    with jax.enable_x64(True):
        kept = to_jax(batch).action
    assert (kept.dtype, address(kept)) == (np.int64, address(batch.action))


def test_memory_is_not_used_again_while_an_array_lies_in_it() -> None:
    buffer = filled()
    held = to_jax(buffer.sample(64)).reward
    before, where = np.array(held), address(held)
    gc.collect()
    others = [to_jax(buffer.sample(64)).reward for _ in range(50)]
    assert where not in {address(other) for other in others}
    np.testing.assert_array_equal(held, before)


def test_priorities_and_rows_may_be_jax_arrays() -> None:
    buffer = filled()
    batch = to_jax(buffer.sample(16))
    error = jax.jit(lambda reward: jnp.abs(reward) + 1)(batch.reward)
    assert buffer.update_priorities(batch.key, error) == 16
    no = jnp.array([False])
    obs = jnp.zeros((1, 3, 5))
    buffer.add(obs, jnp.array([1]), jnp.array([2.0]), obs, no, no)
    assert len(buffer) == 501


def test_batch_is_put_on_a_device() -> None:
    batch = filled().sample(8)
    (device,) = jax.devices("cpu")[:1]
    arrays = to_jax(batch, device)
    assert arrays.obs.devices() == {device}
    np.testing.assert_array_equal(arrays.obs, batch.obs)


def test_batch_of_torch_tensors_is_refused() -> None:
    pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"batch: expected NumPy arrays, .* got Tensor"):
        to_jax(filled(device="cpu").sample(4))


@pytest.mark.learns
def test_example_learns_cartpole() -> None:
    assert float(output_of("jax_dqn").split()[-1]) > 150
