"""AgileRL: its agents find the same rows in the engine's buffers as in its own, and its training loop runs on them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("agilerl")

import torch
from example_runs import output_of
from gymnasium import spaces

with warnings.catch_warnings():  # AgileRL's own, as it is imported
    warnings.simplefilter("ignore")
    from agilerl.algorithms import DQN, RainbowDQN
    from agilerl.components import MultiStepReplayBuffer
    from agilerl.components import PrioritizedReplayBuffer as TheirPrioritized
    from agilerl.components import ReplayBuffer as TheirBuffer
    from agilerl.components.data import Transition
    from agilerl.components.sampler import Sampler
    from agilerl.training.train_off_policy import train_off_policy, transition_to_tensordict
    from agilerl.utils.utils import make_vect_envs

    import mujigae
    from mujigae.integrations.agilerl import PrioritizedReplayBuffer, ReplayBuffer

pytestmark = pytest.mark.filterwarnings("ignore")  # AgileRL's own, and the cuts that it does not tell

NUM_ENVS = 3
BUFFERS = [(ReplayBuffer, TheirBuffer), (PrioritizedReplayBuffer, TheirPrioritized)]


def step(t: int, structure: str = "array") -> Any:
    """A step of environments whose episodes end after five steps; the reward is the time."""
    obs = np.array([[e, t // 5, t % 5] for e in range(NUM_ENVS)], np.float32)
    next_obs = obs + np.array([0, 0, 1], np.float32)
    done = np.array([t % 5 == 4 and e == 0 for e in range(NUM_ENVS)])
    if structure == "dict":
        obs, next_obs = ({"where": array, "number": array[:, 0].astype(int)} for array in (obs, next_obs))
    reward, action = np.full(NUM_ENVS, float(t)), np.full(NUM_ENVS, t % 4)
    row = transition_to_tensordict(Transition(obs, action, next_obs, reward, done))
    row.batch_size = torch.Size([NUM_ENVS])
    return row


def rows_of(batch: Any) -> set[tuple[float, ...]]:
    names = ("obs", "action", "reward", "next_obs", "done")
    return {tuple(row) for row in torch.cat([batch[name].float() for name in names], dim=1).tolist()}


@pytest.mark.parametrize(("ours", "theirs"), BUFFERS)
def test_rows_are_those_of_the_buffer_of_agilerl(ours: Any, theirs: Any) -> None:
    held = []
    for kind in (ours, theirs):
        buffer = kind(60)
        for t in range(33):
            buffer.add(step(t))
        beta = [0.4] if ours is PrioritizedReplayBuffer else []
        batch = Sampler(memory=buffer).sample(60 if kind is TheirBuffer else 2000, *beta)
        shapes = {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in batch.items()}
        held.append((shapes, rows_of(batch), len(buffer), buffer.size, buffer.counter))
    assert held[0] == held[1]


def test_an_agent_that_is_given_the_same_rows_learns_the_same_from_either_buffer() -> None:
    ours, theirs = ReplayBuffer(200, seed=0), TheirBuffer(200)
    for buffer in (ours, theirs):
        for t in range(50):
            buffer.add(step(t))
    learned = []
    drawn = [ours.sample(32) for _ in range(20)]
    places = [(batch["obs"] @ torch.tensor([1.0, 5 * NUM_ENVS, NUM_ENVS])).long() for batch in drawn]
    for batches in (drawn, [theirs.storage[place] for place in places]):
        torch.manual_seed(0)
        agent = DQN(spaces.Box(-99, 99, (3,)), spaces.Discrete(4), double=True)
        losses = [agent.learn(batch) for batch in batches]
        learned.append((losses, torch.cat([part.flatten() for part in agent.actor.parameters()])))
    assert learned[0][0] == learned[1][0]
    assert torch.equal(learned[0][1], learned[1][1])


def test_observations_in_dicts_come_back_in_tensordicts() -> None:
    buffer = ReplayBuffer(60)
    for t in range(10):
        buffer.add(step(t, "dict"))
    batch = buffer.sample(50)
    assert batch["obs", "number"].shape == (50, 1)
    assert torch.equal(batch["obs", "where"][:, 2] + 1, batch["next_obs", "where"][:, 2])


@pytest.mark.parametrize("frame_stack", [3, {"eyes": 3}, {"eyes": 3, "number": 1}], ids=str)
def test_steps_in_which_stacked_environments_reset_themselves_are_no_rows(frame_stack: Any) -> None:
    is_dict = isinstance(frame_stack, dict)
    buffer, counts, true = ReplayBuffer(300, frame_stack=frame_stack), [0, 0], set()
    lengths = (3, 4)  # of episodes: the first are cut, the others end in a terminal state
    for _ in range(30):
        after = [0 if count == length else count + 1 for count, length in zip(counts, lengths, strict=True)]
        true |= {(a, b) for a, b in zip(counts, after, strict=True) if b > a}
        done = np.array([False, after[1] == 4])
        obs, next_obs = (seen(one) if is_dict else stacks(one) for one in (counts, after))
        row = transition_to_tensordict(Transition(obs, np.zeros(2, int), next_obs, np.zeros(2), done))
        row.batch_size = torch.Size([2])
        buffer.add(row)
        counts = after
    batch = buffer.sample(1000)
    parts = [batch[name]["eyes"] if is_dict else batch[name] for name in ("obs", "next_obs")]
    newest = torch.stack([part[:, -1, 0] for part in parts], dim=1).int()
    assert {tuple(pair) for pair in newest.tolist()} == true
    assert len(buffer) == 23 + 24


def stacks(counts: list[int]) -> Any:
    """The newest three frames [E, 3, 2] of episodes whose frames are a count; the first is repeated."""
    frames = np.array([[max(count - back, 0) for back in (2, 1, 0)] for count in counts], np.float32)
    return np.repeat(frames[:, :, None], 2, axis=2)


def seen(counts: list[int]) -> Any:
    """The same stacks in a dict, beside a number."""
    return {"eyes": stacks(counts), "number": np.array(counts, np.float32)}


@pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplayBuffer])
@pytest.mark.parametrize("name", ["reward", "done", "next_obs"])
def test_first_rows_that_are_refused_leave_nothing_behind(kind: Any, name: str) -> None:
    buffer, bad = kind(60), step(0)
    bad["obs"] = torch.zeros(NUM_ENVS, 7)
    bad["reward"] = torch.full((NUM_ENVS,), torch.nan)
    if name != "reward":
        del bad[name]
    with pytest.raises((KeyError, ValueError)):
        buffer.add(bad)
    assert (buffer.replay, buffer.counter, buffer.initialized) == (None, 0, False)
    buffer.add(step(0))
    assert buffer.sample(4)["obs"].shape == (4, 3)


def test_priorities_reach_the_rows_of_their_batch() -> None:
    buffer = PrioritizedReplayBuffer(300, alpha=1.0)
    for t in range(20):
        buffer.add(step(t))
    every = buffer.sample(3000)
    is_chosen = (every["reward"] == 7.0).float()
    buffer.update_priorities(every["idxs"], 1e9 * is_chosen)
    batch = buffer.sample(30, beta=1.0)
    assert set(batch["reward"].flatten().tolist()) == {7.0}
    assert buffer.max_priority == 1e9


def test_idxs_are_refused_by_an_n_step_memory() -> None:
    buffer, n_step = PrioritizedReplayBuffer(60), MultiStepReplayBuffer(60, n_step=2)
    for t in range(6):
        n_step.add(step(t))
        buffer.add(step(t))
    with pytest.raises(IndexError):
        n_step.sample_from_indices(buffer.sample(4)["idxs"])
    with pytest.raises(ValueError, match="return_idx: expected False"):
        ReplayBuffer(60).sample(4, return_idx=True)


def test_batches_of_an_empty_or_a_cleared_buffer_are_refused() -> None:
    buffer = ReplayBuffer(60)
    with pytest.raises(ValueError, match="sample: expected at least one row, got none"):
        buffer.sample(4)
    buffer.add(step(0))
    assert len(buffer) == NUM_ENVS
    buffer.clear()
    assert len(buffer) == 0
    with pytest.raises(ValueError, match="sample"):
        buffer.sample(4)


@pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplayBuffer])
def test_returns_of_several_steps_have_the_discount_of_their_window(kind: Any) -> None:
    """Episodes of five steps with the time as reward; that of the first environment ends in a terminal state, the others are cut."""
    buffer, gamma = kind(300, n_step=3, gamma=0.5), 0.5
    for t in range(20):
        buffer.add(step(t))
    batch = buffer.sample(2000)
    discount = gamma * (1 - batch["done"])[:, 0]
    for i in range(2000):
        env, episode, start = (int(number) for number in batch["obs"][i])
        steps = min(3, 5 - start)
        reward = sum(gamma**j * (5 * episode + start + j) for j in range(steps))
        assert batch["reward"][i].item() == pytest.approx(reward)
        assert batch["next_obs"][i, 2] == start + steps
        is_terminal = env == 0 and start + steps == 5
        assert discount[i].item() == pytest.approx(0 if is_terminal else gamma**steps)
    assert {tuple(row[:2].tolist()) for row in batch["obs"].int()} == {
        (e, k) for e in range(3) for k in range(4)
    }


def test_agent_bootstraps_by_the_discount_of_the_window() -> None:
    """A DQN whose networks say 1 for every action has a loss that follows from the rewards and discounts alone."""
    memory = ReplayBuffer(300, n_step=3, gamma=0.9, seed=0)
    for t in range(20):
        memory.add(step(t))
    agent = DQN(spaces.Box(-99, 99, (3,)), spaces.Discrete(4), gamma=0.9)
    for network in (agent.actor, agent.actor_target):
        for parameter in network.parameters():
            parameter.data.zero_()
        list(network.parameters())[-1].data.fill_(1.0)
    batch = memory.sample(64)
    target = batch["reward"] + 0.9 * (1 - batch["done"])
    assert agent.learn(batch) == pytest.approx(((target - 1) ** 2).mean().item(), rel=1e-4)


def test_an_n_step_without_the_discount_of_the_agent_is_refused() -> None:
    with pytest.raises(ValueError, match="gamma: expected the agent's, above 0, since n_step is 3, got None"):
        ReplayBuffer(60, n_step=3)


@pytest.mark.parametrize(("agent", "kind"), [(DQN, ReplayBuffer), (RainbowDQN, PrioritizedReplayBuffer)])
def test_training_loop_of_agilerl_runs_on_the_engine(agent: Any, kind: Any) -> None:
    env = make_vect_envs("CartPole-v1", num_envs=2)
    spaces = env.single_observation_space, env.single_action_space
    memory = kind(1000)
    train_off_policy(
        env,
        "CartPole-v1",
        "DQN",
        [agent(*spaces, batch_size=16, learn_step=2)],
        memory,
        max_steps=200,
        evo_steps=200,
        eval_steps=10,
        learning_delay=20,
        wb=False,
        verbose=False,
    )
    env.close()
    assert isinstance(memory.replay, mujigae.ReplayBuffer)
    assert len(memory) >= 190
    assert memory.replay.num_envs == 2


@pytest.mark.learns
@pytest.mark.parametrize("options", [(), ("--theirs",)], ids=["ours", "theirs"])
def test_example_learns_cartpole_with_either_buffer(options: tuple[str, ...]) -> None:
    assert float(output_of("agilerl_dqn", *options).split()[-1]) > 100
