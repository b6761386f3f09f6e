"""Tianshou's vector buffers and ours, given the same rows by its Collector: what comes out is the same."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tianshou", reason="tianshou is not installed: pip install 'mujigae[tianshou]'")

import gymnasium
import torch
from example_runs import output_of
from gymnasium import spaces
from tianshou import data
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

from mujigae.integrations.tianshou import PrioritizedVectorReplayBuffer, VectorReplayBuffer


def rows(num_steps: int, num_envs: int = 3, seed: int = 0, structure: str = "array") -> Any:
    """Arguments of `add`: some environments a step, as an asynchronous Collector has them; (batch, ids)."""
    random = np.random.default_rng(seed)
    obs = observations(random, num_envs, structure)
    for _ in range(num_steps):
        after, fresh = (observations(random, num_envs, structure) for _ in range(2))
        done = random.random(num_envs) < 0.2
        terminated = done & (random.random(num_envs) < 0.5)
        ids = np.flatnonzero(random.random(num_envs) < 0.8)
        full = Batch(
            obs=obs,
            act=random.integers(5, size=num_envs),
            rew=random.normal(size=num_envs),
            terminated=terminated,
            truncated=done & ~terminated,
            obs_next=after,
            info=Batch(note=random.integers(9, size=num_envs)),
        )
        if len(ids):
            yield full[ids], ids
        chosen = np.isin(np.arange(num_envs), ids)
        obs = where(chosen & done, fresh, where(chosen, after, obs))


def observations(random: Any, num_envs: int, structure: str) -> Any:
    image = random.integers(256, size=(num_envs, 2, 3)).astype(np.uint8)
    return image if structure == "array" else Batch(image=image, speed=random.normal(size=num_envs))


def where(mask: Any, yes: Any, no: Any) -> Any:
    if isinstance(yes, Batch):
        return Batch({key: where(mask, yes[key], no[key]) for key in yes.get_keys()})
    return np.where(mask.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def filled(
    make: Any, total_size: int = 30, num_steps: int = 60, structure: str = "array", **options: Any
) -> Any:
    buffer = make(total_size, 3, **options)
    for batch, ids in rows(num_steps, structure=structure):
        buffer.add(batch, buffer_ids=ids)
    return buffer


def assert_same(ours: Any, theirs: Any, *, but: tuple[str, ...] = ()) -> None:
    assert set(ours.get_keys()) == set(theirs.get_keys())
    for key in set(theirs.get_keys()) - set(but):
        if isinstance(theirs[key], Batch):
            assert_same(ours[key], theirs[key])
        else:
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
            assert ours[key].dtype == theirs[key].dtype, key


# --- the same rows in, the same rows out ---


@pytest.mark.parametrize("structure", ["array", "dict"])
@pytest.mark.parametrize("num_steps", [5, 60])
def test_rows_at_every_place_are_those_of_tianshou(structure: str, num_steps: int) -> None:
    ours, theirs = (
        filled(make, num_steps=num_steps, structure=structure)
        for make in (VectorReplayBuffer, data.VectorReplayBuffer)
    )
    everything = theirs.sample_indices(0)
    np.testing.assert_array_equal(ours.sample_indices(0), everything)
    assert len(ours) == len(theirs) > 0
    assert_same(ours[everything], theirs[everything])
    assert_same(ours[:], theirs[:])
    assert_same(ours[int(everything[0])], theirs[int(everything[0])])
    if len(ours) == 30:  # else a slice may name places without a row, where Tianshou has zeros
        assert_same(ours[:4], theirs[:4])


@pytest.mark.parametrize("num_steps", [5, 60])
def test_walks_through_places_are_those_of_tianshou(num_steps: int) -> None:
    ours, theirs = (
        filled(make, num_steps=num_steps) for make in (VectorReplayBuffer, data.VectorReplayBuffer)
    )
    everything = theirs.sample_indices(0)
    for walk in ("next", "prev"):
        np.testing.assert_array_equal(getattr(ours, walk)(everything), getattr(theirs, walk)(everything))
    np.testing.assert_array_equal(ours.unfinished_index(), theirs.unfinished_index())
    np.testing.assert_array_equal(ours.subbuffer_edges, theirs.subbuffer_edges)
    for key in ("rew", "done", "terminated", "truncated", "act"):
        np.testing.assert_array_equal(getattr(ours, key)[everything], getattr(theirs, key)[everything])
    for key in ("obs", "obs_next"):
        np.testing.assert_array_equal(getattr(ours, key)[everything], getattr(theirs, key)[everything])


def test_add_returns_what_tianshou_returns() -> None:
    ours, theirs = VectorReplayBuffer(30, 3), data.VectorReplayBuffer(30, 3)
    for batch, ids in rows(60):
        for mine, other in zip(ours.add(batch, ids), theirs.add(batch, ids), strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("is_ignored", [True, False])
def test_stacks_are_those_of_tianshou(is_ignored: bool) -> None:
    options = {"stack_num": 4, "ignore_obs_next": is_ignored, "num_steps": 20}
    ours, theirs = (filled(make, 300, **options) for make in (VectorReplayBuffer, data.VectorReplayBuffer))
    everything = theirs.sample_indices(0)
    assert_same(ours[everything], theirs[everything], but=("obs_next",))
    np.testing.assert_array_equal(
        ours.get(everything, "obs", stack_num=1), theirs.get(everything, "obs", stack_num=1)
    )
    if is_ignored:  # there Tianshou has the successor of every row but an episode's last and the newest
        same = everything[theirs.next(everything) != everything]
        assert len(same) > 10
    else:  # there Tianshou has no frame before an episode's first successor
        far = everything
        for _ in range(3):
            far = theirs.prev(far)
        same = everything[theirs.prev(far) != far]
    np.testing.assert_array_equal(ours[same].obs_next, theirs[same].obs_next)


def test_the_successors_of_a_stack_are_true_at_the_end_of_an_episode_and_at_its_start() -> None:
    ours = filled(VectorReplayBuffer, 300, stack_num=3, num_steps=20)
    everything = ours.sample_indices(0)
    batch = ours[everything]
    np.testing.assert_array_equal(batch.obs_next[:, :-1], batch.obs[:, 1:])
    plain = filled(data.VectorReplayBuffer, 300, num_steps=20)
    np.testing.assert_array_equal(batch.obs_next[:, -1], plain[everything].obs_next)


def test_stacks_of_the_environment_are_stored_by_their_newest_frame() -> None:
    ours, theirs = (
        make(30, 1, stack_num=3, save_only_last_obs=True, ignore_obs_next=True)
        for make in (VectorReplayBuffer, data.VectorReplayBuffer)
    )
    frames = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    for t in range(9):
        for buffer in (ours, theirs):
            batch = Batch(obs=frames[None, t : t + 3], act=np.array([t]), rew=np.ones(1), terminated=np.array([t == 5]),
                          truncated=np.zeros(1, bool), obs_next=frames[None, t + 1 : t + 4])  # fmt: skip
            buffer.add(batch)
    np.testing.assert_array_equal(ours[:].obs, theirs[:].obs)
    np.testing.assert_array_equal(ours[5].obs_next[-1], frames[8])  # the last frame of the episode


def test_reset_behind_the_buffer_starts_a_new_stack() -> None:
    ours = VectorReplayBuffer(30, 1, stack_num=2)
    for obs, after in ((0, 1), (1, 2), (50, 51)):  # no done between 2 and 50
        ours.add(Batch(obs=np.array([[obs]]), act=np.array([0]), rew=np.ones(1), terminated=np.zeros(1, bool),
                       truncated=np.zeros(1, bool), obs_next=np.array([[after]])))  # fmt: skip
    np.testing.assert_array_equal(ours[:].obs[..., 0], [[0, 0], [0, 1], [50, 50]])


# --- drawing ---


def test_a_sample_has_the_rows_of_its_places_and_reaches_all() -> None:
    ours = filled(VectorReplayBuffer)
    batch, places = ours.sample(2000)
    assert_same(batch, ours[places])
    counts = np.bincount(places, minlength=30)
    assert counts.min() > 30, "each of 30 rows is expected 67 times"
    ours.reset()
    assert len(ours) == 0
    for batch, ids in rows(5, seed=1):
        ours.add(batch, ids)
    assert set(ours.sample(200)[1]) == set(ours.sample_indices(0))


def test_sample_avail_draws_whole_stacks_only() -> None:
    ours, theirs = (
        filled(make, 300, stack_num=3, sample_avail=True, num_steps=30)
        for make in (VectorReplayBuffer, data.VectorReplayBuffer)
    )
    np.testing.assert_array_equal(ours.sample_indices(0), theirs.sample_indices(0))
    assert set(ours.sample(500)[1]) == set(theirs.sample_indices(0))


def test_weights_and_shares_follow_the_priorities_as_tianshou_has_them() -> None:
    options = {"alpha": 0.7, "beta": 0.5}
    ours, theirs = (
        filled(make, **options)
        for make in (PrioritizedVectorReplayBuffer, data.PrioritizedVectorReplayBuffer)
    )
    everything = theirs.sample_indices(0)
    np.testing.assert_allclose(ours[everything].weight, theirs[everything].weight, rtol=1e-6)
    errors = np.random.default_rng(0).normal(size=len(everything)) * 3
    for buffer in (ours, theirs):
        buffer.update_weight(everything, torch.as_tensor(errors))
    ours.set_beta(0.8)
    theirs._beta = 0.8  # set_beta of Tianshou 2.0.1 reaches the parts of a vector buffer, which do not use it
    np.testing.assert_allclose(ours[everything].weight, theirs[everything].weight, rtol=1e-6)
    np.testing.assert_allclose(ours.weight[everything], theirs.weight[everything], rtol=1e-6)
    _, places = ours.sample(20_000)
    share = np.bincount(places, minlength=30)[everything] / 20_000
    expected = theirs.weight[everything] / theirs.weight.reduce()
    np.testing.assert_allclose(share, expected, atol=0.01)
    for batch, ids in rows(1, seed=3):  # a new row has the largest priority so far
        new = ours.add(batch, ids)[0]
        theirs.add(batch, ids)
    np.testing.assert_allclose(ours[everything].weight, theirs[everything].weight, rtol=1e-6)
    assert ours[everything].weight[np.isin(everything, new)].max() == ours[everything].weight.min()


def test_saved_buffers_go_on_alike(tmp_path: Path) -> None:
    ours = filled(PrioritizedVectorReplayBuffer, alpha=0.6, beta=0.4, stack_num=2)
    copy = pickle.loads(pickle.dumps(ours))
    ours.save_hdf5(str(tmp_path / "buffer.hdf5"))
    loaded = PrioritizedVectorReplayBuffer.load_hdf5(str(tmp_path / "buffer.hdf5"))
    for batch, ids in rows(3, seed=5):
        for buffer in (ours, copy, loaded):
            buffer.add(batch, ids)
    batch, places = ours.sample(50)
    for other in (copy, loaded):
        again, there = other.sample(50)
        np.testing.assert_array_equal(there, places)
        assert_same(again, batch)


# --- what is refused ---


def test_rows_that_do_not_fit_change_nothing() -> None:
    ours = filled(VectorReplayBuffer)
    before = pickle.dumps(ours[:])
    batch, ids = next(rows(1, structure="dict"))
    with pytest.raises(ValueError, match="obs: expected"):
        ours.add(batch, ids)
    batch, ids = next(rows(1))
    batch.pop("obs_next")
    with pytest.raises(ValueError, match="obs_next: expected the successor of every row, got none"):
        ours.add(batch, ids)
    batch, ids = next(rows(1))
    batch.rew[0] = np.nan
    with pytest.raises(ValueError, match="reward"):
        ours.add(batch, ids)
    assert pickle.dumps(ours[:]) == before


@pytest.mark.parametrize(
    ("kind", "options"),
    [(VectorReplayBuffer, {}), (PrioritizedVectorReplayBuffer, {"alpha": 0.6, "beta": 0.4})],
)
def test_first_rows_that_are_refused_leave_nothing_behind(kind: Any, options: dict[str, Any]) -> None:
    ours = kind(40, 4, stack_num=2, **options)
    batch, ids = next(rows(1, structure="dict"))
    batch.rew[0] = np.nan
    with pytest.raises(ValueError, match="reward"):
        ours.add(batch, ids)
    assert ours.replay is None
    assert len(ours) == 0
    for batch, ids in rows(3):
        ours.add(batch, ids)
    assert ours.replay.num_silent_boundaries == 0
    assert ours.sample(8)[0].obs.shape[1] == 2


# --- Tianshou's agents ---


def dqn() -> DQN:
    model = Net(state_shape=(4,), action_shape=2, hidden_sizes=[32])
    policy = DiscreteQLearningPolicy(model=model, action_space=spaces.Discrete(2), eps_training=0.2)
    optim = AdamOptimizerFactory(lr=1e-3)
    return DQN(policy=policy, optim=optim, gamma=0.9, n_step_return_horizon=3, target_update_freq=50)


def environments(seed: int) -> DummyVectorEnv:
    envs = DummyVectorEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(4)])
    envs.seed(seed)
    envs.action_space[0].seed(seed)
    return envs


def train(buffer: Any) -> DQN:
    np.random.seed(0)
    torch.manual_seed(0)
    agent = dqn()
    collector: Any = Collector(agent, environments(0), buffer, exploration_noise=True)
    collector.reset()
    collector.collect(n_step=200, random=False)
    agent.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=1,
            epoch_num_steps=600,
            collection_step_num_env_steps=20,
            update_step_num_gradient_steps_per_sample=0.5,
            batch_size=32,
            verbose=False,
            show_progress=False,
        )
    )
    return agent


class Notes(VectorReplayBuffer):
    """Ours, which remembers the places that it drew."""

    drawn: list[Any]

    def sample(self, batch_size: int | None) -> Any:
        batch, places = super().sample(batch_size)
        self.drawn.append(places)
        return batch, places


class Repeats(data.VectorReplayBuffer):
    """Tianshou's, which draws those places again."""

    drawn: list[Any]

    def sample_indices(self, batch_size: int | None) -> Any:
        return self.drawn.pop(0) if batch_size else super().sample_indices(batch_size)


def test_an_agent_that_is_given_the_same_rows_learns_the_same_from_either_buffer() -> None:
    ours = Notes(400, 4)
    ours.drawn = []
    first = train(ours)
    assert len(ours.drawn) > 200
    theirs = Repeats(400, 4)
    theirs.drawn = list(ours.drawn)
    second = train(theirs)
    assert theirs.drawn == []
    mine, other = first.policy.model.state_dict(), second.policy.model.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in other)


def test_prioritized_agent_sets_priorities() -> None:
    buffer = PrioritizedVectorReplayBuffer(400, 4, alpha=0.6, beta=0.4)
    train(buffer)
    probability = buffer.replay.gather(buffer.replay.draw(100)[0]).probability
    assert len(np.unique(probability)) > 50
    assert buffer.replay.num_silent_boundaries <= 4  # the trainer resets the environments once


def test_example_prints_its_score_and_its_bytes() -> None:
    printed = output_of("tianshou_dqn", "--steps", "1000")
    assert "return" in printed
