"""Rainbow as an algorithm of Stable-Baselines3: its networks, its noise, its update, and what SB3's users do with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_agents import CARTPOLE, score, small, weights
from sb3_streams import Noise

from mujigae.integrations.stable_baselines3 import PrioritizedReplayBuffer, Rainbow
from mujigae.losses import cross_entropy

SUPPORT = {"num_atoms": 11, "v_min": -2.0, "v_max": 8.0}


def rainbow(num_steps: int = 100, *, noisy_sigma: float = 0.5, **options: Any) -> Rainbow:
    """An agent that has collected and not yet learned."""
    kwargs = {"net_arch": [16, 12], "noisy_sigma": noisy_sigma, **SUPPORT}
    settings = small(learning_starts=10**6, policy_kwargs=kwargs) | options
    return Rainbow("MlpPolicy", "CartPole-v1", **settings).learn(num_steps)


def observations(num: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(num, 4)).astype(np.float32)


# --- networks ---


def test_values_are_the_means_of_distributions_over_the_support() -> None:
    network = rainbow(1).q_net
    obs = torch.tensor(observations())
    network.silence_noise()
    logits = network.logits(obs)
    assert logits.shape == (40, 2, 11)
    means = (logits.softmax(dim=-1) * torch.linspace(-2, 8, 11)).sum(dim=-1)
    torch.testing.assert_close(network(obs), means)


def test_streams_have_noise_and_a_hidden_layer_of_the_last_size_and_shared_layers_have_none() -> None:
    network = rainbow(1).q_net
    assert [(layer.in_features, layer.out_features) for layer in network._noisy_layers()] == [
        *((16, 12), (12, 11)),  # of the value
        *((16, 12), (12, 22)),  # of the advantages
    ]
    assert [type(layer).__name__ for layer in network.shared] == ["Linear", "ReLU"]
    assert network.head.advantage_stream is not network.head.value_stream


@pytest.mark.parametrize(
    ("policy", "space", "num_features"),
    [
        ("CnnPolicy", spaces.Box(0, 255, (4, 84, 84), np.uint8), 3136),
        ("MultiInputPolicy", spaces.Dict({"x": spaces.Box(-1, 1, (3,), np.float32)}), 3),
    ],
    ids=["images", "dicts"],
)
def test_other_policies_train(policy: str, space: Any, num_features: int) -> None:
    agent = Rainbow(policy, Noise(space), **small(buffer_size=100, learning_starts=10, policy_kwargs=SUPPORT))
    assert agent.q_net.features_dim == num_features
    agent.learn(24)
    assert agent._n_updates > 0


def test_adam_has_the_epsilon_of_the_paper() -> None:
    assert rainbow(1).policy.optimizer.defaults["eps"] == 1.5e-4


# --- noise ---


def test_deterministic_predictions_have_no_noise_and_others_have_new_noise_each_time() -> None:
    agent = rainbow(1, noisy_sigma=3.0)
    obs = observations(200)
    first, second = (agent.predict(obs, deterministic=True)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    torch.manual_seed(0)
    draws = [agent.predict(obs)[0] for _ in range(4)]
    assert len({draw.tobytes() for draw in draws}) == 4
    torch.manual_seed(0)
    np.testing.assert_array_equal(agent.predict(obs)[0], draws[0])
    np.testing.assert_array_equal(agent.predict(obs, deterministic=True)[0], first)


def test_both_networks_draw_noise_of_their_own_for_every_update() -> None:
    agent = rainbow()
    networks = agent.q_net, agent.q_net_target
    seen = []
    for _ in range(2):
        agent.train(gradient_steps=1, batch_size=8)
        seen += [network._noisy_layers()[0].noise.clone() for network in networks]
        assert all(layer.training for network in networks for layer in network._noisy_layers())
    assert len({noise.numpy().tobytes() for noise in seen}) == 4


# --- updates ---


@pytest.mark.parametrize("double_q", [False, True])
def test_priorities_are_the_cross_entropies_with_double_selection(
    double_q: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = rainbow(double_q=double_q, noisy_sigma=0.0)
    for parameter in agent.q_net_target.parameters():
        torch.nn.init.normal_(parameter)  # so that the two networks disagree
    for layer in agent.q_net_target._noisy_layers():
        torch.nn.init.zeros_(layer.weight_sigma)
        torch.nn.init.zeros_(layer.bias_sigma)
    assert isinstance(agent.replay_buffer, PrioritizedReplayBuffer)
    batch = agent.replay_buffer.sample(8)
    with torch.no_grad():
        selector = agent.q_net if double_q else agent.q_net_target
        assert batch.discounts is not None
        expected = cross_entropy(
            agent.q_net.logits(batch.observations),
            agent.q_net_target.logits(batch.next_observations),
            selector(batch.next_observations),
            batch.actions.flatten(),
            batch.rewards.flatten(),
            ((1 - batch.dones) * batch.discounts).flatten(),
            torch.linspace(-2, 8, 11),
        )
    given: list[Any] = []
    monkeypatch.setattr(agent.replay_buffer, "sample", lambda *arguments, **options: batch)
    monkeypatch.setattr(agent.replay_buffer, "update_priorities", lambda *arguments: given.append(arguments))
    agent.train(gradient_steps=1, batch_size=8)
    torch.testing.assert_close(given[0][1], expected.priority)


def test_update_reaches_means_and_scales_of_the_noise() -> None:
    agent = rainbow()
    before = {name: parameter.detach().clone() for name, parameter in agent.q_net.named_parameters()}
    agent.train(gradient_steps=3, batch_size=8)
    after = dict(agent.q_net.named_parameters())
    assert any("sigma" in name for name in before)
    assert [name for name in before if torch.equal(before[name], after[name])] == []


# --- what users do with a model ---


def test_model_is_saved_and_loaded_with_its_settings_and_buffer(tmp_path: Path) -> None:
    agent = rainbow()
    agent.train(gradient_steps=2, batch_size=8)
    agent.save(tmp_path / "model")
    agent.save_replay_buffer(tmp_path / "replay")
    loaded = Rainbow.load(tmp_path / "model", env=agent.get_env())
    loaded.load_replay_buffer(tmp_path / "replay")
    obs = observations()
    np.testing.assert_array_equal(
        loaded.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0]
    )
    assert (loaded.n_steps, loaded.alpha, loaded.double_q) == (3, 0.5, True)
    assert loaded.q_net.distribution == SUPPORT | {"noisy_sigma": 0.5}
    loaded.set_logger(agent.logger)
    for model in (agent, loaded):
        torch.manual_seed(0)
        model.train(gradient_steps=3, batch_size=8)
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), weights(loaded), strict=True))
    loaded.learn(50, reset_num_timesteps=False)


def test_policy_is_saved_and_loaded_alone(tmp_path: Path) -> None:
    agent = rainbow()
    agent.policy.save(str(tmp_path / "policy"))
    loaded = type(agent.policy).load(str(tmp_path / "policy"))
    obs = observations()
    np.testing.assert_array_equal(
        loaded.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0]
    )


def test_seeded_run_is_repeatable() -> None:
    first, second = (rainbow(200, learning_starts=30, train_freq=1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


# --- learning ---


@pytest.mark.learns
def test_rainbow_solves_cartpole() -> None:
    options = {name: value for name, value in CARTPOLE.items() if not name.startswith("exploration")}
    options |= {
        "learning_rate": 5e-4,
        "policy_kwargs": {"net_arch": [256, 256], "v_min": 0.0, "v_max": 100.0},
    }
    agent = Rainbow("MlpPolicy", "CartPole-v1", seed=1, **options).learn(50_000)
    assert score(agent, "CartPole-v1") >= 475.0
