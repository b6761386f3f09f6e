"""Hindsight experience replay of Stable-Baselines3 and ours, given the same games: the same rows, goals and rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from example_runs import output_of
from goal_streams import Fetch, Images, Stacks
from gymnasium import spaces
from stable_baselines3 import DQN, her
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from mujigae.integrations.stable_baselines3 import HerReplayBuffer

STRATEGIES = ["future", "final", "episode"]


def environments(num_envs: int = 2, num_bits: int = 6) -> DummyVecEnv:
    return DummyVecEnv(
        [lambda: BitFlippingEnv(n_bits=num_bits, continuous=False, max_steps=5) for _ in range(num_envs)]
    )


def played(size: int, num_steps: int, num_envs: int = 1, **options: Any) -> tuple[Any, Any, Any]:
    """Ours and SB3's after the same random play, which goes on until the episodes of all environments end together."""
    env = environments(num_envs)
    buffers = [
        make(size, env.observation_space, env.action_space, env, "cpu", n_envs=num_envs, **options)
        for make in (HerReplayBuffer, her.HerReplayBuffer)
    ]
    random = np.random.default_rng(0)
    env.seed(0)
    obs: Any = env.reset()
    done, t = np.zeros(num_envs, bool), 0
    while t < num_steps or not done.all():
        action = random.integers(6, size=num_envs)
        after, reward, done, infos = env.step(action)
        true = {name: array.copy() for name, array in after.items()}
        for e in np.flatnonzero(done):
            for name in true:
                true[name][e] = infos[e]["terminal_observation"][name]
        for buffer in buffers:
            buffer.add(obs, true, action[:, None], reward, done, infos)
        obs, t = after, t + 1
    return buffers[0], buffers[1], env


def table(samples: Any, first: int, last: int) -> set[tuple[Any, ...]]:
    """These rows of a batch, goals and rewards among them."""
    names = sorted(samples.observations)
    columns = [samples.observations[name] for name in names] + [
        samples.next_observations[name] for name in names
    ]
    columns += [samples.actions, samples.rewards + 0.0, samples.dones]  # -0.0 and 0.0 are one reward
    return {tuple(column[i].numpy().tobytes() for column in columns) for i in range(first, last)}


@pytest.mark.parametrize("num_envs", [1, 2])
def test_rows_with_their_own_goals_are_those_of_sb3(num_envs: int) -> None:
    ours, theirs, _ = played(1000, 40, num_envs, n_sampled_goal=1)
    assert table(ours.sample(8000), 0, 4000) == table(theirs.sample(8000), 0, 4000)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_with_other_goals_and_their_rewards_are_those_of_sb3(strategy: str) -> None:
    ours, theirs, _ = played(1000, 40, n_sampled_goal=1, goal_selection_strategy=strategy)
    assert table(ours.sample(20_000), 10_000, 20_000) == table(theirs.sample(20_000), 10_000, 20_000)


def test_goals_of_the_future_lie_ahead_in_the_same_episode() -> None:
    ours, _, _ = played(60, 200, 2, n_sampled_goal=4)
    for _ in range(20):
        rows = ours._random.integers(ours._first, ours._num_steps, 50)
        envs = ours._random.integers(2, size=50)
        goals = ours._goal_rows(rows, envs)
        starts, starts_of_goals = (ours._episodes.of(which, envs)["first"] for which in (rows, goals))
        assert (goals >= rows).all()
        assert (goals - rows < 5).all()
        assert (starts == starts_of_goals).all()


def test_share_of_rows_with_other_goals_is_that_of_sb3() -> None:
    ours, theirs, env = played(1000, 40, n_sampled_goal=4)
    assert ours.her_ratio == theirs.her_ratio
    given: list[int] = []
    env.env_method = lambda name, achieved, goals, infos, indices: (  # type: ignore[method-assign]
        given.append(len(goals)) or [np.zeros(len(goals))]
    )
    for buffer in (ours, theirs):
        buffer.sample(500)
    assert given == [400, 400]


def test_episodes_do_not_reach_over_a_reset_without_an_end() -> None:
    env = environments(1)
    ours = HerReplayBuffer(
        100, env.observation_space, env.action_space, env, "cpu", goal_selection_strategy="final"
    )
    ones, zeros = (
        {name: np.full((1, 6), value, np.int8) for name in env.observation_space.spaces} for value in (1, 0)
    )
    for obs, after in ((zeros, ones), (ones, zeros), (ones, zeros)):  # the last one is after a reset
        ours.add(obs, after, np.zeros((1, 1), int), np.zeros(1), np.zeros(1, bool), [{}])
    np.testing.assert_array_equal(ours._goal_rows(np.arange(3), np.zeros(3, int)), [1, 1, 2])


def test_missing_numbers_do_not_cut_an_episode() -> None:
    """NaN differs from itself as a number, not as bytes."""
    goal = Fetch()
    arguments = 100, goal.space, spaces.Box(-1, 1, (4,), np.float32)
    ours = HerReplayBuffer(*arguments, env=None, device="cpu", goal_selection_strategy="final")
    obs = goal.reset()
    for _ in range(3):
        obs["observation"][0, 0] = np.nan
        after = goal.step(obs)
        after["observation"][0, 0] = np.nan
        ours.add(obs, after, np.zeros((1, 4)), np.zeros(1), np.zeros(1, bool), [{}])
        obs = after
    np.testing.assert_array_equal(ours._goal_rows(np.arange(3), np.zeros(3, int)), [2, 2, 2])


@pytest.mark.parametrize("change", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_goals_that_change_within_an_episode_come_back_with_their_rows(change: float, size: int) -> None:
    """Rows by hand: episodes of three environments, of 1 to 9 steps, some cut by a reset without an end; rows are overwritten."""
    random, num_envs, names = np.random.default_rng(0), 3, ("observation", "achieved_goal", "desired_goal")
    space = spaces.Dict({name: spaces.Box(-np.inf, np.inf, (2,), np.float32) for name in names})
    arguments = size * num_envs, space, spaces.Box(-1, 1, (1,), np.float32)
    ours = HerReplayBuffer(*arguments, env=None, device="cpu", n_envs=num_envs, n_sampled_goal=0)

    def draw() -> dict[str, Any]:
        return {name: random.normal(size=(num_envs, 2)).astype(np.float32) for name in names}

    def choose(which: Any, yes: Any, no: Any) -> dict[str, Any]:
        return {name: np.where(which[:, None], yes[name], no[name]) for name in names}

    obs, added = draw(), []
    for _ in range(100):
        after, is_changed = draw(), random.random(num_envs) < change
        after["desired_goal"] = choose(is_changed, after, obs)["desired_goal"]
        done = random.random(num_envs) < 0.2
        ours.add(obs, after, np.zeros((num_envs, 1)), np.zeros(num_envs), done, [{}] * num_envs)
        parts = [one[name] for one in (obs, after) for name in names]
        added.append([tuple(part[e].tobytes() for part in parts) for e in range(num_envs)])
        obs = choose(done | (random.random(num_envs) < 0.05), draw(), after)
    samples = ours.sample(5000)
    columns = [
        one[name].numpy() for one in (samples.observations, samples.next_observations) for name in names
    ]
    found = {tuple(column[i].tobytes() for column in columns) for i in range(5000)}
    assert found == {row for step in added[-size:] for row in step}


@pytest.mark.parametrize(
    ("goal", "options", "share"),
    [
        (
            Fetch(),
            {},
            0.55,
        ),  # an observation, of float64, is kept once instead of twice, the goal once an episode
        (Fetch(), {"float32": True}, 0.33),  # the engine's own bytes of a row do not shrink
        (Images(), {}, 0.36),
        (Images(), {"compress": True}, 0.25),
        (Stacks(), {"frame_stack": {"observation": 4}}, 0.25),
    ],
    ids=["vectors", "vectors as float32", "images", "compressed images", "stacks of frames"],
)
def test_bytes_are_this_share_of_those_of_sb3(goal: Any, options: dict[str, Any], share: float) -> None:
    arguments = 1000, goal.space, spaces.Box(-1, 1, (4,), np.float32)
    ours = HerReplayBuffer(*arguments, env=None, device="cpu", **options)
    theirs = her.HerReplayBuffer(*arguments, env=None, device="cpu")
    obs = goal.reset()
    for t in range(1000):
        after, is_last = goal.step(obs), t % 50 == 49
        ours.add(obs, after, np.zeros((1, 4)), np.zeros(1), np.array([is_last]), [{}])
        obs = goal.reset() if is_last else after
    arrays = [*theirs.observations.values(), *theirs.next_observations.values(), theirs.actions]
    arrays += [theirs.rewards, theirs.dones, theirs.timeouts, theirs.ep_start, theirs.ep_length, theirs.infos]
    assert ours.nbytes < share * sum(array.nbytes for array in arrays)


def test_float64_observations_kept_as_float32_are_those_of_sb3_rounded() -> None:
    goal = Fetch()
    arguments = 100, goal.space, spaces.Box(-1, 1, (4,), np.float32)
    ours = HerReplayBuffer(*arguments, env=None, device="cpu", n_sampled_goal=0, float32=True)
    obs, added = goal.reset(), []
    for _ in range(20):
        after = goal.step(obs)
        ours.add(obs, after, np.zeros((1, 4)), np.zeros(1), np.zeros(1, bool), [{}])
        added.append(obs["observation"].astype(np.float32).tobytes())
        obs = after
    batch = ours.sample(500).observations["observation"]
    assert batch.dtype == torch.float32
    assert {row.numpy().tobytes() for row in batch} == set(added)


def test_infos_reach_the_reward() -> None:
    ours, _, env = played(100, 20, copy_info_dict=True)
    seen: list[Any] = []
    env.env_method = lambda name, achieved, goals, infos, indices: (  # type: ignore[method-assign]
        seen.extend(infos) or [np.zeros(len(goals))]
    )
    ours.sample(10)
    assert len(seen) == 8
    assert all("TimeLimit.truncated" in info for info in seen)


def test_options_that_make_no_sense_are_refused() -> None:
    env = environments()
    arguments = 10, env.observation_space, env.action_space, env
    with pytest.raises(ValueError, match="n_steps: expected 1 with goals in hindsight, got 3"):
        HerReplayBuffer(*arguments, n_envs=2, n_steps=3, gamma=0.9)
    with pytest.raises(ValueError, match="goal_selection_strategy: expected one of"):
        HerReplayBuffer(*arguments, n_envs=2, goal_selection_strategy="past")
    with pytest.raises(ValueError, match="sample: expected at least one row"):
        HerReplayBuffer(*arguments, n_envs=2).sample(3)


# --- agents ---


def agent(make: Any, num_bits: int = 5, **options: Any) -> DQN:
    env = BitFlippingEnv(n_bits=num_bits, continuous=False, max_steps=num_bits)
    settings = {
        "buffer_size": 20_000,
        "learning_starts": 100,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "seed": 0,
    }
    settings |= {"train_freq": 1, "target_update_interval": 100, "exploration_final_eps": 0.1, "gamma": 0.95}
    return DQN(
        "MultiInputPolicy",
        env,
        replay_buffer_class=make,
        policy_kwargs={"net_arch": [64]},
        **settings | options,
    )


def test_model_is_saved_and_loaded_with_its_buffer(tmp_path: Path) -> None:
    model = agent(HerReplayBuffer).learn(150)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "replay")
    loaded = DQN.load(tmp_path / "model", env=model.get_env())
    loaded.load_replay_buffer(tmp_path / "replay", truncate_last_traj=False)
    first, second = (one.replay_buffer.sample(32) for one in (model, loaded))
    assert torch.equal(first.observations["desired_goal"], second.observations["desired_goal"])
    loaded.learn(50)


@pytest.mark.learns
@pytest.mark.parametrize("make", [her.HerReplayBuffer, HerReplayBuffer], ids=["theirs", "ours"])
def test_bits_are_flipped_to_the_goal(make: Any) -> None:
    model = agent(make, num_bits=8).learn(6000)
    env = BitFlippingEnv(n_bits=8, continuous=False, max_steps=8)
    returns, _ = evaluate_policy(model, env, n_eval_episodes=50, return_episode_rewards=True, warn=False)
    assert np.mean(np.asarray(returns) > -8) > 0.9


def test_example_prints_its_success_rate() -> None:
    printed = output_of("stable_baselines3_her", "--steps", "300")
    assert "goal reached in" in printed
