"""Rows by their keys: draw and gather, the row after a row, whole episodes, first priorities, and fields that the user adds."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import assert_same_batch

import mujigae
from mujigae.replay import reference

OBS = {"image": ((2, 3, 2), np.uint8), "speed": ((), np.float32)}
EXTRAS = {"log_prob": ((), np.float32), "goal": ((2,), np.int16)}


def obs_at(env: int, times: Any) -> Any:
    """Observations of one environment at these times, each unlike any other."""
    times = np.atleast_1d(times)
    frames = (10 * env + times[:, None] + np.arange(2)).astype(np.uint8)  # [T, K]
    image = np.broadcast_to(frames[:, :, None, None], (len(times), 2, 3, 2)).copy()
    return {"image": image, "speed": (100 * env + times).astype(np.float32)}


def extras_at(env: int, times: Any) -> Any:
    times = np.atleast_1d(times)
    return {
        "log_prob": (-times - env).astype(np.float32),
        "goal": np.stack([times, times * 2 + env], axis=1).astype(np.int16),
    }


def filled(module: ModuleType, num_steps: int = 12, **arguments: Any) -> Any:
    """Two environments; environment 0 terminates every fourth step, environment 1 is truncated every fifth."""
    options = {
        "num_envs": 2,
        "frame_stack": {"image": 2},
        "extras": EXTRAS,
        "seed": 0,
        "n_step": 2,
        **arguments,
    }
    buffer = module.PrioritizedReplayBuffer(20, OBS, ((), np.int64), **options)
    for t in range(num_steps):
        obs, after = ([obs_at(e, t + dt) for e in range(2)] for dt in (0, 1))
        extras = [extras_at(e, t) for e in range(2)]
        buffer.add(
            {name: np.concatenate([one[name] for one in obs]) for name in OBS},
            np.array([t, 50 + t]),
            np.array([1.0, -1.0]) * t,
            {name: np.concatenate([one[name] for one in after]) for name in OBS},
            np.array([t % 4 == 3, False]),
            np.array([False, t % 5 == 4]),
            extras={name: np.concatenate([one[name] for one in extras]) for name in EXTRAS},
        )
    return buffer


def test_draw_then_gather_is_sample(impl: ModuleType) -> None:
    drawn, sampled = filled(impl), filled(impl)
    for size in (1, 7, 32):
        key, probability = drawn.draw(size)
        batch = sampled.sample(size)
        np.testing.assert_array_equal(key, batch.key)
        np.testing.assert_array_equal(probability, batch.probability)
        assert_same_batch(drawn.gather(key), batch)


def test_probabilities_are_the_shares_of_the_priorities(impl: ModuleType) -> None:
    buffer = filled(impl, alpha=1.0, eps=0.0)
    key = np.unique(buffer.sample(500).key)
    assert len(key) == len(buffer)
    priorities = np.arange(1.0, len(key) + 1)
    buffer.update_priorities(key, priorities)
    np.testing.assert_allclose(buffer.gather(key).probability, priorities / priorities.sum(), rtol=1e-12)
    uniform = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), seed=0)
    for t in range(5):
        uniform.add(np.float32(t), t, 0.0, np.float32(t + 1), False, False)
    np.testing.assert_array_equal(uniform.sample(9).probability, np.full(9, 0.2))


def test_a_drawn_batch_drops_what_was_prefetched_and_draws_with_its_numbers() -> None:
    for make in (mujigae, reference):
        ahead, now = filled(make, prefetch=2), filled(make)
        np.testing.assert_array_equal(ahead.sample(4).key, now.sample(4).key)
        np.testing.assert_array_equal(ahead.draw(4)[0], now.draw(4)[0])


def test_gather_refuses_keys_that_name_no_row_to_draw(impl: ModuleType) -> None:
    buffer = filled(impl, num_steps=3)
    key, _ = buffer.draw(4)
    newest = list(buffer.episodes())[-1].key[-1]
    with pytest.raises(IndexError, match=r"key\[1\]: expected a row whose n-step window is complete"):
        buffer.gather([key[0], newest])
    with pytest.raises(IndexError, match=r"key\[0\]"):
        buffer.gather([-1])
    buffer.clear()
    with pytest.raises(IndexError, match=r"key\[0\]: expected a row that is still there"):
        buffer.gather(key)
    with pytest.raises(IndexError, match=r"key\[0\]: expected a row that is still there"):
        buffer.next_key(key)


def test_the_key_of_the_next_row_walks_through_an_episode(impl: ModuleType) -> None:
    buffer = filled(impl, n_step=1)
    for episode in buffer.episodes():
        expected = [*episode.key[1:], -1]
        np.testing.assert_array_equal(buffer.next_key(episode.key), expected)


def test_the_last_key_names_the_row_that_was_added_last(impl: ModuleType) -> None:
    buffer = filled(impl, num_steps=0)
    np.testing.assert_array_equal(buffer.last_key(), [-1, -1])
    for num_steps in (1, 5, 60):
        buffer = filled(impl, num_steps=num_steps)
        newest = {episode.env_id: episode.key[-1] for episode in buffer.episodes()}
        np.testing.assert_array_equal(buffer.last_key(), [newest[0], newest[1]])
        assert buffer.update_priorities(buffer.last_key(), np.ones(2)) == 2


@pytest.mark.parametrize("compress", [False, True])
def test_episodes_are_what_was_added_oldest_first(impl: ModuleType, compress: bool) -> None:
    buffer = filled(impl, compress=compress)
    found = list(buffer.episodes())
    assert [e.is_open for e in found] == sorted(e.is_open for e in found)
    closed, still_open = [[e for e in found if e.is_open is is_open] for is_open in (False, True)]
    assert [e.env_id for e in still_open] == [1]
    assert [len(e.key) for e in closed if e.env_id == 0][-2:] == [4, 4]
    assert [len(e.key) for e in closed if e.env_id == 1][-1] == 5
    for episode in found:
        times = episode.action - 50 * episode.env_id
        np.testing.assert_array_equal(np.diff(times), 1)
        expected = obs_at(episode.env_id, np.append(times, times[-1] + 1))
        for name in OBS:
            np.testing.assert_array_equal(episode.obs[name], expected[name])
            assert episode.obs[name].dtype == OBS[name][1]
        np.testing.assert_array_equal(episode.reward, times * (1.0 - 2.0 * episode.env_id))
        for name, values in extras_at(episode.env_id, times).items():
            np.testing.assert_array_equal(episode.extras[name], values)
        assert episode.terminated[-1] == (episode.env_id == 0 and not episode.is_open)
        assert episode.truncated[-1] == (episode.env_id == 1 and not episode.is_open)
        assert not episode.terminated[:-1].any()
        assert not episode.truncated[:-1].any()


def test_both_engines_list_the_same_episodes_and_each_key_once() -> None:
    compiled, twin = (list(filled(module, num_steps=40)) for module in (mujigae, reference))
    assert len(compiled) == len(twin)
    for a, b in zip(compiled, twin, strict=True):
        assert_same_batch(
            a._replace(env_id=np.int64(a.env_id), is_open=np.bool_(a.is_open)),
            b._replace(env_id=np.int64(b.env_id), is_open=np.bool_(b.is_open)),
        )
    keys = np.concatenate([episode.key for episode in compiled])
    assert len(np.unique(keys)) == len(keys)


def test_episodes_without_observations_are_the_same_otherwise(impl: ModuleType) -> None:
    whole, without = (list(filled(impl).episodes(with_obs=with_obs)) for with_obs in (True, False))
    assert len(whole) == len(without)
    for a, b in zip(whole, without, strict=True):
        assert b.obs is None
        assert (a.env_id, a.is_open) == (b.env_id, b.is_open)
        for name in ("action", "reward", "terminated", "truncated", "key"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        for name in EXTRAS:
            np.testing.assert_array_equal(a.extras[name], b.extras[name])


def test_episodes_are_those_of_the_call_that_lists_them(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), seed=0)
    before = buffer.episodes()
    buffer.add(np.float32(0), 0, 0.0, np.float32(1), True, False)
    assert list(before) == []
    assert len(list(buffer.episodes())) == 1


def test_a_wrong_episode_is_named() -> None:
    buffer = filled(mujigae)
    for number in (0.0, "0"):
        with pytest.raises(TypeError, match="number: expected an integer"):
            buffer.episode(number)
    with pytest.raises(TypeError, match="with_obs: expected True or False"):
        buffer.episodes(with_obs="no")


def test_rows_without_mass_have_no_chance_and_the_largest_weight(impl: ModuleType) -> None:
    buffer = filled(impl, alpha=1.0, eps=0.0)
    key = np.unique(buffer.sample(500).key)
    priorities = np.arange(len(key), dtype=float)
    buffer.update_priorities(key, priorities)
    batch = buffer.gather(key, beta=1.0)
    np.testing.assert_allclose(batch.probability, priorities / priorities.sum(), rtol=1e-12)
    np.testing.assert_allclose(batch.weight, 1 / np.maximum(priorities, 1.0), rtol=1e-6)
    buffer.update_priorities(key, np.zeros(len(key)))
    batch = buffer.gather(key, beta=1.0)
    assert (batch.probability == 0.0).all()
    assert (batch.weight == 1.0).all()


def test_an_episode_evicted_after_it_was_listed_is_left_out(impl: ModuleType) -> None:
    buffer = filled(impl)
    iterator = buffer.episodes()
    next(iterator)
    buffer.clear()
    assert list(iterator) == []


def test_a_reset_behind_the_buffers_back_is_a_truncation(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(10, ((), np.float32), ((), np.int64), seed=0)
    for obs in (0.0, 1.0, 7.0, 8.0):
        buffer.add(np.float32(obs), 0, 0.0, np.float32(obs + 1), False, False)
    first, second = buffer.episodes()
    np.testing.assert_array_equal(first.truncated, [False, True])
    np.testing.assert_array_equal(first.obs, [0.0, 1.0, 2.0])
    assert second.is_open


def test_a_first_priority_is_the_rows_and_counts_for_the_largest(impl: ModuleType) -> None:
    buffer = impl.PrioritizedReplayBuffer(8, ((), np.float32), ((), np.int64), seed=0, alpha=1.0, eps=0.0)
    for t, priority in enumerate([0.5, None, 3.0, None]):
        row = np.float32([t]), np.array([t]), np.zeros(1), np.float32([t + 1])
        flags = np.zeros(1, bool), np.zeros(1, bool)
        buffer.add(*row, *flags, priority=None if priority is None else np.array([priority]))
    batch = buffer.sample(200)
    by_action = dict(zip(batch.action.tolist(), batch.probability.tolist(), strict=True))
    np.testing.assert_allclose(
        [by_action[t] for t in range(4)], np.array([0.5, 1.0, 3.0, 3.0]) / 7.5, rtol=1e-12
    )
    assert buffer.max_priority == 3.0


@pytest.mark.parametrize("sampler", [mujigae.Proportional(), mujigae.RankBased()])
def test_priorities_are_read_as_they_were_given(impl: ModuleType, sampler: Any) -> None:
    buffer = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), seed=0, sampler=sampler, n_step=2)
    assert buffer.priorities([]).tolist() == []
    for t in range(6):
        buffer.add(
            np.float32(t), t, 0.0, np.float32(t + 1), False, False, priority=0.5 * t if t < 3 else None
        )
    (episode,) = buffer.episodes()
    np.testing.assert_array_equal(buffer.priorities(episode.key), [0.0, 0.5, 1.0, 1.0, 1.0, 1.0])
    buffer.update_priorities(
        episode.key[[1, 5]], [7.0, 0.25]
    )  # the last waits for its window, and has one all the same
    np.testing.assert_array_equal(buffer.priorities(episode.key[::-1]), [0.25, 1.0, 1.0, 1.0, 7.0, 0.0])
    with pytest.raises(IndexError, match=r"key\[1\]"):
        buffer.priorities([episode.key[0], -1])
    buffer.clear()
    with pytest.raises(IndexError, match=r"key\[0\]: expected a row that is still there"):
        buffer.priorities(episode.key)


def test_a_uniform_buffer_has_no_priorities_to_read(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), seed=0)
    with pytest.raises(TypeError, match="priorities: expected a sampler with priorities, got Uniform"):
        buffer.priorities([])


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_first_priority_that_is_none_is_refused_and_changes_nothing(impl: ModuleType, bad: float) -> None:
    buffer = impl.PrioritizedReplayBuffer(8, ((), np.float32), ((), np.int64), num_envs=2, seed=0)
    rows = np.zeros(2, np.float32), np.zeros(2, np.int64), np.zeros(2), np.ones(2, np.float32)
    flags = np.zeros(2, bool), np.zeros(2, bool)
    with pytest.raises(ValueError, match=r"priority\[1\]"):
        buffer.add(*rows, *flags, priority=np.array([1.0, bad]))
    assert len(buffer) == 0
    uniform = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), num_envs=2, seed=0)
    with pytest.raises(TypeError, match="priority: expected None"):
        uniform.add(*rows, *flags, priority=np.ones(2))


@pytest.mark.parametrize(
    ("extras", "error"),
    [
        (None, ValueError),
        ({"log_prob": np.zeros(1, np.float32)}, ValueError),
        ({"log_prob": np.zeros(1, np.float64), "goal": np.zeros((1, 2), np.int16)}, TypeError),
        ({"log_prob": np.zeros(1, np.float32), "goal": np.zeros((1, 3), np.int16)}, ValueError),
        (
            {"log_prob": np.zeros(1, np.float32), "goal": np.zeros((1, 2), np.int16), "x": np.zeros(1)},
            ValueError,
        ),
    ],
)
def test_extras_that_are_not_those_declared_are_refused(impl: ModuleType, extras: Any, error: type) -> None:
    buffer = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), extras=EXTRAS, seed=0)
    row = np.zeros(1, np.float32), np.zeros(1, np.int64), np.zeros(1), np.ones(1, np.float32)
    with pytest.raises(error, match="extras"):
        buffer.add(*row, np.zeros(1, bool), np.zeros(1, bool), extras=extras)
    assert len(buffer) == 0


def test_extras_without_a_declaration_are_refused(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), seed=0)
    with pytest.raises(ValueError, match="extras: expected a dict with"):
        buffer.add(np.float32(0), 0, 0.0, np.float32(1), False, False, extras={"x": np.zeros(1)})
    for name in ("a\0b", "a\nb", "\ud800"):
        with pytest.raises(ValueError, match="extras: expected names of characters that can be printed"):
            impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), extras={name: ((), np.float32)})
    for extras in ([1], {"x": "no space"}, {1: ((), np.float32)}, {"x": {"y": ((), np.float32)}}):
        with pytest.raises(TypeError, match="extras"):
            impl.ReplayBuffer(8, ((), np.float32), ((), np.int64), extras=extras)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_extras_are_saved_reopened_pickled_and_refilled(tmp_path: Path, prefetch: int) -> None:
    buffer = filled(mujigae, path=tmp_path / "live", prefetch=prefetch)
    out = buffer.sample(6)
    buffer.sample(6, out=out)
    buffer.save(tmp_path / "saved")
    loaded = mujigae.load(tmp_path / "saved")
    for batch in (out, loaded.sample(6), buffer.sample(6)):
        times = batch.action % 50
        np.testing.assert_array_equal(batch.extras["log_prob"], -times - batch.action // 50)
    assert_same_batch(loaded.sample(6), buffer.sample(6))
    expected = [episode.extras["goal"] for episode in buffer.episodes()]
    del buffer
    reopened = [episode.extras["goal"] for episode in mujigae.load(tmp_path / "live").episodes()]
    assert all(np.array_equal(a, b) for a, b in zip(expected, reopened, strict=True))


def test_a_reseeded_copy_draws_as_a_new_buffer_of_that_seed(impl: ModuleType) -> None:
    buffer, other = filled(impl, seed=1), filled(impl, seed=9)
    buffer.sample(5)
    buffer.reseed(9)
    assert_same_batch(buffer.sample(8), other.sample(8))


@pytest.mark.parametrize("wrong", ["ids", "dict", "float32 rewards", "columns apart"])
def test_exact_arrays_and_converted_ones_store_the_same(wrong: str) -> None:
    """The fast way in and the slow one are one gate: whatever the slow one converts, the rows are equal."""
    exact, slow = (
        mujigae.ReplayBuffer(20, OBS, ((), np.int64), num_envs=2, frame_stack={"image": 2}, seed=0)
        for _ in range(2)
    )
    for t in range(6):
        obs, after = (
            {name: np.concatenate([obs_at(e, t + dt)[name] for e in (1, 0)]) for name in OBS} for dt in (0, 1)
        )
        step = [
            obs,
            np.array([t, t]),
            np.array([1.5, 2.5]),
            after,
            np.array([False, t == 4]),
            np.zeros(2, bool),
        ]
        exact.add(*step, env_ids=np.array([1, 0]))
        changed = {
            "ids": lambda step: (step, [1, 0]),
            "dict": lambda step: ([dict(reversed(step[0].items())), *step[1:]], np.array([1, 0], np.int32)),
            "float32 rewards": lambda step: (
                [*step[:2], step[2].astype(np.float32), *step[3:]],
                np.array([1, 0]),
            ),
            "columns apart": lambda step: (
                [*step[:4], np.repeat(step[4], 2)[::2], step[5]],
                np.array([1, 0]),
            ),
        }[wrong](step)
        slow.add(*changed[0], env_ids=changed[1])
    assert_same_batch(exact.sample(16), slow.sample(16))
