"""Sequences around drawn rows: right at every boundary of an episode, at the oldest row and at the newest."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import ACTION, VECTOR, add_stacks, assert_same_batch, stacked_buffer
from test_rows import EXTRAS, OBS, filled

import mujigae
from mujigae.replay import reference


def counting(
    module: ModuleType, num_rows: int, ends: dict[int, str], capacity: int = 50, **arguments: Any
) -> Any:
    """Row t has obs, action and reward t; `ends` says which are terminated or truncated."""
    options = {"seed": 0, "extras": {"twice": ((), np.int32)}, "gamma": 0.5, **arguments}
    buffer = module.PrioritizedReplayBuffer(capacity, ((), np.float64), ((), np.int64), **options)
    for t in range(num_rows):
        end = ends.get(t, "")
        flags = np.array([end == "terminated"]), np.array([end == "truncated"])
        row = np.array([float(t)]), np.array([t]), np.array([float(t)]), np.array([t + 1.0])
        buffer.add(*row, *flags, extras={"twice": np.array([2 * t], np.int32)})
    return buffer


def drawn_at(buffer: Any, start: int, length: int, burn_in: int) -> Any:
    """The sequence around row `start`, as a batch of its first axis."""
    for _ in range(200):
        batch = buffer.sample_sequences(16, length, burn_in)
        held = np.flatnonzero(batch.mask[:, burn_in] & (batch.action[:, burn_in] == start))
        if len(held):
            fields = {name: getattr(batch, name)[held[0]] for name in batch._fields if name != "extras"}
            return batch._replace(**fields, extras={"twice": batch.extras["twice"][held[0]]})
    raise AssertionError(f"row {start} was never drawn")


def test_a_sequence_inside_an_episode_is_its_rows_in_order(impl: ModuleType) -> None:
    one = drawn_at(counting(impl, 20, {}), start=9, length=3, burn_in=2)
    np.testing.assert_array_equal(one.obs, [7.0, 8.0, 9.0, 10.0, 11.0, 12.0])
    np.testing.assert_array_equal(one.action, [7, 8, 9, 10, 11])
    np.testing.assert_array_equal(one.reward, np.float32([7, 8, 9, 10, 11]))
    np.testing.assert_array_equal(one.discount, np.float32([0.5] * 5))
    np.testing.assert_array_equal(one.extras["twice"], [14, 16, 18, 20, 22])
    assert one.mask.all()
    assert not one.is_first.any()
    assert (one.reward.dtype, one.discount.dtype, one.mask.dtype) == (np.float32, np.float32, np.bool_)


def test_burn_in_stops_where_the_episode_begins(impl: ModuleType) -> None:
    one = drawn_at(counting(impl, 20, {5: "truncated"}), start=7, length=2, burn_in=4)
    np.testing.assert_array_equal(one.mask, [False, False, False, True, True, True])
    np.testing.assert_array_equal(one.is_first, [False, False, False, True, False, False])
    np.testing.assert_array_equal(one.obs, [0.0, 0.0, 0.0, 6.0, 7.0, 8.0, 9.0])
    np.testing.assert_array_equal(one.reward[:3], 0.0)
    np.testing.assert_array_equal(one.discount, np.float32([0, 0, 0, 0.5, 0.5, 0.5]))


@pytest.mark.parametrize(("end", "discount"), [("terminated", 0.0), ("truncated", 0.5)])
def test_a_sequence_ends_with_its_episode_and_the_successor_stands_behind(
    impl: ModuleType, end: str, discount: float
) -> None:
    one = drawn_at(counting(impl, 20, {6: end}), start=5, length=4, burn_in=1)
    np.testing.assert_array_equal(one.mask, [True, True, True, False, False])
    np.testing.assert_array_equal(one.obs, [4.0, 5.0, 6.0, 7.0, 0.0, 0.0])
    np.testing.assert_array_equal(one.discount, np.float32([0.5, 0.5, discount, 0, 0]))


def test_rows_that_are_not_there_yet_are_masked(impl: ModuleType) -> None:
    one = drawn_at(counting(impl, 10, {}), start=8, length=5, burn_in=0)
    np.testing.assert_array_equal(one.mask, [True, True, False, False, False])
    np.testing.assert_array_equal(one.obs, [8.0, 9.0, 10.0, 0.0, 0.0, 0.0])


def test_rows_that_were_evicted_are_masked(impl: ModuleType) -> None:
    buffer = counting(impl, 20, {}, capacity=6)
    oldest = int(min(buffer.sample(200).action))
    held = 20 - len(next(buffer.episodes()).key)
    one = drawn_at(buffer, start=oldest, length=1, burn_in=5)
    np.testing.assert_array_equal(one.mask, [oldest - 5 + i >= held for i in range(6)])
    assert not one.is_first.any()


def test_the_oldest_row_is_known_to_begin_an_episode_or_not(impl: ModuleType) -> None:
    buffer = counting(impl, 5, {})
    assert drawn_at(buffer, start=0, length=1, burn_in=2).is_first[2]
    buffer = counting(impl, 20, dict.fromkeys(range(1, 20, 2), "terminated"), capacity=6)
    for start in range(14, 20):
        assert drawn_at(buffer, start=start, length=1, burn_in=0).is_first[0] == (start % 2 == 0)
    buffer.clear()
    buffer.add(
        np.array([7.0]),
        np.array([7]),
        np.zeros(1),
        np.array([8.0]),
        np.zeros(1, bool),
        np.zeros(1, bool),
        extras={"twice": np.zeros(1, np.int32)},
    )
    assert drawn_at(buffer, start=7, length=1, burn_in=1).is_first[1]


def test_every_start_that_sample_draws_is_drawn(impl: ModuleType) -> None:
    buffer = counting(impl, 30, {4: "terminated", 5: "truncated", 17: "terminated"}, n_step=3)
    starts = set(buffer.sample(600).key.tolist())
    assert len(starts) == len(buffer)
    drawn = set()
    for _ in range(20):
        drawn |= set(buffer.sample_sequences(64, 5, 3).key.tolist())
    assert drawn == starts


def test_weights_keys_and_probabilities_are_those_of_the_drawn_rows(impl: ModuleType) -> None:
    buffer, other = (counting(impl, 30, {7: "terminated"}) for _ in range(2))
    for one in (buffer, other):
        key = np.unique(one.sample(500).key)
        one.update_priorities(key, np.arange(1.0, len(key) + 1))
    batch, sampled = buffer.sample_sequences(12, 4, 2, beta=0.7), other.sample(12, beta=0.7)
    for name in ("weight", "key", "probability"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(sampled, name))
    assert buffer.update_priorities(batch.key, np.ones(12)) == 12


@pytest.mark.parametrize(
    ("length", "burn_in", "error"),
    [
        (0, 0, "length: expected at least 1"),
        (1, -1, "burn_in: expected at least 0"),
        (2**40, 0, "length: expected"),
    ],
)
def test_sequences_of_impossible_lengths_are_refused(
    impl: ModuleType, length: int, burn_in: int, error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        counting(impl, 3, {}).sample_sequences(2, length, burn_in)
    with pytest.raises(ValueError, match="batch_size"):
        counting(impl, 3, {}).sample_sequences(0, 1)
    with pytest.raises(ValueError, match="sample: expected at least one row"):
        counting(impl, 0, {}).sample_sequences(2, 1)
    with pytest.raises(TypeError, match="burn_in"):
        counting(impl, 3, {}).sample_sequences(2, 1, 1.5)


@settings(max_examples=60, deadline=None)
@given(
    num_rows=st.integers(1, 40),
    capacity=st.integers(1, 12),
    ends=st.dictionaries(st.integers(0, 40), st.sampled_from(["terminated", "truncated"])),
    n_step=st.integers(1, 3),
    shape=st.tuples(st.integers(1, 6), st.integers(0, 5)),
)
def test_both_engines_give_the_same_sequences(
    num_rows: int, capacity: int, ends: dict[int, str], n_step: int, shape: tuple[int, int]
) -> None:
    pair = [counting(module, num_rows, ends, capacity, n_step=n_step) for module in (mujigae, reference)]
    if len(pair[0]) > 0:
        assert_same_batch(*(buffer.sample_sequences(9, *shape) for buffer in pair))
        assert_same_batch(*(buffer.sample(5) for buffer in pair))  # the same random numbers afterwards


@pytest.mark.parametrize("compress", [False, True])
def test_stacks_and_dicts_of_both_engines_are_the_same(compress: bool) -> None:
    pair = [filled(module, num_steps=30, compress=compress) for module in (mujigae, reference)]
    a, b = (buffer.sample_sequences(20, 5, 3) for buffer in pair)
    assert_same_batch(a, b)
    assert set(a.obs) == set(OBS)
    assert set(a.extras) == set(EXTRAS)
    assert a.obs["image"].shape == (20, 9, 2, 3, 2)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_sequences_are_the_same_after_saving_reopening_and_from_compressed_frames(
    tmp_path: Path, prefetch: int
) -> None:
    live = stacked_buffer(mujigae, capacity=20, path=tmp_path / "live", prefetch=prefetch)
    plain = stacked_buffer(mujigae, capacity=20)
    for buffer in (live, plain):
        add_stacks(buffer, 50)
        buffer.save(tmp_path / "saved")
        copy = mujigae.load(tmp_path / "saved")
        assert_same_batch(copy.sample_sequences(8, 4, 4), buffer.sample_sequences(8, 4, 4))
    del live
    assert_same_batch(
        mujigae.load(tmp_path / "live").sample_sequences(8, 4, 4), plain.sample_sequences(8, 4, 4)
    )


def test_sequences_as_tensors() -> None:
    torch = pytest.importorskip("torch")
    buffer, plain = (
        mujigae.ReplayBuffer(20, VECTOR, ACTION, seed=0, device=device) for device in ("cpu", None)
    )
    for t in range(10):
        for one in (buffer, plain):
            obs = np.full(VECTOR.shape, t, VECTOR.dtype)
            one.add(obs, np.full(ACTION.shape, t, ACTION.dtype), 0.0, obs + 1, t == 4, False)
    batch, expected = buffer.sample_sequences(6, 3, 1), plain.sample_sequences(6, 3, 1)
    for name, got, wanted in zip(batch._fields, batch, expected, strict=True):
        if name != "extras":
            assert isinstance(got, np.ndarray) == (name in ("key", "probability"))
            assert isinstance(got, np.ndarray | torch.Tensor)
            np.testing.assert_array_equal(np.asarray(got), wanted)
