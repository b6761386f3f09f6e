"""Replay buffers: what goes in comes out, at every boundary."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import (
    ACTION,
    VECTOR,
    Space,
    Stream,
    add_episode,
    add_stacks,
    assert_same_batch,
    drawn_rows,
    stacked_buffer,
    vector_buffer,
)

import mujigae

# --- episodes


def test_truncated_episode_keeps_bootstrap_discount(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, gamma=0.5, n_step=3)
    add_episode(buffer, [1.0, 2.0, 4.0, 8.0], terminated=False)
    rows = drawn_rows(buffer)
    assert rows[2.0] == (4.0 + 0.5 * 8.0, 4.0, 0.25, False)
    assert rows[3.0] == (8.0, 4.0, 0.5, False)


def test_terminated_episode_does_not_bootstrap(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, gamma=0.5, n_step=3)
    add_episode(buffer, [1.0, 2.0, 4.0, 8.0], terminated=True)
    rows = drawn_rows(buffer)
    assert rows[0.0] == (1.0 + 1.0 + 1.0, 3.0, 0.125, False)
    assert [rows[t][2:] for t in (1.0, 2.0, 3.0)] == [(0.0, True)] * 3


def test_both_flags_at_once_mean_terminated(impl: ModuleType) -> None:
    buffer = vector_buffer(impl)
    buffer.add(np.zeros(1, np.float32), 0, 1.0, np.ones(1, np.float32), True, True)
    batch = buffer.sample(4)
    assert (batch.discount == 0.0).all()
    assert batch.terminated.all()


def test_one_step_episodes_are_drawn(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=5, n_step=4)
    for t in range(20):
        add_episode(buffer, [float(t)], terminated=t % 2 == 0, start=10.0 * t)
        assert buffer.check_valid()
    rows = drawn_rows(buffer)
    assert {obs: row[1] for obs, row in rows.items()} == {10.0 * t: 10.0 * t + 1 for t in range(15, 20)}


def test_rows_wait_until_their_window_is_complete(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, n_step=3)
    lengths = []
    for t in range(4):
        buffer.add(np.array([t], np.float32), 0, 0.0, np.array([t + 1], np.float32), False, t == 3)
        lengths.append(len(buffer))
    assert lengths == [0, 0, 1, 4]


def test_a_silent_reset_starts_a_new_episode_and_is_counted(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, gamma=0.5, n_step=3)
    for t in (0.0, 1.0, 50.0, 51.0, 52.0):
        buffer.add(np.array([t], np.float32), 0, 1.0, np.array([t + 1], np.float32), False, False)
    assert buffer.num_silent_boundaries == 1
    rows = drawn_rows(buffer)
    assert rows[0.0] == (1.5, 2.0, 0.25, False)  # bootstraps from its own next_obs, not from the reset
    assert rows[1.0] == (1.0, 2.0, 0.5, False)


def test_many_silent_resets_warn_once(impl: ModuleType) -> None:
    buffer = vector_buffer(impl)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for t in range(0, 80, 2):
            buffer.add(np.array([t], np.float32), 0, 1.0, np.array([t + 1], np.float32), False, False)
    assert [warning.category for warning in caught] == [UserWarning]
    assert "new episode" in str(caught[0].message)


def add_games(buffer: Any, num_games: int, **changes: Any) -> list[str]:
    """Games of three steps, each followed by the step in which Gymnasium resets: what is warned of.

    changes: of a row after an end: its reward, move, truncated; or `fresh`, the game that begins where none ended.
    """
    obs = 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for game in range(num_games):
            for step in range(4):
                is_reset = step == 0 and game > 0
                if is_reset and changes.get("fresh") == game:
                    obs = 70.0
                next_obs = obs + (changes.get("move", 10) if is_reset else 1)
                reward = changes.get("reward", 0.0) if is_reset else 1.0
                truncated = is_reset and changes.get("truncated", False)
                row = np.float32([[obs]]), np.array([0]), np.array([reward]), np.float32([[next_obs]])
                buffer.add(*row, np.array([step == 3]), np.array([truncated]))
                obs = next_obs
    return [str(warning.message) for warning in caught]


def test_reset_steps_of_gymnasium_warn_once(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=5)
    assert add_games(buffer, 10) == []
    buffer.clear()
    (message,) = add_games(buffer, 40)
    assert "AutoresetMode.NEXT_STEP" in message
    assert "RecordTransitions" in message
    assert buffer.num_silent_boundaries == 0


@pytest.mark.parametrize("changes", [{"reward": 0.5}, {"move": 0}, {"fresh": 9}, {"truncated": True}])
def test_starts_that_can_be_something_else_do_not_warn(impl: ModuleType, changes: dict[str, Any]) -> None:
    assert add_games(vector_buffer(impl), 40, **changes) == []
    assert add_games(vector_buffer(impl, validate=False), 40) == []


def test_without_validation_the_caller_vouches(impl: ModuleType) -> None:
    buffer = stacked_buffer(impl, validate=False)
    add_stacks(buffer, 10)
    add_stacks(buffer, 10, seed=1)
    assert buffer.num_silent_boundaries == 0
    assert buffer.check_valid()


# --- observations


def test_stacks_never_cross_an_episode_or_the_write_head(impl: ModuleType) -> None:
    rng = np.random.default_rng(5)
    buffer = stacked_buffer(impl, capacity=8)
    stream = Stream(rng, 4)
    truth: dict[int, tuple[Any, Any]] = {}
    for t in range(60):
        obs, next_obs = stream.step()
        truth[t] = (obs, next_obs)
        ends = rng.random() < 0.2
        buffer.add(obs, t, 0.0, next_obs, False, ends)
        if ends:
            stream.reset("zeros")
        batch = buffer.sample(16)
        for i, action in enumerate(batch.action.tolist()):
            assert action > t - 8
            assert np.array_equal(batch.obs[i], truth[action][0])
            assert np.array_equal(batch.next_obs[i], truth[action][1])


def test_rgb_stacks_roll_by_three_planes(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(10, Space((6, 2), np.uint8), ACTION, frame_stack=2, seed=0)
    frames = np.arange(36, dtype=np.uint8).reshape(6, 3, 2)
    for t in range(4):
        buffer.add(
            np.concatenate(frames[t : t + 2]), t, 0.0, np.concatenate(frames[t + 1 : t + 3]), False, False
        )
    batch = buffer.sample(20)
    for i, t in enumerate(batch.action.tolist()):
        assert np.array_equal(batch.next_obs[i], np.concatenate(frames[t + 1 : t + 3]))


def test_nested_spaces_come_back_nested(impl: ModuleType) -> None:
    space = {"image": Space((2, 3), np.uint8), "inner": ({"x": ((), np.float64)}, Space((2,), np.int16))}
    buffer = impl.ReplayBuffer(
        10, space, Space((2,), np.float32), num_envs=2, frame_stack={"image": 2}, seed=0
    )

    def obs(t: int) -> Any:
        image = np.stack([np.stack([np.full(3, t, np.uint8), np.full(3, t + 1, np.uint8)])] * 2)
        return {"image": image, "inner": ({"x": np.full(2, t / 2)}, np.full((2, 2), -t, np.int16))}

    for t in range(5):
        flags = np.zeros(2, bool)
        buffer.add(obs(t), np.full((2, 2), t, np.float32), np.zeros(2), obs(t + 1), flags, flags)
    batch = buffer.sample(7)
    t = batch.action[:, 0]
    assert np.array_equal(batch.obs["inner"][0]["x"], t / 2)
    assert np.array_equal(batch.next_obs["inner"][1][:, 0], -(t + 1))
    assert np.array_equal(batch.obs["image"][:, 1, 0], t + 1)


def test_extend_is_add_step_by_step(impl: ModuleType) -> None:
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(9, 3, 1)).astype(np.float32)
    truncated = rng.random((8, 3)) < 0.3
    arguments = (
        obs[:-1],
        np.arange(24).reshape(8, 3),
        np.ones((8, 3)),
        obs[1:],
        np.zeros((8, 3), bool),
        truncated,
    )
    one, two = (impl.ReplayBuffer(20, VECTOR, ACTION, num_envs=3, n_step=2, seed=0) for _ in range(2))
    one.extend(*arguments)
    for t in range(8):
        two.add(*(argument[t] for argument in arguments))
    assert_same_batch(one.sample(50), two.sample(50))


# --- batches


def test_a_batch_in_hand_never_changes() -> None:
    buffer = stacked_buffer(mujigae, capacity=50)
    stream = add_stacks(buffer, 50)
    batch = buffer.sample(8)
    view, copies = batch.obs[1:3], [np.copy(field) for field in batch[:9]]
    view_copy = view.copy()
    for t in range(100):
        obs, next_obs = stream.step()
        buffer.add(obs, t, 1.0, next_obs, False, False)
        buffer.sample(8)
    assert all(np.array_equal(a, b) for a, b in zip(batch[:9], copies, strict=True))
    del batch
    for _ in range(10):
        buffer.sample(8)
    assert np.array_equal(view, view_copy)


def test_memory_that_was_let_go_is_recycled() -> None:
    buffer = stacked_buffer(mujigae)
    add_stacks(buffer, 50)
    addresses = {buffer.sample(8).obs.ctypes.data for _ in range(50)}
    assert len(addresses) <= 4


def test_out_is_refilled_in_place(impl: ModuleType) -> None:
    one, two = stacked_buffer(impl), stacked_buffer(impl)
    for buffer in (one, two):
        add_stacks(buffer, 50)
    out = one.sample(8)
    two.sample(8)
    address = out.obs.ctypes.data
    assert one.sample(8, out=out) is out
    assert out.obs.ctypes.data == address
    assert_same_batch(out, two.sample(8))


def test_an_out_of_another_size_is_refused_and_untouched() -> None:
    buffer = stacked_buffer(mujigae)
    add_stacks(buffer, 50)
    out = buffer.sample(8)
    before = out.obs.copy()
    with pytest.raises(ValueError, match=r"out\.obs: expected shape \(9, 4, 2\)"):
        buffer.sample(9, out=out)
    assert np.array_equal(out.obs, before)


def test_fields_have_the_documented_types(impl: ModuleType) -> None:
    buffer = stacked_buffer(impl)
    add_stacks(buffer, 10)
    batch = buffer.sample(3)
    assert [(field.dtype.name, field.shape) for field in batch[:9]] == [
        ("uint8", (3, 4, 2)),
        ("int64", (3,)),
        ("float32", (3,)),
        ("uint8", (3, 4, 2)),
        ("float32", (3,)),
        ("bool", (3,)),
        ("float32", (3,)),
        ("int64", (3,)),
        ("float64", (3,)),
    ]
    assert all(field.flags.c_contiguous for field in batch[:9])
    assert batch.extras == {}


def test_uniform_batches_have_weight_one(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(10, VECTOR, ACTION, seed=0)
    add_episode(buffer, [0.0] * 5, terminated=False)
    assert (buffer.sample(9, beta=0.5).weight == 1.0).all()
