"""Stable-Baselines3's agents on mujigae's replay buffer, and the prioritized DQN.

The tests marked `learns` train with SB3's buffer and with ours, with the hyperparameters of RL Baselines3 Zoo, and ask of
both the score at which Gymnasium calls CartPole solved, and for Pendulum that of a policy that swings up and holds. One
seed each, whole games, played without exploring: that both reach it is what "the same score" means.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_streams import Noise
from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common import buffers
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from mujigae.integrations.stable_baselines3 import (
    PrioritizedDQN,
    PrioritizedReplayBuffer,
    PrioritizedSamples,
    ReplayBuffer,
)

OURS = {"replay_buffer_class": ReplayBuffer}
N_STEP = OURS | {"replay_buffer_kwargs": {"n_steps": 3, "gamma": 0.99}}


def small(**changes: Any) -> dict[str, Any]:
    """Options of a quick agent; made anew, since SB3 writes into `policy_kwargs`."""
    options = {"buffer_size": 200, "learning_starts": 20, "batch_size": 8, "seed": 0}
    return options | {"policy_kwargs": {"net_arch": [16]}} | changes


def weights(agent: BaseAlgorithm) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in agent.policy.parameters()]


def prioritized(**options: Any) -> PrioritizedDQN:
    """An agent that has collected and not yet learned."""
    agent = PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(learning_starts=10**6, **options))
    agent.learn(100)
    return agent


def one_batch(agent: PrioritizedDQN, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> PrioritizedSamples:
    """The batch that the agent is given from now on, with these fields replaced."""
    buffer = agent.replay_buffer
    assert isinstance(buffer, PrioritizedReplayBuffer)
    batch = buffer.sample(8)._replace(**fields)
    monkeypatch.setattr(buffer, "sample", lambda *arguments, **options: batch)
    return batch


# --- SB3's agents ---


@pytest.mark.parametrize("options", [OURS, N_STEP], ids=["one step", "three steps"])
@pytest.mark.parametrize("algorithm", [SAC, TD3, DDPG])
def test_continuous_agents_train(algorithm: Any, options: dict[str, Any]) -> None:
    agent = algorithm("MlpPolicy", "Pendulum-v1", **small(), **options)
    before = weights(agent)
    agent.learn(60)
    assert not any(torch.equal(old, new) for old, new in zip(before[:2], weights(agent)[:2], strict=True))


def test_dqn_trains_on_dicts_and_several_environments() -> None:
    space = spaces.Dict({"x": spaces.Box(-1, 1, (3,), np.float32), "place": spaces.Discrete(4)})
    env = DummyVecEnv([lambda i=i: Noise(space, seed=i) for i in range(3)])
    agent = DQN("MultiInputPolicy", env, **small(), **N_STEP).learn(300)
    assert isinstance(agent.replay_buffer, ReplayBuffer)
    assert len(agent.replay_buffer.replay) == 200
    assert agent.replay_buffer.replay.num_silent_boundaries == 0


def test_a_model_learns_the_same_from_the_only_row_of_either_buffer() -> None:
    learned = []
    for options in ({}, OURS):
        agent = DQN(
            "MlpPolicy", "CartPole-v1", **small(learning_starts=10**6, train_freq=1), **options
        ).learn(1)
        agent.train(gradient_steps=3, batch_size=4)
        learned.append(weights(agent))
    theirs, ours = learned
    assert all(torch.equal(a, b) for a, b in zip(theirs, ours, strict=True))


# --- prioritized DQN ---


def test_an_update_with_weights_of_one_is_that_of_dqn(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = prioritized()
    batch = one_batch(agent, monkeypatch, weights=torch.ones(8, 1))
    plain = DQN("MlpPolicy", "CartPole-v1", **small()).learn(1)
    plain.set_parameters(agent.get_parameters())
    samples = buffers.ReplayBufferSamples(*batch[:6])
    monkeypatch.setattr(plain.replay_buffer, "sample", lambda *arguments, **options: samples)
    for model in (agent, plain):
        model.train(gradient_steps=5, batch_size=8)
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), weights(plain), strict=True))


def test_a_weight_scales_what_its_row_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, other = prioritized(), prioritized()
    weight = torch.tensor([[1.0], [0.5], *[[0.0]] * 6])
    batch = one_batch(agent, monkeypatch, weights=weight)
    spoiled = batch.rewards.clone()
    spoiled[2:] = 1e3  # rows of weight zero
    one_batch(other, monkeypatch, **(batch._replace(rewards=spoiled)._asdict()))
    for model in (agent, other):
        model.policy.optimizer = torch.optim.SGD(model.policy.parameters(), lr=0.1)
        model.train(gradient_steps=1, batch_size=8)
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), weights(other), strict=True))


@pytest.mark.parametrize("double_q", [False, True])
def test_priorities_are_the_absolute_td_errors_before_weighting(
    double_q: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = prioritized(n_steps=3, double_q=double_q)
    for parameter in agent.q_net_target.parameters():
        torch.nn.init.normal_(parameter)  # so that the two networks disagree
    batch = one_batch(agent, monkeypatch, weights=torch.full((8, 1), 0.25))
    with torch.no_grad():
        values = agent.q_net_target(batch.next_observations)
        best = (agent.q_net if double_q else agent.q_net_target)(batch.next_observations).argmax(1)
        bootstrap = values[torch.arange(8), best]
        value = agent.q_net(batch.observations)[torch.arange(8), batch.actions[:, 0]]
    assert batch.discounts is not None
    target = batch.rewards[:, 0] + batch.discounts[:, 0] * (1 - batch.dones[:, 0]) * bootstrap
    given: list[Any] = []
    monkeypatch.setattr(agent.replay_buffer, "update_priorities", lambda *arguments: given.append(arguments))
    agent.train(gradient_steps=1, batch_size=8)
    ((keys, priorities),) = given
    np.testing.assert_array_equal(keys, batch.keys)
    torch.testing.assert_close(priorities, (target - value).abs())


def test_beta_grows_over_the_run_and_reaches_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(), beta=0.25, final_beta=0.75)
    betas: list[float] = []
    sample = PrioritizedReplayBuffer.sample

    def spy(buffer: Any, batch_size: int, env: Any, beta: float) -> Any:
        betas.append(beta)
        batch = sample(buffer, batch_size, env, beta)
        assert batch.weights.max() == 1
        return batch

    monkeypatch.setattr(PrioritizedReplayBuffer, "sample", spy)
    agent.learn(400)
    assert betas == sorted(betas)
    assert betas[0] == pytest.approx(0.25 + 0.5 * 24 / 400)  # the first update is after 24 of 400 steps
    assert betas[-1] == pytest.approx(0.75)


def test_a_prioritized_model_is_saved_and_loaded_with_its_settings_and_buffer(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # n_steps reaches the buffer, whatever SB3 says of custom ones
        agent = PrioritizedDQN(
            "MlpPolicy", "CartPole-v1", **small(), n_steps=3, gamma=0.9, alpha=0.7, double_q=True
        )
        agent.learn(100)
        agent.save(tmp_path / "model")
        agent.save_replay_buffer(tmp_path / "replay")
        loaded = PrioritizedDQN.load(tmp_path / "model", env=agent.get_env())
        loaded.load_replay_buffer(tmp_path / "replay")
    assert (loaded.alpha, loaded.beta, loaded.final_beta, loaded.double_q) == (0.7, 0.4, 1.0, True)
    assert isinstance(loaded.replay_buffer, PrioritizedReplayBuffer)
    replay = loaded.replay_buffer.replay
    assert (replay.n_step, replay.gamma, replay.alpha) == (3, 0.9, 0.7)
    loaded.set_logger(agent.logger)
    for model in (agent, loaded):
        model.train(gradient_steps=3, batch_size=8)
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), weights(loaded), strict=True))
    loaded.learn(50, reset_num_timesteps=False)


def test_a_prioritized_model_plays_as_a_plain_dqn(tmp_path: Path) -> None:
    agent = PrioritizedDQN("MlpPolicy", "CartPole-v1", **small()).learn(60)
    agent.save(tmp_path / "model")
    plain = DQN.load(tmp_path / "model")
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        plain.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0]
    )


def test_an_agent_waits_for_its_first_window() -> None:
    agent = PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(learning_starts=0, train_freq=1, n_steps=10))
    agent.learn(30)
    assert agent._n_updates > 0


@pytest.mark.parametrize("name", ["beta", "final_beta"])
def test_an_exponent_outside_of_zero_and_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a number from 0 to 1, got -1"):
        PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(**{name: -1}))


def test_a_buffer_without_priorities_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a PrioritizedReplayBuffer, got ReplayBuffer"):
        PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(), **OURS)


# --- learning ---

# https://github.com/DLR-RM/rl-baselines3-zoo/tree/master/hyperparams: dqn.yml, sac.yml
CARTPOLE = {
    "learning_rate": 2.3e-3,
    "batch_size": 64,
    "buffer_size": 100_000,
    "learning_starts": 1000,
    "gamma": 0.99,
    "target_update_interval": 10,
    "train_freq": 256,
    "gradient_steps": 128,
    "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
    "policy_kwargs": {"net_arch": [256, 256]},
}
PENDULUM = {"learning_rate": 1e-3}


def score(agent: BaseAlgorithm, env_id: str, num_episodes: int = 20) -> float:
    """The mean return of whole games in an environment of its own."""
    env = type(agent)("MlpPolicy", env_id, buffer_size=1).get_env()
    assert env is not None
    env.seed(1000)
    mean, _ = evaluate_policy(agent, env, n_eval_episodes=num_episodes, deterministic=True)
    assert isinstance(mean, float)
    return mean


@pytest.mark.learns
@pytest.mark.parametrize("options", [{}, OURS], ids=["theirs", "ours"])
def test_dqn_solves_cartpole_with_either_buffer(options: dict[str, Any]) -> None:
    agent = DQN("MlpPolicy", "CartPole-v1", seed=1, **CARTPOLE, **options).learn(50_000)
    assert score(agent, "CartPole-v1") >= 475.0


@pytest.mark.learns
@pytest.mark.parametrize("options", [{}, OURS], ids=["theirs", "ours"])
def test_sac_swings_the_pendulum_up_with_either_buffer(options: dict[str, Any]) -> None:
    agent = SAC("MlpPolicy", "Pendulum-v1", seed=1, **PENDULUM, **options).learn(6_000)
    assert score(agent, "Pendulum-v1") >= -200.0


@pytest.mark.learns
def test_prioritized_dqn_solves_cartpole() -> None:
    # Schaul et al. 2016, section 4: a quarter of the uniform agent's learning rate. With all of it this one ends at 158.
    options = CARTPOLE | {"learning_rate": 2.3e-3 / 4}
    agent = PrioritizedDQN("MlpPolicy", "CartPole-v1", seed=1, **options).learn(50_000)
    assert score(agent, "CartPole-v1") >= 475.0
