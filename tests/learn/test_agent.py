"""The agent: what it refuses, how it acts, and every part of one gradient step against numbers worked out apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.config.run import Run
from mujigae.errors import ConfigError
from mujigae.exploration import explore
from mujigae.networks.targets import persistent_state, step_target

torch.set_num_threads(1)  # small tensors; a second thread only waits

VECTOR = spaces.Box(-1.0, 1.0, (3,), np.float32)
PIXELS = spaces.Box(0, 255, (4, 30, 30), np.uint8)
ACTIONS = spaces.Discrete(2)
AFTER_EXPLORATION = 20_000  # steps: epsilon is at its end
SMALL: dict[str, Any] = {"hidden_sizes": (8,), "head_size": 8, "batch_size": 5, "num_threads": 1}

FRACTIONS = {"num_fractions": 7, "num_target_fractions": 6, "num_action_fractions": 5}
PARTS: list[dict[str, Any]] = [
    {},
    {"double": True},
    {"dueling": True},
    {"noisy": True},
    {"loss": "squared"},
    {"loss": "cross_entropy", "num_atoms": 7},
    {"double": True, "dueling": True, "noisy": True, "loss": "cross_entropy", "num_atoms": 7},
    {"loss": "hl_gauss", "num_atoms": 31, "v_min": -4.0, "v_max": 4.0},
    {"target": "munchausen", "munchausen_alpha": 0.0},
    {"batch_norm": True},
    {"spectral_norm": True},
    {"loss": "quantile", "num_quantiles": 7},
    {"double": True, "dueling": True, "noisy": True, "loss": "quantile", "num_quantiles": 7},
    {"loss": "implicit_quantile", **FRACTIONS},
    {"double": True, "dueling": True, "noisy": True, "loss": "implicit_quantile", **FRACTIONS},
]


class Transitions(NamedTuple):
    """What the agent reads of a replay batch."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    discount: Tensor
    weight: Tensor


def make_agent(
    space: spaces.Space[Any] = VECTOR, actions: spaces.Space[Any] = ACTIONS, **changes: Any
) -> DQN:
    return DQN(Run.from_flat({**SMALL, **changes}, DQNConfig), space, actions)


def make_batch(batch_size: int = 5, shape: tuple[int, ...] = (3,), seed: int = 0) -> Transitions:
    rng = np.random.default_rng(seed)

    def obs() -> Tensor:
        if len(shape) == 1:
            return torch.from_numpy(rng.normal(size=(batch_size, *shape)).astype(np.float32))
        return torch.from_numpy(rng.integers(256, size=(batch_size, *shape), dtype=np.uint8))

    def floats(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, batch_size).astype(np.float32))

    action = torch.from_numpy(rng.integers(2, size=batch_size))
    return Transitions(obs(), action, floats(-3, 3), obs(), floats(0, 1), floats(0.1, 1))


def perturb(network: torch.nn.Module, seed: int) -> None:
    """Moves the weights, so that online and target network differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)


def parameters(network: torch.nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def are_equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


# --- spaces and devices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "actions", [spaces.Box(-1, 1, (1,)), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2), None]
)
def test_actions_that_are_not_discrete_are_refused(actions: Any) -> None:
    with pytest.raises(ConfigError, match=r"action_space: DQN handles Discrete actions and Box .*, got"):
        make_agent(actions=actions)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"a": VECTOR}),
        spaces.Tuple([VECTOR]),
        spaces.Discrete(4),
        spaces.Box(0, 1, (2, 3, 4, 5)),
        None,
    ],
)
def test_observations_that_are_neither_vectors_nor_images_are_refused(space: Any) -> None:
    with pytest.raises(ConfigError, match=r"observation_space: DQN handles Discrete actions and Box"):
        make_agent(space)


@pytest.mark.parametrize("device", ["cuda:99", "warp"])
def test_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match=f"device: expected a device of this machine, got '{device}'"):
        make_agent(device=device)


# --- acting -----------------------------------------------------------------------------------------------------------


def test_without_epsilon_the_action_is_the_greedy_one() -> None:
    agent = make_agent(epsilon_end=0.0)
    perturb(agent.online, 1)
    obs = make_batch(64).obs
    expected = agent.online(obs)[..., 0].argmax(1).numpy()
    assert 0 < expected.sum() < 64
    action = agent.act(obs.numpy(), AFTER_EXPLORATION)
    np.testing.assert_array_equal(action, expected)
    assert action.dtype == np.int64


def test_epsilon_is_the_share_of_uniformly_random_actions() -> None:
    greedy = np.zeros(40_000, dtype=np.int64)
    action = explore(greedy, 0.3, 4, np.random.default_rng(0))
    share = np.bincount(action, minlength=4) / len(action)
    np.testing.assert_allclose(
        share, [0.775, 0.075, 0.075, 0.075], atol=0.01
    )  # a random action can be greedy


def test_actions_start_where_the_space_starts() -> None:
    agent = make_agent(actions=spaces.Discrete(2, start=5))
    obs = make_batch(64).obs.numpy()
    assert set(agent.act(obs, 0)) == {5, 6}
    assert set(agent.act_for_evaluation(obs, np.random.default_rng(0))) <= {5, 6}
    batch = make_batch()
    shifted = agent.learn(batch._replace(action=batch.action + 5))
    plain = make_agent().learn(batch)
    torch.testing.assert_close(shifted.priorities, plain.priorities)


def test_noise_is_redrawn_before_every_act() -> None:
    agent = make_agent(noisy=True)
    obs = make_batch(1).obs
    outputs = []
    for _ in range(3):
        agent.act(obs.numpy(), AFTER_EXPLORATION)
        outputs.append(agent.online(obs).detach())
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])


def test_evaluation_is_silent_and_moves_no_state_of_the_agent() -> None:
    agent, untouched = (make_agent(noisy=True, eval_epsilon=0.5) for _ in range(2))
    perturb(agent.online, 1)
    perturb(untouched.online, 1)
    obs = make_batch(64).obs.numpy()
    first = agent.act_for_evaluation(obs, np.random.default_rng(1))
    second = agent.act_for_evaluation(obs, np.random.default_rng(1))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(agent.act(obs, 5_000), untouched.act(obs, 5_000))


def test_same_seed_gives_the_same_agent_and_another_seed_another() -> None:
    first, second, other = make_agent(seed=1), make_agent(seed=1), make_agent(seed=2)
    assert are_equal(parameters(first.online), parameters(second.online))
    assert not are_equal(parameters(first.online), parameters(other.online))


def test_global_random_state_is_neither_read_nor_moved() -> None:
    def run() -> tuple[np.ndarray[Any, Any], list[Tensor]]:
        agent = make_agent(noisy=True, double=True)
        action = agent.act(make_batch(64).obs.numpy(), 5_000)
        agent.learn(make_batch())
        return action, parameters(agent.online)

    torch.manual_seed(1)
    np.random.seed(1)
    first = run()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    torch.manual_seed(2)
    np.random.seed(2)
    second = run()
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[index]
    np.testing.assert_array_equal(first[0], second[0])
    assert are_equal(first[1], second[1])


# --- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_repeating_one_batch_of_terminals_teaches_its_rewards(parts: dict[str, Any]) -> None:
    agent = make_agent(**parts, learning_rate=1e-2, noisy_sigma=0.1)
    batch = make_batch()._replace(discount=torch.zeros(5), weight=torch.ones(5))
    for _ in range(300):
        agent.learn(batch)
    agent.online.eval()
    taken = agent.online.q_values(agent.online(batch.obs)).gather(1, batch.action[:, None])[:, 0]
    torch.testing.assert_close(taken, batch.reward, atol=0.3, rtol=0)


@pytest.mark.parametrize("double", [False, True])
def test_td_is_the_unweighted_error_of_the_double_or_the_plain_target(double: bool) -> None:
    agent = make_agent(double=double)
    perturb(agent.online, 1)
    perturb(agent.target, 2)
    batch = make_batch(64)
    selector = agent.online if double else agent.target
    with torch.no_grad():
        choice = selector(batch.next_obs)[..., 0].argmax(1, keepdim=True)
        other = (agent.target if double else agent.online)(batch.next_obs)[..., 0].argmax(1, keepdim=True)
        ahead = agent.target(batch.next_obs)[..., 0].gather(1, choice)[:, 0]
        q = agent.online(batch.obs)[..., 0].gather(1, batch.action[:, None])[:, 0]
    assert (choice != other).any()  # the two rules differ on this batch
    expected = (batch.reward + batch.discount * ahead - q).abs()
    torch.testing.assert_close(agent.learn(batch).priorities, expected)


def test_loss_is_the_mean_of_weight_times_loss() -> None:
    agent = make_agent()
    perturb(agent.online, 1)
    batch = make_batch(64)
    update = agent.learn(batch)
    td = update.priorities
    huber = torch.where(td < 1, td**2 / 2, td - 0.5)
    torch.testing.assert_close(update.metrics["loss"], (batch.weight * huber).mean())


def test_weight_zero_teaches_nothing_yet_reports_its_error() -> None:
    agent = make_agent()
    before = parameters(agent.online)
    update = agent.learn(make_batch()._replace(weight=torch.zeros(5)))
    assert are_equal(before, parameters(agent.online))
    assert (update.priorities > 0).all()


def test_gradient_is_scaled_down_to_the_largest_norm() -> None:
    agent = make_agent(max_grad_norm=0.5)
    batch = make_batch()
    agent.learn(batch._replace(reward=batch.reward * 1e3, weight=batch.weight * 1e3))
    norm = torch.sqrt(sum((p.grad**2).sum() for p in agent.online.parameters() if p.grad is not None))
    assert float(norm) == pytest.approx(0.5, rel=1e-4)


def test_online_and_target_draw_noise_of_their_own() -> None:
    agent = make_agent(noisy=True)
    obs = make_batch(1).obs
    agent.learn(make_batch())
    step_target(persistent_state(agent.online), persistent_state(agent.target), tau=1)
    assert not torch.equal(agent.online(obs), agent.target(obs))
    agent.online.eval(), agent.target.eval()
    assert torch.equal(agent.online(obs), agent.target(obs))


def test_noise_of_selection_loss_and_target_are_three_draws() -> None:
    agent = make_agent(noisy=True, double=True)
    draws: list[Tensor] = []
    for network in (agent.online, agent.target):
        network.register_forward_pre_hook(lambda module, _: draws.append(noise_of(module)))
    agent.learn(make_batch())
    assert len(draws) == 3  # target, selection, loss
    assert len({tuple(draw.tolist()) for draw in draws}) == 3


def noise_of(network: torch.nn.Module) -> Tensor:
    return torch.cat([buffer.flatten() for name, buffer in network.named_buffers() if name.endswith("noise")])


# --- the target network -----------------------------------------------------------------------------------------------


def test_target_is_a_network_of_its_own_without_gradients() -> None:
    agent = make_agent()
    agent.learn(make_batch())
    storages = {parameter.data_ptr() for parameter in agent.online.parameters()}
    assert all(parameter.data_ptr() not in storages for parameter in agent.target.parameters())
    assert all(parameter.grad is None for parameter in agent.target.parameters())


def test_hard_target_is_copied_every_period_and_untouched_between() -> None:
    agent = make_agent(target_update_period_updates=3)
    first = parameters(agent.target)
    for update in range(1, 7):
        agent.learn(make_batch(seed=update))
        if update % 3 == 0:
            assert are_equal(parameters(agent.target), parameters(agent.online))
            first = parameters(agent.target)
        else:
            assert are_equal(parameters(agent.target), first)
            assert not are_equal(parameters(agent.target), parameters(agent.online))


def test_polyak_target_moves_by_tau_towards_the_online_network() -> None:
    agent = make_agent(tau=0.25, target_update_period_updates=1)
    before = parameters(agent.target)
    agent.learn(make_batch())
    for old, new, online in zip(before, parameters(agent.target), parameters(agent.online), strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * online)


def test_target_step_takes_buffers_along() -> None:
    online, target = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    online.running_mean += 4.0  # type: ignore[operator]
    online.num_batches_tracked += 7  # type: ignore[operator]
    step_target(persistent_state(online), persistent_state(target), tau=0.25)
    assert target.running_mean.tolist() == [1.0, 1.0]  # type: ignore[union-attr]
    assert target.num_batches_tracked == 7


# --- precision and memory order ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [False, True])
def test_bfloat16_trains_every_parameter_in_float32(double: bool) -> None:
    agent = make_agent(PIXELS, torso="small_pixels", precision="bfloat16", channels_last=True, double=double)
    update = agent.learn(make_batch(shape=(4, 30, 30)))
    assert update.metrics["loss"].dtype == update.priorities.dtype == torch.float32
    for name, parameter in agent.online.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_channels_last_computes_the_same() -> None:
    batch = make_batch(shape=(4, 30, 30))
    td = [
        make_agent(PIXELS, torso="small_pixels", channels_last=order).learn(batch).priorities
        for order in (False, True)
    ]
    torch.testing.assert_close(td[0], td[1], atol=1e-5, rtol=1e-5)


# --- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_restored_agent_goes_on_bit_for_bit(parts: dict[str, Any]) -> None:
    agent = make_agent(**parts, target_update_period_updates=3)
    for seed in range(4):
        agent.learn(make_batch(seed=seed))
        agent.act(make_batch(seed=seed).obs.numpy(), 5_000)
    copy = make_agent(**parts, target_update_period_updates=3)
    copy.restore(agent.tensors(), agent.state())
    obs = make_batch(64).obs.numpy()
    for seed in range(4, 8):
        np.testing.assert_array_equal(agent.act(obs, 5_000), copy.act(obs, 5_000))
        one, two = agent.learn(make_batch(seed=seed)), copy.learn(make_batch(seed=seed))
        assert torch.equal(one.priorities, two.priorities)
    for name, tensor in agent.tensors().items():
        assert torch.equal(tensor, copy.tensors()[name]), name


def test_agent_that_never_update_can_be_saved_and_restored() -> None:
    agent, copy = make_agent(), make_agent()
    copy.restore(agent.tensors(), agent.state())
    agent.learn(make_batch()), copy.learn(make_batch())
    assert are_equal(parameters(agent.online), parameters(copy.online))


def test_state_of_another_network_is_refused_and_changes_nothing() -> None:
    agent, other = make_agent(), make_agent(hidden_sizes=(9,))
    before = parameters(agent.online)
    with pytest.raises(
        ValueError, match=r"tensor .*: expected torch.float32 \[8, 3\], got torch.float32 \[9, 3\]"
    ):
        agent.restore(other.tensors(), other.state())
    with pytest.raises(ValueError, match="is missing"):
        agent.restore(make_agent(dueling=True).tensors(), other.state())
    assert are_equal(before, parameters(agent.online))
