"""cpprb's buffers and ours, given the same steps: what comes out is the same, and right where cpprb's is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_runs import output_of

theirs = pytest.importorskip("cpprb", reason="cpprb is not installed: pip install 'cpprb==11.*'")

from mujigae.integrations import cpprb as ours  # noqa: E402

ENV = {
    "obs": {"shape": (2,)},
    "act": {"dtype": np.int32},
    "rew": {},
    "next_obs": {"shape": (2,)},
    "done": {},
    "note": {"shape": (2, 3), "dtype": np.float64},
}
BOTH = pytest.mark.parametrize("module", [ours, theirs], ids=["ours", "theirs"])


def steps(num_steps: int, seed: int = 0) -> Any:
    """One environment's steps, in episodes that are done or cut: (arguments of add, whether it was cut)."""
    random = np.random.default_rng(seed)
    obs = random.normal(size=2)
    for _ in range(num_steps):
        after = random.normal(size=2)
        is_done, is_cut = random.random(2) < 0.15
        is_cut &= not is_done
        yield {"obs": obs, "act": random.integers(9), "rew": random.integers(-8, 9) / 4, "next_obs": after,
               "done": float(is_done), "note": random.normal(size=(2, 3))}, is_cut  # fmt: skip
        obs = random.normal(size=2) if is_done or is_cut else after


def filled(module: Any, num_steps: int, size: int = 20, env: Any = ENV, **options: Any) -> Any:
    buffer = module.ReplayBuffer(size, env, **options)
    for values, is_cut in steps(num_steps):
        buffer.add(**{name: value for name, value in values.items() if name in env or "next_" in name})
        if values["done"] or is_cut:
            buffer.on_episode_end()
    return buffer


def assert_same(mine: Any, other: Any) -> None:
    assert set(mine) == set(other)
    for name in other:
        np.testing.assert_array_equal(mine[name], other[name], err_msg=name)
        assert mine[name].dtype == other[name].dtype


# --- the same steps in, the same rows out ---


@pytest.mark.parametrize("num_steps", [1, 7, 20, 33, 60])
def test_all_rows_are_those_of_cpprb_place_by_place(num_steps: int) -> None:
    mine, other = filled(ours, num_steps), filled(theirs, num_steps)
    assert_same(mine.get_all_transitions(), other.get_all_transitions())
    for what in (
        "get_stored_size",
        "get_buffer_size",
        "get_next_index",
        "get_current_episode_len",
        "is_Nstep",
    ):
        assert getattr(mine, what)() == getattr(other, what)(), what


def test_several_steps_at_once_are_those_that_come_one_by_one() -> None:
    mine, other = ours.ReplayBuffer(20, ENV), theirs.ReplayBuffer(20, ENV)
    rows = [values for values, _ in steps(30)]
    for first, last in ((0, 1), (1, 6), (6, 20), (20, 30)):
        values = {name: np.stack([row[name] for row in rows[first:last]]) for name in ENV}
        assert mine.add(**values) == other.add(**values)
    assert_same(mine.get_all_transitions(), other.get_all_transitions())


@pytest.mark.parametrize(
    "env", [{"obs": {}, "done": {}}, {"x": {"shape": 3, "dtype": np.int16}}, {"obs": {}, "next_obs": {}}]
)
def test_any_names_are_stored(env: Any) -> None:
    mine, other = ours.ReplayBuffer(8, env), theirs.ReplayBuffer(8, env)
    for i in range(11):
        for buffer in (mine, other):
            buffer.add(
                **{name: np.full(spec.get("shape", 1), i + j) for j, (name, spec) in enumerate(env.items())}
            )
    assert_same(mine.get_all_transitions(), other.get_all_transitions())


def test_batches_have_the_shapes_and_dtypes_of_cpprb() -> None:
    mine, other = filled(ours, 30).sample(16), filled(theirs, 30).sample(16)
    assert {name: (array.shape, array.dtype) for name, array in mine.items()} == {
        name: (array.shape, array.dtype) for name, array in other.items()
    }
    drawn = filled(ours, 30).sample(2000)
    assert len(np.unique(drawn["obs"], axis=0)) == 20


def test_stacks_on_the_last_axis_are_stored_once() -> None:
    env = {"obs": {"shape": (8, 8, 4), "dtype": np.uint8}, "done": {}}
    options = {"next_of": "obs", "stack_compress": "obs"}
    mine, other = ours.ReplayBuffer(500, env, **options), theirs.ReplayBuffer(500, env, **options)
    frames = np.random.default_rng(0).integers(256, size=(8, 8, 400)).astype(np.uint8)
    for t in range(300):
        for buffer in (mine, other):
            buffer.add(obs=frames[..., t : t + 4], next_obs=frames[..., t + 1 : t + 5], done=0)
    assert_same(mine.get_all_transitions(), other.get_all_transitions())
    whole = ours.ReplayBuffer(500, env, next_of="obs")
    for t in range(300):
        whole.add(obs=frames[..., t : t + 4], next_obs=frames[..., t + 1 : t + 5], done=0)
    assert mine.replay.nbytes < whole.replay.nbytes - 300 * 2.5 * 64


# --- n-step returns ---


def windows(num_steps: int, n: int, gamma: float) -> list[tuple[Any, ...]]:
    """Every window of `steps`, worked out by hand: (obs, return, next_obs, done, discount)."""
    rows, found = list(steps(num_steps)), []
    for t in range(num_steps):
        value, ended = 0.0, False
        for m in range(1, n + 1):
            if t + m > num_steps:
                break
            values, is_cut = rows[t + m - 1]
            value += gamma ** (m - 1) * values["rew"]
            ended = bool(values["done"]) or is_cut
            if ended:
                break
        if ended or t + n <= num_steps:
            discount = 0.0 if values["done"] else gamma**m
            found.append((rows[t][0]["obs"], value, values["next_obs"], values["done"], discount))
    return found


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_windows_end_with_their_episode_and_say_so(n: int) -> None:
    n_step = {"size": n, "gamma": 0.5, "rew": "rew", "next": "next_obs"}
    mine = filled(ours, 120, size=200, Nstep=n_step)
    rows = mine.get_all_transitions()
    expected = windows(120, n, 0.5)
    assert mine.get_stored_size() == len(expected)
    for name, column in zip(
        ("obs", "rew", "next_obs", "done", "discounts"), zip(*expected, strict=True), strict=True
    ):
        values = np.asarray(column, np.float32).reshape(rows[name].shape)
        np.testing.assert_array_equal(rows[name], values, err_msg=name)


def test_windows_without_a_reward_end_with_their_episode() -> None:
    mine = ours.ReplayBuffer(32, {"done": {}, "rew": {}}, Nstep={"size": 3, "gamma": 0.5})
    mine.add(done=[0, 0, 0, 0, 1], rew=[1, 2, 3, 4, 5])
    mine.add(done=0, rew=6)
    rows = mine.get_all_transitions()
    assert mine.is_Nstep()
    np.testing.assert_array_equal(rows["done"], [[0], [0], [1], [1], [1]])
    np.testing.assert_array_equal(rows["rew"], [[1], [2], [3], [4], [5]])  # not named: stored as it is
    np.testing.assert_array_equal(rows["discounts"], [[0.125], [0.125], [0], [0], [0]])


def test_names_of_windows_that_are_not_there_are_refused() -> None:
    for spec, n_step, message in (
        ({"done": {}}, {"rew": "rew"}, r"env_dict: expected \['done', 'rew'\] for Nstep, got \['done'\]"),
        ({"rew": {}}, {"rew": "rew"}, r"env_dict: expected \['done', 'rew'\] for Nstep"),
        ({"next_obs": {}, "done": {}}, {"next": "next_obs"}, r'Nstep\["next"\]: expected names among \[\]'),
    ):
        with pytest.raises(ValueError, match=message):
            ours.ReplayBuffer(8, spec, Nstep={"size": 3, **n_step})


def test_windows_of_an_endless_episode_are_those_of_cpprb() -> None:
    n_step = {"size": 3, "gamma": 0.5, "rew": "rew", "next": "next_obs"}
    mine, other = (module.ReplayBuffer(50, ENV, Nstep=n_step) for module in (ours, theirs))
    for t in range(20):
        values = {
            "obs": [t, t],
            "act": t,
            "rew": t,
            "next_obs": [t + 1, t + 1],
            "done": 0,
            "note": np.full((2, 3), t),
        }
        assert mine.add(**values) == other.add(**values)
        assert mine.get_stored_size() == other.get_stored_size()
    rows = mine.get_all_transitions()
    np.testing.assert_array_equal(rows.pop("discounts"), np.full((18, 1), 0.125, np.float32))
    assert_same(rows, other.get_all_transitions())


# --- priorities ---


def test_rows_are_drawn_and_weighed_by_their_priorities() -> None:
    mine, other = (module.create_buffer(32, ENV, prioritized=True, alpha=0.7) for module in (ours, theirs))
    for i, (values, _) in enumerate(steps(32)):
        for buffer in (mine, other):
            buffer.add(**values, priorities=float(i + 1))
    share = (np.arange(1.0, 33) + 1e-4) ** 0.7
    share /= share.sum()
    place = {values["act"].tobytes() + np.float32(values["rew"]).tobytes() + np.float32(values["obs"]).tobytes(): i
             for i, (values, _) in enumerate(steps(32))}  # fmt: skip
    batch = mine.sample(40_000, beta=0.5)
    rows = [
        place[np.int64(a).tobytes() + r.tobytes() + o.tobytes()]
        for a, r, o in zip(batch["act"][:, 0], batch["rew"][:, 0], batch["obs"], strict=True)
    ]
    np.testing.assert_allclose(np.bincount(rows) / 40_000, share, atol=0.005)
    np.testing.assert_allclose(batch["weights"], (share[rows] / share[rows].min()) ** -0.5, rtol=1e-5)
    theirs_batch = other.sample(64, beta=0.5)
    assert batch["weights"].dtype == theirs_batch["weights"].dtype
    assert batch["indexes"].dtype == theirs_batch["indexes"].dtype
    assert mine.get_max_priority() == other.get_max_priority() == 32.0


def test_priority_of_a_row_that_was_overwritten_is_not_set_for_the_new_one() -> None:
    buffer = ours.PrioritizedReplayBuffer(8, ENV)
    for values, _ in steps(8):
        buffer.add(**values)
    old = buffer.sample(8)["indexes"]
    for values, _ in steps(8, seed=1):
        buffer.add(**values)
    buffer.sample(4)
    buffer.update_priorities(old, np.full(8, 100.0))
    assert len(np.unique(buffer.sample(200)["weights"])) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_bad_priorities_are_refused(bad: float) -> None:
    buffer = ours.PrioritizedReplayBuffer(8, ENV)
    for values, _ in steps(8):
        buffer.add(**values)
    indexes = buffer.sample(4)["indexes"]
    with pytest.raises(ValueError, match="priorities"):
        buffer.update_priorities(indexes, [1.0, bad, 1.0, 1.0])
    with pytest.raises(TypeError, match="expected indexes and priorities, got None"):
        buffer.update_priorities(None, [1.0])


# --- the rest ---


@BOTH
def test_missing_name_is_a_key_error(module: Any) -> None:
    with pytest.raises(KeyError):
        module.ReplayBuffer(8, ENV).add(obs=[0, 0])


def test_values_of_different_lengths_and_empty_buffers_are_refused() -> None:
    buffer = ours.ReplayBuffer(8, {"obs": {}, "done": {}})
    with pytest.raises(
        ValueError, match=r"add: expected values of one number of steps, got \{'obs': 2, 'done': 1\}"
    ):
        buffer.add(obs=[1, 2], done=0)
    with pytest.raises(ValueError, match="sample"):
        buffer.sample(2)
    assert buffer.get_all_transitions()["obs"].shape == (0, 1)


def test_saved_rows_come_back(tmp_path: Path) -> None:
    first, second = filled(ours, 33), ours.ReplayBuffer(20, ENV)
    first.save_transitions(tmp_path / "rows")
    second.load_transitions(tmp_path / "rows")
    mine, other = (
        sorted(row.tobytes() for row in buffer.get_all_transitions()["note"]) for buffer in (first, second)
    )
    assert mine == other
    with pytest.raises(ValueError, match="file: expected the rows of a buffer like this one"):
        ours.ReplayBuffer(20, {"obs": {}}).load_transitions(tmp_path / "rows")


def test_cleared_buffer_begins_anew() -> None:
    mine, other = filled(ours, 33), filled(theirs, 33)
    for buffer in (mine, other):
        buffer.clear()
        for values, _ in steps(4, seed=7):
            buffer.add(**values)
    assert_same(mine.get_all_transitions(), other.get_all_transitions())
    assert mine.get_next_index() == other.get_next_index() == 4


@pytest.mark.parametrize("buffer", ["ours", pytest.param("theirs", marks=pytest.mark.learns)])
def test_example_learns_with_either_buffer(buffer: str) -> None:
    printed = output_of("cpprb_dqn", "--buffer", buffer)
    assert float(printed.split()[1]) > 100
