"""Replay buffers: what goes in comes out, at every boundary, and an error changes nothing."""

from __future__ import annotations

import threading
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, Space, Stream, add_episode, assert_same_batch, drawn_rows

import mujigae


def vector_buffer(impl: ModuleType, capacity: int = 100, **arguments: Any) -> Any:
    return impl.PrioritizedReplayBuffer(capacity, VECTOR, ACTION, **{"seed": 0, **arguments})


def stacked_buffer(impl: ModuleType, capacity: int = 100, **arguments: Any) -> Any:
    space = Space((4, 2), np.uint8)
    return impl.PrioritizedReplayBuffer(capacity, space, ACTION, **{"frame_stack": 4, "seed": 0, **arguments})


def add_stacks(buffer: Any, num_steps: int, seed: int = 0) -> Stream:
    stream = Stream(np.random.default_rng(seed), 4)
    for t in range(num_steps):
        obs, next_obs = stream.step()
        buffer.add(obs, t, 1.0, next_obs, False, False)
    return stream


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


def test_without_validation_the_caller_vouches(impl: ModuleType) -> None:
    buffer = stacked_buffer(impl, validate=False)
    add_stacks(buffer, 10)
    add_stacks(buffer, 10, seed=1)
    assert buffer.num_silent_boundaries == 0
    assert buffer.check_valid()


# --- eviction, capacity, keys


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 7, 8, 9])
def test_a_full_buffer_holds_exactly_its_newest_rows(impl: ModuleType, capacity: int) -> None:
    buffer = vector_buffer(impl, capacity=capacity, n_step=2)
    for t in range(30):
        buffer.add(np.array([t], np.float32), t, float(t), np.array([t + 1], np.float32), False, False)
        assert len(buffer) == min(t, capacity)
        assert buffer.check_valid()
    assert set(drawn_rows(buffer)) == {float(t) for t in range(29 - capacity, 29)}


def test_capacity_is_shared_out_to_the_row(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=10, num_envs=4)
    for t in range(20):
        obs = np.full((4, 1), t, np.float32)
        buffer.add(obs, np.arange(4), np.zeros(4), obs + 1, np.zeros(4, bool), np.zeros(4, bool))
    assert len(buffer) == 10
    actions = [buffer.sample(64).action for _ in range(30)]
    assert np.bincount(np.concatenate(actions)).tolist() == pytest.approx([576, 576, 384, 384], rel=0.2)


def test_capacity_below_num_envs_is_refused(impl: ModuleType) -> None:
    with pytest.raises(ValueError, match="capacity: expected at least num_envs = 4, got 3"):
        vector_buffer(impl, capacity=3, num_envs=4)


def test_late_priorities_of_overwritten_rows_are_ignored_and_counted(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=4)
    add_episode(buffer, [0.0] * 4, terminated=False)
    old = buffer.sample(8)
    add_episode(buffer, [0.0] * 3, terminated=False, start=10.0)
    survivors = int(np.sum(old.obs[:, 0] == 3.0))
    assert buffer.update_priorities(old.key, np.full(8, 100.0)) == survivors
    assert buffer.check_valid()


def test_keys_survive_clear_as_dead(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=4)
    add_episode(buffer, [0.0] * 4, terminated=False)
    key = buffer.sample(8).key
    buffer.clear()
    assert len(buffer) == 0
    add_episode(buffer, [0.0] * 2, terminated=False)
    assert buffer.update_priorities(key, np.full(8, 9.0)) == 0
    assert buffer.max_priority == 1.0


@pytest.mark.parametrize("key", [-1, 7, 1 << 40, 1 << 62])
def test_keys_that_were_never_issued_are_index_errors(impl: ModuleType, key: int) -> None:
    buffer = vector_buffer(impl, capacity=4)
    add_episode(buffer, [0.0] * 3, terminated=False)
    good = buffer.sample(1).key[0]
    with pytest.raises(IndexError, match=r"key\[1\]: expected a key"):
        buffer.update_priorities([good, key], [5.0, 5.0])
    assert buffer.max_priority == 1.0


def test_of_duplicate_keys_the_last_wins_and_each_is_counted(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0)
    add_episode(buffer, [0.0] * 2, terminated=False)
    batch = buffer.sample(16)
    first = batch.key[batch.action == 0][0]
    second = batch.key[batch.action == 1][0]
    assert buffer.update_priorities([first, first, second], [9.0, 0.0, 1.0]) == 3
    assert (buffer.sample(50).action == 1).all()


# --- priorities


def test_new_rows_get_the_largest_priority_ever_given(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0, beta=1.0)
    add_episode(buffer, [0.0], terminated=False)
    assert buffer.max_priority == 1.0
    buffer.update_priorities(buffer.sample(1).key, [4.0])
    buffer.update_priorities(buffer.sample(1).key, [1.0])
    add_episode(buffer, [0.0], terminated=False, start=10.0)
    batch = buffer.sample(64)
    weights = dict(zip(batch.obs[:, 0].tolist(), batch.weight.tolist(), strict=True))
    assert weights == {0.0: 1.0, 10.0: 0.25}


def test_weights_are_the_papers_divided_by_the_batch_maximum(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=0.5, beta=0.7, eps=0.01)
    add_episode(buffer, [0.0] * 6, terminated=False)
    batch = buffer.sample(200)
    by_action = dict(zip(batch.action.tolist(), batch.key.tolist(), strict=True))
    priorities = np.array([0.1, 0.5, 1.0, 2.0, 3.0, 9.0])
    buffer.update_priorities([by_action[a] for a in range(6)], priorities)
    leaves = (priorities + 0.01) ** 0.5
    batch = buffer.sample(64)
    weights = (6 * leaves[batch.action] / leaves.sum()) ** -0.7
    np.testing.assert_allclose(batch.weight, weights / weights.max(), rtol=1e-6)
    assert batch.weight.max() == 1.0


def test_changing_alpha_rewrites_the_leaves_from_raw_priorities(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0, beta=1.0)
    add_episode(buffer, [0.0] * 2, terminated=False)
    batch = buffer.sample(32)
    buffer.update_priorities([batch.key[batch.action == 0][0], batch.key[batch.action == 1][0]], [1.0, 16.0])
    buffer.alpha = 0.5
    assert sorted(set(buffer.sample(64).weight.tolist())) == [0.25, 1.0]
    assert buffer.check_valid()


def test_all_zero_priorities_are_uniform_with_alpha_zero_and_refused_without(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0)
    add_episode(buffer, [0.0] * 4, terminated=False)
    keys = np.unique(buffer.sample(200).key)
    buffer.update_priorities(keys, np.zeros(len(keys)))
    with pytest.raises(ValueError, match="every leaf is zero"):
        buffer.sample(4)
    buffer.alpha = 0.0
    assert set(buffer.sample(200).action.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_bad_priorities_change_nothing(impl: ModuleType, bad: float) -> None:
    buffer, same = (vector_buffer(impl) for _ in range(2))
    for b in (buffer, same):
        add_episode(b, [0.0] * 5, terminated=False)
    batch = buffer.sample(3)
    same.sample(3)
    with pytest.raises(ValueError, match=r"priorities\[2\]: expected a finite number of at least 0"):
        buffer.update_priorities(batch.key, [7.0, 7.0, bad])
    assert buffer.max_priority == 1.0
    assert_same_batch(buffer.sample(9), same.sample(9))


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
    view, copies = batch.obs[1:3], [np.copy(field) for field in batch]
    view_copy = view.copy()
    for t in range(100):
        obs, next_obs = stream.step()
        buffer.add(obs, t, 1.0, next_obs, False, False)
        buffer.sample(8)
    assert all(np.array_equal(a, b) for a, b in zip(batch, copies, strict=True))
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
    assert [(field.dtype.name, field.shape) for field in batch] == [
        ("uint8", (3, 4, 2)),
        ("int64", (3,)),
        ("float32", (3,)),
        ("uint8", (3, 4, 2)),
        ("float32", (3,)),
        ("bool", (3,)),
        ("float32", (3,)),
        ("int64", (3,)),
    ]
    assert all(field.flags.c_contiguous for field in batch)


def test_uniform_batches_have_weight_one(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(10, VECTOR, ACTION, seed=0)
    add_episode(buffer, [0.0] * 5, terminated=False)
    assert (buffer.sample(9, beta=0.5).weight == 1.0).all()


# --- bad input


def good_arguments() -> dict[str, Any]:
    obs = np.zeros((2, 4, 2), np.uint8)
    flags = np.zeros(2, bool)
    return {
        "obs": obs,
        "action": np.zeros(2, np.int64),
        "reward": np.zeros(2),
        "next_obs": obs.copy(),
        "terminated": flags,
        "truncated": flags.copy(),
    }


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        (
            "obs",
            np.zeros((2, 4, 2)),
            TypeError,
            r"obs: expected dtype uint8 \(observations are never cast\), got float64",
        ),
        (
            "obs",
            np.zeros((2, 3, 2), np.uint8),
            ValueError,
            r"obs: expected shape \(2, 4, 2\), got \(2, 3, 2\)",
        ),
        ("obs", np.zeros((4, 2), np.uint8), ValueError, "obs: expected shape"),
        ("next_obs", np.ones((2, 4, 2), np.uint8), ValueError, r"next_obs\[0\]: expected its first 3 frames"),
        ("action", np.zeros(2), TypeError, "action: expected dtype int64 or one of its kind, got float64"),
        ("action", np.zeros((2, 1), np.int64), ValueError, "action: expected shape"),
        ("action", np.array([0, 2**63], np.uint64), ValueError, "action: expected values that fit int64"),
        ("reward", np.array([0.0, np.nan]), ValueError, r"reward\[1\]: expected a finite number, got nan"),
        ("reward", np.array([0.0, np.inf]), ValueError, r"reward\[1\]: expected a finite number, got inf"),
        ("reward", np.zeros(2, complex), TypeError, "reward: expected real numbers"),
        ("reward", np.zeros(3), ValueError, r"reward: expected shape \(2,\), got \(3,\)"),
        ("terminated", np.zeros(2), TypeError, "terminated: expected booleans, got dtype float64"),
        ("truncated", np.zeros((2, 1), bool), ValueError, "truncated: expected shape"),
        ("env_ids", [0, 0], ValueError, r"env_ids\[1\]: expected each id once"),
        ("env_ids", [0, 2], IndexError, r"env_ids\[1\]: expected 0 <= id < 2"),
        ("env_ids", [0.0, 1.0], TypeError, "env_ids: expected integers"),
        ("env_ids", [[0, 1]], ValueError, "env_ids: expected one axis of ids"),
    ],
)
def test_bad_rows_are_named_and_change_nothing(
    impl: ModuleType, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    buffer, same = (stacked_buffer(impl, num_envs=2) for _ in range(2))
    for b in (buffer, same):
        for _ in range(5):
            b.add(**good_arguments())
    with pytest.raises(error, match=message):
        buffer.add(**{**good_arguments(), argument: value})
    assert len(buffer) == len(same)
    assert_same_batch(buffer.sample(20), same.sample(20))


def test_layouts_of_every_kind_are_accepted(impl: ModuleType) -> None:
    buffer, same = (stacked_buffer(impl, num_envs=2) for _ in range(2))
    arguments = good_arguments()
    same.add(**arguments)
    wide = np.zeros((2, 4, 4), np.uint8)[:, :, ::2]
    read_only = arguments["next_obs"].copy(order="F")
    read_only.flags.writeable = False
    buffer.add(**{**arguments, "obs": wide, "next_obs": read_only, "reward": np.zeros(2, np.float32)})
    assert_same_batch(buffer.sample(4), same.sample(4))


def test_an_empty_buffer_and_a_batch_of_zero_are_refused(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, n_step=3)
    with pytest.raises(
        ValueError, match="expected at least one row whose n-step window is complete, got none"
    ):
        buffer.sample(4)
    add_episode(buffer, [0.0] * 4, terminated=False)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        buffer.sample(0)
    with pytest.raises(TypeError, match="batch_size: expected an integer"):
        buffer.sample(2.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"capacity": 0}, ValueError, "capacity"),
        ({"capacity": 2.5}, TypeError, "capacity: expected an integer"),
        ({"n_step": 0}, ValueError, "n_step: expected 1 to"),
        ({"gamma": 1.5}, ValueError, "gamma: expected a number from 0 to 1"),
        ({"alpha": -1.0}, ValueError, "alpha: expected a finite number"),
        ({"beta": float("nan")}, ValueError, "beta: expected a finite number"),
        ({"num_envs": 0}, ValueError, "num_envs: expected at least 1"),
        ({"frame_stack": 3}, ValueError, "frame_stack: expected axis 0"),
        ({"device": "no such device"}, ValueError, "device: expected a torch device"),
    ],
)
def test_bad_settings_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    if "device" in arguments:
        pytest.importorskip("torch")
    with pytest.raises(error, match=message):
        vector_buffer(mujigae, **arguments)


def test_spaces_that_are_none_are_named() -> None:
    with pytest.raises(TypeError, match="observation_space: expected a space with shape and dtype"):
        mujigae.ReplayBuffer(10, 5, ACTION)
    with pytest.raises(TypeError, match=r"a: expected a native numeric dtype, got object"):
        mujigae.ReplayBuffer(10, {"a": ((2,), object)}, ACTION)
    with pytest.raises(TypeError, match="action_space: expected one array"):
        mujigae.ReplayBuffer(10, VECTOR, {"a": VECTOR, "b": VECTOR})


# --- threads and memory


def test_many_threads_may_add_sample_and_update_at_once() -> None:
    buffer = stacked_buffer(mujigae, capacity=200, num_envs=2)
    for _ in range(20):
        buffer.add(**good_arguments())
    errors: list[Exception] = []

    def repeat(work: Any) -> None:
        try:
            for _ in range(300):
                work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread reports it
            errors.append(error)

    def learn() -> None:
        batch = buffer.sample(32)
        assert not batch.obs.any()
        buffer.update_priorities(batch.key, np.ones(32))

    works = [lambda: buffer.add(**good_arguments()), learn, learn, lambda: len(buffer)]
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert buffer.check_valid()


def test_atari_rows_take_at_most_7200_bytes() -> None:
    buffer = mujigae.PrioritizedReplayBuffer(
        20_000, Space((4, 84, 84), np.uint8), ACTION, frame_stack=4, n_step=3
    )
    stream = Stream(np.random.default_rng(0), 4, frame=(84, 84))
    for t in range(20_000):
        obs, next_obs = stream.step()
        ends = t % 500 == 499
        buffer.add(obs, 0, 0.0, next_obs, False, ends)
        if ends:
            stream.reset("zeros")
    assert len(buffer) == 20_000
    assert buffer.nbytes / len(buffer) <= 7200
