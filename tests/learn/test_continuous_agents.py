"""Agents with continuous actions: what they refuse, how they act, what one update does, and that they resume bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from envs_by_hand import Five, Registry
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from mujigae.agents.presets import resolve
from mujigae.agents.registry import config_of, create_agent
from mujigae.config.checks import field_docs
from mujigae.config.run import flat_fields
from mujigae.config.saved import run_from_values, run_to_json
from mujigae.errors import ConfigError
from mujigae.runs import checkpoint
from mujigae.training.loop import Training, build, run

PRESETS = ("ddpg", "td3", "sac", "naf", "cem")
VECTOR = spaces.Box(-1.0, 1.0, (3,), np.float32)
LOPSIDED = spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)
SMALL: dict[str, Any] = {
    "num_envs": 3,
    "hidden_sizes": (8,),
    "batch_size": 8,
    "capacity": 300,
    "min_replay_steps": 30,
    "steps": 120,
    "checkpoint_period_steps": 60,
    "log_period_steps": 30,
    "num_threads": 1,
}


def small(preset: str, **changes: Any) -> Any:
    return resolve(preset, "Pendulum-v1", {**SMALL, **changes})


def make_agent(preset: str, observations: Any = VECTOR, actions: Any = LOPSIDED, **changes: Any) -> Any:
    return create_agent(small(preset, **changes), observations, actions)


def with_noise(preset: str, **options: Any) -> dict[str, Any]:
    """Options of the noise, which SAC has none of."""
    return {} if preset == "sac" else options


def observations(num_envs: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(num_envs, 3)).astype(np.float32)


# --- configuration ---


@pytest.mark.parametrize("preset", PRESETS)
def test_bare_preset_is_for_pendulum_and_survives_json(preset: str) -> None:
    config = resolve(preset, None, {"seed": 3})
    assert (config.env.env_id, config.budget.steps) == ("Pendulum-v1", 20_000)
    assert run_from_values(json.loads(run_to_json(config)), config_of) == config
    kind = type(config.agent)
    for name in config.agent.__dataclass_fields__:
        doc = field_docs(flat_fields(kind)[name])[name]
        assert doc.endswith("."), name


def test_td3_is_ddpg_with_three_changes() -> None:
    ddpg, td3 = resolve("ddpg").flat(), resolve("td3").flat()
    changed = {name for name in ddpg if ddpg[name] != td3[name]}
    assert changed == {"preset", "num_critics", "policy_period_updates", "target_noise"}


# --- spaces ---


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "actions",
    [
        spaces.Discrete(2),
        spaces.MultiDiscrete([2, 3]),
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
        spaces.Box(0.0, np.inf, (2,), np.float32),
        spaces.Box(np.array([0.0, 1.0]), np.array([1.0, 1.0]), dtype=np.float64),
        spaces.Box(0, 3, (2,), np.int64),
        spaces.Box(0.0, 1.0, (0,), np.float32),
    ],
    ids=str,
)
def test_actions_without_two_finite_bounds_are_refused(preset: str, actions: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^action_space: \w+ handles Box actions.*, got (Discrete|Multi|Box)"
    ):
        make_agent(preset, actions=actions)


@pytest.mark.parametrize("preset", PRESETS)
def test_images_and_other_observations_are_refused(preset: str) -> None:
    for space in (spaces.Box(0, 255, (3, 32, 32), np.uint8), spaces.Dict({"a": VECTOR}), spaces.Discrete(3)):
        with pytest.raises(ConfigError, match=r"^observation_space: \w+ handles "):
            make_agent(preset, space)


def test_dqn_and_an_unbounded_environment_say_what_they_expect(register: Registry) -> None:
    with pytest.raises(ConfigError, match="DQN handles Discrete actions"):
        build(resolve("dqn", "Pendulum-v1"))

    class Unbounded(Five):
        action_space: gymnasium.Space[Any] = spaces.Box(-np.inf, np.inf, (1,), np.float32)

    with pytest.raises(
        ConfigError, match="SAC handles Box actions of floats, each between two finite bounds"
    ):
        build(resolve("sac", register(Unbounded), SMALL))


def test_cuda_graphs_are_refused_and_elites_are_among_the_samples() -> None:
    with pytest.raises(ConfigError, match="cuda_graphs: expected false for continuous actions, got True"):
        resolve("sac", None, {"cuda_graphs": True, "device": "cuda"})
    with pytest.raises(ConfigError, match=r"num_elites: expected at most num_samples \(4\), got 5"):
        resolve("cem", None, {"num_samples": 4, "num_elites": 5})


# --- acting ---


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "space",
    [LOPSIDED, spaces.Box(-0.4, 0.4, (17,), np.float32), spaces.Box(1.0, 3.0, (2, 2), np.float32)],
    ids=str,
)
def test_actions_are_of_the_box(preset: str, space: spaces.Box) -> None:
    agent = make_agent(preset, actions=space, **with_noise(preset, action_noise_scale=2.0))
    obs = observations(50) * 100
    for action in (
        agent.act(obs, 0),
        agent.act(obs, 1_000),
        agent.act_for_evaluation(obs, np.random.default_rng(0)),
    ):
        assert (action.shape, action.dtype) == ((50, *space.shape), space.dtype)
        assert all(space.contains(row) for row in action)


@pytest.mark.parametrize("preset", PRESETS)
def test_actions_before_the_first_update_are_uniform_within_the_bounds(preset: str) -> None:
    agent = make_agent(preset)
    action = agent.act(observations(4_000), 29)
    low, high = LOPSIDED.low, LOPSIDED.high
    np.testing.assert_allclose(action.mean(0), (low + high) / 2, atol=0.05 * (high - low).max())
    np.testing.assert_allclose(action.std(0), (high - low) / np.sqrt(12), rtol=0.05)
    if preset != "sac":  # whose policy begins about as wide
        assert agent.act(observations(4_000), 30).std(0)[0] < 1.0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", ["gaussian", "ornstein_uhlenbeck"])
def test_evaluation_has_no_noise_and_moves_nothing(preset: str, kind: str) -> None:
    agent = make_agent(preset, **with_noise(preset, action_noise=kind))
    agent.act(observations(3), 1_000)
    before = agent.state(), {name: tensor.clone() for name, tensor in agent.tensors().items()}
    obs = observations(3)
    first, again = (agent.act_for_evaluation(obs, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    explained = agent.explain(obs)
    assert explained.values.shape == (3, 1)
    assert agent.state() == before[0]
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in agent.tensors().items())
    assert not np.array_equal(agent.act(obs, 1_000), first)


# --- one update ---


class Rows:
    """A batch of four rows: two within an episode, one truncated (it bootstraps), one terminated (it does not)."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.obs, self.next_obs = (torch.from_numpy(observations(4, seed)) for seed in (2, 3))
        self.action = torch.from_numpy(rng.uniform([-2.0, 0.0], [2.0, 10.0], (4, 2)))
        self.reward = torch.tensor([1.0, -1.0, 0.5, 2.0])
        self.discount = torch.tensor([0.9, 0.9, 0.9, 0.0])
        self.weight = torch.tensor([1.0, 0.5, 0.25, 1.0])


@pytest.mark.parametrize("preset", PRESETS)
def test_loss_and_priorities_are_those_of_the_target_that_is_worked_out_apart(preset: str) -> None:
    agent, rows = make_agent(preset), Rows()
    taken = (rows.action - torch.tensor([0.0, 5.0])) / torch.tensor([2.0, 5.0])
    with torch.no_grad():
        values = _values(agent, rows.obs, taken.float())
        target = rows.reward + rows.discount * _next_value(preset, agent, rows.next_obs)
    error = target - values  # [C, B]
    update = agent.learn(rows)
    torch.testing.assert_close(update.priorities, error.abs().mean(0))
    expected = (rows.weight * error.square().sum(0) / 2).mean()
    torch.testing.assert_close(update.metrics["loss"], expected)
    torch.testing.assert_close(update.metrics["mean_q"], values.mean())
    assert update.priorities[3].item() == pytest.approx((2.0 - values[:, 3]).abs().mean().item(), rel=1e-5)


def _values(agent: Any, obs: Tensor, action: Tensor) -> Tensor:
    critics: Tensor = (
        agent.online.values(obs, action) if hasattr(agent, "online") else agent.critics(obs, action)
    )
    return critics


def _next_value(preset: str, agent: Any, next_obs: Tensor) -> Tensor:
    """The target network's value of the next observation, with the numbers that `learn` is about to draw."""
    rng = torch.Generator()
    rng.set_state(agent.noise_rng.get_state())
    if preset == "naf":
        return agent.target(next_obs).value  # type: ignore[no-any-return]
    if preset == "cem":  # brute force: every sample's value, the second iteration around the six best
        draws = torch.randn(2, 4, 64, 2, generator=rng)
        draws[0].uniform_(-1, 1, generator=rng)
        return torch.stack([_best_of(agent, next_obs[i], draws[:, i]) for i in range(4)])
    if preset == "sac":
        mean, log_std = agent.actor(next_obs)
        normal = torch.distributions.Normal(mean, log_std.exp())
        drawn = mean + log_std.exp() * torch.randn(4, 2, generator=rng)
        action = drawn.tanh()
        log_prob = (normal.log_prob(drawn) - (1 - action.square()).log()).sum(1)
        return agent.target_critics(next_obs, action).min(0).values - log_prob  # type: ignore[no-any-return]
    action = agent.target_actor(next_obs)
    if preset == "td3":
        action = (action + (0.2 * torch.randn(4, 2, generator=rng)).clamp(-0.5, 0.5)).clamp(-1, 1)
    return agent.target_critics(next_obs, action).min(0).values  # type: ignore[no-any-return]


def _best_of(agent: Any, obs: Tensor, draws: Tensor) -> Tensor:
    first = [agent.target_critics(obs[None], action[None]).item() for action in draws[0]]
    elites = draws[0][torch.tensor(first).argsort(descending=True)[:6]]
    second = (elites.mean(0) + elites.std(0, unbiased=False) * draws[1]).clamp(-1, 1)
    values = first + [agent.target_critics(obs[None], action[None]).item() for action in second]
    return torch.tensor(max(values))


@pytest.mark.parametrize(("preset", "period"), [("ddpg", 1), ("td3", 2)])
def test_actor_and_targets_move_once_a_policy_period(preset: str, period: int) -> None:
    agent, rows = make_agent(preset, tau=0.25), Rows()
    slow = ("actor", "target_actor", "target_critics")
    for number in range(1, 5):
        before = {name: _flat(agent.networks[name]) for name in agent.networks}
        agent.learn(rows)
        after = {name: _flat(agent.networks[name]) for name in agent.networks}
        assert not torch.equal(before["critics"], after["critics"])
        for name in slow:
            assert torch.equal(before[name], after[name]) == (number % period != 0), name
        if number % period == 0:
            polyak = 0.25 * after["critics"] + 0.75 * before["target_critics"]
            torch.testing.assert_close(after["target_critics"], polyak)


@pytest.mark.parametrize("preset", ["ddpg", "td3", "sac"])
def test_the_actors_step_raises_the_value_of_its_actions_and_leaves_the_critics(preset: str) -> None:
    agent, rows = make_agent(preset, learning_rate=1e-3), Rows()
    parameters = [*agent.actor.parameters()] + ([agent.log_temperature] if preset == "sac" else [])
    rng = torch.Generator()

    def value() -> Tensor:
        mean: Tensor = agent.critics(rows.obs, agent.best(rows.obs, rng))[0].mean()
        return mean

    critics, before = _flat(agent.critics), value()
    for _ in range(20):
        unused = sum(parameter.sum() * 0 for parameter in parameters)
        agent._step_actor(unused - value())
    assert value() > before
    assert torch.equal(critics, _flat(agent.critics))
    assert all(parameter.grad is None for parameter in agent.critics.parameters())


def _flat(network: torch.nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_step_has_the_size_of_the_schedule(preset: str) -> None:
    """From 0.5 to 0.1 over 90 updates, one for each of the steps after the first 30."""
    agent, rows = make_agent(preset, learning_rate=0.5, learning_rate_end=0.1), Rows()
    for updates in (1, 45, 91, 201):  # odd: after these TD3 moves its actor too
        agent.num_updates_done = updates
        expected = pytest.approx(0.5 - 0.4 * min(updates / 90, 1.0))
        assert agent.scalars()["learning_rate"] == expected
        agent.learn(rows)
        sizes = [step.adam.param_groups[0]["lr"] for step in agent._gradient_steps]
        assert sizes == [expected] * len(sizes)


def test_a_temperature_that_is_not_learned_stays() -> None:
    learned, fixed = (make_agent("sac", temperature=0.2, learn_temperature=learn) for learn in (True, False))
    for _ in range(3):
        learned.learn(Rows()), fixed.learn(Rows())
    assert fixed.scalars()["temperature"] == pytest.approx(0.2)
    assert learned.scalars()["temperature"] != pytest.approx(0.2)


# --- in the loop ---


def trained(preset: str, folder: Path | None = None, until: int = 120, **changes: Any) -> Training:
    training = build(small(preset, **changes))
    for progress in run(training):
        if progress.is_checkpoint and folder is not None:
            checkpoint.save(training, folder)
        if progress.step == until:
            break
    return training


@pytest.mark.parametrize("preset", PRESETS)
def test_prioritized_replay_and_n_step_returns_are_options(preset: str) -> None:
    training = trained(preset, prioritized=True, n_step=3, exact_resume=True)
    assert training.agent.num_updates_done == training.counters.updates == 93
    assert training.buffer.sampler.name == "proportional"
    raw = training.buffer.sample(64).probability
    assert raw.max() > raw.min(), "updates have given priorities"
    assert all(np.isfinite(float(value)) for value in training.metrics.values())


@pytest.mark.parametrize("preset", PRESETS)
def test_time_limits_bootstrap_and_are_the_only_ends_of_pendulum(preset: str) -> None:
    training = trained(preset, steps=660, until=660, min_replay_steps=600)
    assert training.counters.episodes == 3
    batch = training.buffer.sample(512)
    assert (batch.discount == np.float32(0.98)).all()
    assert not batch.terminated.any()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("switch", [{}, {"overlap": True, "prefetch": 2}], ids=str)
def test_resumed_run_equals_the_uninterrupted_one(
    tmp_path: Path, preset: str, switch: dict[str, Any]
) -> None:
    changes = {"exact_resume": True, **switch, **with_noise(preset, action_noise="ornstein_uhlenbeck")}
    whole = trained(preset, **changes)
    trained(preset, tmp_path, until=60, **changes)
    resumed = build(small(preset, **changes))
    checkpoint.restore(resumed, checkpoint.latest(tmp_path))
    assert resumed.counters.steps == 60
    list(run(resumed))
    assert resumed.agent.state() == whole.agent.state()
    tensors = resumed.agent.tensors()
    for name, tensor in whole.agent.tensors().items():
        assert torch.equal(tensor, tensors[name]), name


@pytest.mark.parametrize("preset", PRESETS)
def test_another_networks_tensors_are_refused_and_change_nothing(preset: str) -> None:
    agent, wider = make_agent(preset), make_agent(preset, hidden_sizes=(9,))
    before = agent.tensors()
    with pytest.raises(ValueError, match=r"^tensor networks\..*expected torch.float32"):
        agent.restore(wider.tensors(), wider.state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in agent.tensors().items())


@pytest.mark.parametrize("preset", PRESETS)
def test_bfloat16_updates_are_near_those_of_float32(preset: str) -> None:
    exact, low = (
        make_agent(preset, precision=precision).learn(Rows()) for precision in ("float32", "bfloat16")
    )
    torch.testing.assert_close(low.metrics["mean_q"], exact.metrics["mean_q"], rtol=0.1, atol=0.05)
    assert low.priorities.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch's own code
@pytest.mark.parametrize("preset", PRESETS)
def test_compiled_updates_equal_plain_ones(preset: str) -> None:
    torch.compiler.reset()  # other tests' graphs count towards the limit of recompilations
    plain, compiled = make_agent(preset), make_agent(preset, compile=True)
    for _ in range(3):
        ours, theirs = plain.learn(Rows()), compiled.learn(Rows())
        torch.testing.assert_close(ours.priorities, theirs.priorities, rtol=1e-3, atol=1e-5)
