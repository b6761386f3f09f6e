"""The prioritized agents of Stable-Baselines3's family against the agents that they are made of.

The test marked `learns` trains each with the hyperparameters of RL Baselines3 Zoo and asks for the score that SB3's own reach
there (test_stable_baselines3_agents.py, test_sb3_contrib.py).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sb3_agents import CARTPOLE, score, small, weights
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common import buffers

from mujigae.integrations import stable_baselines3 as adapters
from mujigae.integrations.stable_baselines3 import (
    PrioritizedDQN,
    PrioritizedReplayBuffer,
    PrioritizedSamples,
    ReplayBuffer,
)


class Pair(NamedTuple):
    """A prioritized agent and the one that it is made of."""

    prioritized: Any
    plain: Any
    env_id: str
    options: dict[str, Any]


def pair(name: str) -> Pair:
    """DQN, QRDQN, SAC or TD3; skips where its library is missing."""
    if name == "QRDQN":
        contrib = pytest.importorskip("sb3_contrib", reason="needs sb3-contrib")
        from mujigae.integrations.sb3_contrib import PrioritizedQRDQN

        network = {"policy_kwargs": {"net_arch": [16], "n_quantiles": 5}}
        return Pair(PrioritizedQRDQN, contrib.QRDQN, "CartPole-v1", network)
    plain = {"DQN": DQN, "SAC": SAC, "TD3": TD3}[name]
    return Pair(
        getattr(adapters, f"Prioritized{name}"), plain, "CartPole-v1" if name == "DQN" else "Pendulum-v1", {}
    )


NAMES = ["DQN", "QRDQN", "SAC", "TD3"]
every_agent = pytest.mark.parametrize("name", NAMES)


def collected(name: str, **options: Any) -> Any:
    """A prioritized agent that has collected and not yet learned."""
    agent, _, env_id, own = pair(name)
    model = agent("MlpPolicy", env_id, **small(learning_starts=10**6, **own | options))
    return model.learn(100)


def one_batch(agent: Any, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> PrioritizedSamples:
    """The batch that the agent is given from now on, with these fields replaced."""
    buffer = agent.replay_buffer
    assert isinstance(buffer, PrioritizedReplayBuffer)
    batch = buffer.sample(8)._replace(**fields)
    monkeypatch.setattr(buffer, "sample", lambda *arguments, **options: batch)
    return batch


def given_priorities(agent: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every later `update_priorities`."""
    given: list[Any] = []
    monkeypatch.setattr(agent.replay_buffer, "update_priorities", lambda *arguments: given.append(arguments))
    return given


def disagreeing(*networks: torch.nn.Module) -> None:
    """Makes target networks unlike the online ones."""
    for network in networks:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)


# --- updates ---


@every_agent
@pytest.mark.parametrize("n_steps", [1, 3])
def test_an_update_with_weights_of_one_is_that_of_the_plain_agent(
    name: str, n_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = collected(name, n_steps=n_steps)
    batch = one_batch(agent, monkeypatch, weights=torch.ones(8, 1))
    _, plain_agent, env_id, own = pair(name)
    plain = plain_agent("MlpPolicy", env_id, **small(**own)).learn(1)
    plain.set_parameters(agent.get_parameters())
    samples = buffers.ReplayBufferSamples(*batch[:6])
    monkeypatch.setattr(plain.replay_buffer, "sample", lambda *arguments, **options: samples)
    for model in (agent, plain):
        torch.manual_seed(0)  # of the actions that SAC and TD3 draw
        model.train(gradient_steps=5, batch_size=8)
    assert agent._n_updates == plain._n_updates
    for ours, theirs in zip(weights(agent), weights(plain), strict=True):
        torch.testing.assert_close(ours, theirs)


@every_agent
def test_rows_of_weight_zero_teach_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = collected(name).replay_buffer.sample(8)
    rewards, observations = rows.rewards.clone(), rows.observations.clone()
    rewards[2:], observations[2:] = 10, 10
    spoiled = rows._replace(rewards=rewards, observations=observations)
    learned = []
    for given in (rows, spoiled):
        agent = collected(name)
        weight = torch.tensor([[1.0], [0.5], *[[0.0]] * 6])
        one_batch(agent, monkeypatch, **given._replace(weights=weight)._asdict())
        torch.manual_seed(0)  # of the actions that SAC and TD3 draw
        agent.train(gradient_steps=2, batch_size=8)
        learned.append(weights(agent))
    for ours, theirs in zip(*learned, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("double_q", [False, True])
def test_priorities_of_dqn_are_the_absolute_td_errors_before_weighting(
    double_q: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = collected("DQN", n_steps=3, double_q=double_q)
    disagreeing(agent.q_net_target)
    batch = one_batch(agent, monkeypatch, weights=torch.full((8, 1), 0.25))
    with torch.no_grad():
        values = agent.q_net_target(batch.next_observations)
        best = (agent.q_net if double_q else agent.q_net_target)(batch.next_observations).argmax(1)
        bootstrap = values[torch.arange(8), best]
        value = agent.q_net(batch.observations)[torch.arange(8), batch.actions[:, 0]]
    assert batch.discounts is not None
    target = batch.rewards[:, 0] + batch.discounts[:, 0] * (1 - batch.dones[:, 0]) * bootstrap
    given = given_priorities(agent, monkeypatch)
    agent.train(gradient_steps=1, batch_size=8)
    ((keys, priorities),) = given
    np.testing.assert_array_equal(keys, batch.keys)
    torch.testing.assert_close(priorities, (target - value).abs())


@pytest.mark.parametrize("name", ["SAC", "TD3"])
def test_priorities_of_two_critics_are_their_mean_absolute_td_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = collected(name, gamma=0.0)  # so that the target is the reward
    batch = one_batch(agent, monkeypatch, weights=torch.full((8, 1), 0.25))
    with torch.no_grad():
        first, second = agent.critic(batch.observations, batch.actions)
    given = given_priorities(agent, monkeypatch)
    agent.train(gradient_steps=1, batch_size=8)
    ((keys, priorities),) = given
    np.testing.assert_array_equal(keys, batch.keys)
    expected = ((first - batch.rewards).abs() + (second - batch.rewards).abs()) / 2
    torch.testing.assert_close(priorities, expected.flatten())


def test_priorities_of_qrdqn_are_the_losses_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = collected("QRDQN", n_steps=3)
    quantile_huber_loss = pytest.importorskip("sb3_contrib.common.utils").quantile_huber_loss
    disagreeing(agent.quantile_net_target)
    batch = one_batch(agent, monkeypatch, weights=torch.full((8, 1), 0.25))
    with torch.no_grad():
        online = agent.quantile_net(batch.observations)  # [B, N, A]
        target = agent.quantile_net_target(batch.next_observations)
    discount = batch.discounts * (1 - batch.dones)  # type: ignore[operator]
    expected = []
    for b, action in enumerate(batch.actions.flatten()):
        target_row = batch.rewards[b] + discount[b] * target[b, :, target[b].mean(0).argmax()]
        expected.append(quantile_huber_loss(online[b, :, action][None], target_row[None]))
    given = given_priorities(agent, monkeypatch)
    agent.train(gradient_steps=1, batch_size=8)
    torch.testing.assert_close(given[0][1], torch.stack(expected))


# --- runs ---


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


@every_agent
def test_a_prioritized_model_is_saved_and_loaded_with_its_settings_and_buffer(
    name: str, tmp_path: Path
) -> None:
    cls, _, env_id, own = pair(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # n_steps reaches the buffer, whatever SB3 says of custom ones
        agent = cls("MlpPolicy", env_id, **small(**own), n_steps=3, gamma=0.9, alpha=0.7)
        agent.learn(100)
        agent.save(tmp_path / "model")
        agent.save_replay_buffer(tmp_path / "replay")
        loaded = cls.load(tmp_path / "model", env=agent.get_env())
        loaded.load_replay_buffer(tmp_path / "replay")
    assert (loaded.alpha, loaded.beta, loaded.final_beta) == (0.7, 0.4, 1.0)
    assert isinstance(loaded.replay_buffer, PrioritizedReplayBuffer)
    replay = loaded.replay_buffer.replay
    assert (replay.n_step, replay.gamma, replay.alpha) == (3, 0.9, 0.7)
    loaded.set_logger(agent.logger)
    for model in (agent, loaded):
        torch.manual_seed(0)
        model.train(gradient_steps=3, batch_size=8)
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), weights(loaded), strict=True))
    loaded.learn(50, reset_num_timesteps=False)


def test_a_model_that_is_loaded_with_other_settings_has_them_in_its_buffer(tmp_path: Path) -> None:
    agent = PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(n_steps=3, gamma=0.9, alpha=0.7))
    agent.save(tmp_path / "model")
    loaded = PrioritizedDQN.load(tmp_path / "model", env=agent.get_env(), n_steps=2, gamma=0.5, alpha=0.2)
    assert isinstance(loaded.replay_buffer, PrioritizedReplayBuffer)
    replay = loaded.replay_buffer.replay
    assert (replay.n_step, replay.gamma, replay.alpha) == (2, 0.5, 0.2)


@every_agent
def test_a_prioritized_model_plays_as_the_plain_agent(name: str, tmp_path: Path) -> None:
    cls, plain_agent, env_id, own = pair(name)
    agent = cls("MlpPolicy", env_id, **small(**own)).learn(60)
    agent.save(tmp_path / "model")
    plain = plain_agent.load(tmp_path / "model")
    size = agent.observation_space.shape[0]
    obs = np.random.default_rng(0).normal(size=(50, size)).astype(np.float32)
    np.testing.assert_array_equal(
        plain.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0]
    )


@every_agent
def test_an_agent_waits_for_its_first_window(name: str) -> None:
    cls, _, env_id, own = pair(name)
    agent = cls("MlpPolicy", env_id, **small(learning_starts=0, train_freq=1, n_steps=10, **own))
    agent.learn(30)
    assert agent._n_updates > 0


def test_a_fixed_entropy_coefficient_and_state_dependent_noise_train() -> None:
    agent = collected("SAC", ent_coef=0.1, use_sde=True)
    before = weights(agent)
    agent.train(gradient_steps=2, batch_size=8)
    assert not torch.equal(before[0], weights(agent)[0])


# --- refusals ---


@pytest.mark.parametrize("name", ["beta", "final_beta"])
def test_an_exponent_outside_of_zero_and_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a number from 0 to 1, got -1"):
        PrioritizedDQN("MlpPolicy", "CartPole-v1", **small(**{name: -1}))


@every_agent
def test_a_buffer_without_priorities_is_refused(name: str) -> None:
    cls, _, env_id, own = pair(name)
    with pytest.raises(TypeError, match="expected a PrioritizedReplayBuffer, got ReplayBuffer"):
        cls("MlpPolicy", env_id, **small(**own), replay_buffer_class=ReplayBuffer)


# --- learning ---


@pytest.mark.learns
@pytest.mark.parametrize("name", ["DQN", "QRDQN"])
def test_prioritized_agents_solve_cartpole(name: str) -> None:
    # Schaul et al. 2016, section 4: a quarter of the uniform agent's learning rate. With all of it DQN ends at 158.
    network = {"net_arch": [256, 256]} | ({"n_quantiles": 10} if name == "QRDQN" else {})
    options = CARTPOLE | {"learning_rate": 2.3e-3 / 4, "policy_kwargs": network}
    agent = pair(name).prioritized("MlpPolicy", "CartPole-v1", seed=1, **options).learn(50_000)
    assert score(agent, "CartPole-v1") >= 475.0


@pytest.mark.learns
@pytest.mark.parametrize("name", ["SAC", "TD3"])
def test_prioritized_agents_swing_the_pendulum_up(name: str) -> None:
    agent = pair(name).prioritized("MlpPolicy", "Pendulum-v1", seed=1, learning_rate=1e-3).learn(6_000)
    assert score(agent, "Pendulum-v1") >= -200.0
