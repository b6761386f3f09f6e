"""Implicit quantiles: the embedding by hand, which fractions are drawn when, and what acting without chance asks for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.config.run import Run
from mujigae.errors import ConfigError
from mujigae.networks import DuelingHead, ImplicitQuantileHead, PlainHead
from mujigae.replay.batch import Batch


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_embedding_worked_by_hand() -> None:
    """Two features, three cosines: relu(W [1, cos(pi tau), cos(2 pi tau)] + b) times the features."""
    head = ImplicitQuantileHead(2, embedding_size=3)
    with torch.no_grad():
        head.embedding.weight.copy_(torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]))
        head.embedding.bias.copy_(torch.tensor([0.5, 0.0]))
    seen: list[Tensor] = []

    def layers(rows: Tensor) -> Tensor:
        seen.append(rows)
        return rows.sum(1)[:, None, None]  # one action

    fractions = torch.tensor([[0.0, 0.5], [1.0, 1 / 3]])
    output = head(layers, torch.tensor([[10.0, 100.0], [1.0, 1.0]]), fractions)
    # tau 0: cosines 1, 1, 1. tau 1/2: 1, 0, -1. tau 1: 1, -1, 1. tau 1/3: 1, 1/2, -1/2.
    embedded = [[3.5, 0.0], [1.5, 1.0], [0.0, 0.0], [2.5, 1.0]]
    rows = [[35.0, 0.0], [15.0, 100.0], [0.0, 0.0], [2.5, 1.0]]
    torch.testing.assert_close(seen[0], torch.tensor(rows), atol=1e-4, rtol=1e-5)
    assert embedded[1][0] * 10 == rows[1][0]
    torch.testing.assert_close(output, torch.tensor([[[35.0, 115.0]], [[0.0, 3.5]]]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("layers_class", [PlainHead, DuelingHead])
def test_each_row_and_fraction_is_a_pass_of_its_own(layers_class: type[PlainHead]) -> None:
    torch.manual_seed(0)
    head = ImplicitQuantileHead(6, 5, 4, 3)
    layers = layers_class(6, 2, num_outputs=head.num_outputs, hidden_size=8)
    features, fractions = torch.randn(3, 6, generator=seeded(0)), torch.rand(3, 5, generator=seeded(1))
    output = head(layers, features, fractions)
    assert output.shape == (3, 2, 5)
    for b in range(3):
        for n in range(5):
            alone = head(layers, features[b : b + 1], fractions[b : b + 1, n : n + 1])
            torch.testing.assert_close(output[b, :, n], alone[0, :, 0])


@pytest.mark.parametrize(("use", "number"), [("learn", 5), ("target", 4), ("act", 3)])
def test_fractions_are_uniform_draws_of_the_generator_for_each_row_and_use(use: str, number: int) -> None:
    head = ImplicitQuantileHead(6, 5, 4, 3)
    before = torch.get_rng_state()
    generator = seeded(7)
    first, second = (head.draw_fractions(use, 1000, generator) for _ in range(2))  # type: ignore[arg-type]
    assert first.shape == (1000, number)
    assert not torch.equal(first, second)
    assert torch.equal(first, head.draw_fractions(use, 1000, seeded(7)))  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)
    assert 0 <= first.min() < 0.01 < 0.99 < first.max() <= 1
    assert float(first.mean()) == pytest.approx(0.5, abs=0.03)


def test_without_chance_the_midpoints_of_equal_shares_are_asked_for() -> None:
    torch.manual_seed(0)
    head = ImplicitQuantileHead(6, 5, 4, num_action_fractions=2)
    layers, features = PlainHead(6, 2, hidden_size=0), torch.randn(3, 6, generator=seeded(0))
    expected = head(layers, features, torch.tensor([0.25, 0.75]).expand(3, 2))
    assert torch.equal(head(layers, features), expected)
    returns, probabilities = head.distribution(expected)
    assert torch.equal(returns, expected)
    assert probabilities.unique().tolist() == [0.5]


def test_embedding_is_trained_and_saved_and_the_rest_is_not() -> None:
    head = ImplicitQuantileHead(6)
    assert set(head.state_dict()) == {"embedding.weight", "embedding.bias"}
    assert head.embedding.weight.shape == (6, 64)
    assert isinstance(head.embedding, nn.Linear)
    assert float(head.frequencies[1]) == pytest.approx(math.pi)


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_sizes_below_one_are_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ConfigError, match="fractions must be at least 1 each"):
        ImplicitQuantileHead(6, *sizes)


# --- the agent --------------------------------------------------------------------------------------------------------


def make_agent(double: bool = False) -> DQN:
    values = {"loss": "implicit_quantile", "hidden_sizes": (8,), "head_size": 8, "double": double, "seed": 3}
    numbers = {"num_fractions": 7, "num_target_fractions": 6, "num_action_fractions": 5}
    space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    return DQN(Run.from_flat({**values, **numbers}, DQNConfig), space, spaces.Discrete(2))


def make_batch() -> Batch:
    g, zeros = seeded(0), torch.zeros(4)
    obs, next_obs = torch.randn(4, 3, generator=g), torch.randn(4, 3, generator=g)
    return Batch(obs, zeros.long(), zeros, next_obs, zeros + 0.9, zeros > 0, zeros + 1, np.arange(4))


@pytest.mark.parametrize("double", [False, True])
def test_target_selection_and_loss_draw_fractions_of_their_own_in_every_update(double: bool) -> None:
    agent = make_agent(double)
    seen: list[tuple[str, Tensor]] = []
    for name, network in (("online", agent.online), ("target", agent.target)):
        network.register_forward_pre_hook(lambda _, args, name=name: seen.append((name, args[1])))
    agent.learn(make_batch()), agent.learn(make_batch())
    selector = "online" if double else "target"
    passes = [("target", (4, 6)), (selector, (4, 5)), ("online", (4, 7))]
    assert [(name, tuple(fractions.shape)) for name, fractions in seen] == 2 * passes
    numbers = torch.cat([fractions.flatten() for _, fractions in seen])
    assert len(numbers.unique()) == len(numbers)


def test_actions_draw_fractions_and_evaluation_and_pictures_do_not() -> None:
    agent, obs = make_agent(), make_batch().obs.numpy()
    before = agent.noise_rng.get_state()
    agent.act_for_evaluation(obs, np.random.default_rng(0))
    first, second = agent.explain(obs), agent.explain(obs)
    assert torch.equal(agent.noise_rng.get_state(), before)
    assert first.returns is not None
    assert first.returns.shape == (4, 2, 5)
    np.testing.assert_array_equal(first.returns, second.returns)
    np.testing.assert_allclose(first.returns.mean(-1), first.values, rtol=1e-5)
    agent.act(obs, step=0)
    assert not torch.equal(agent.noise_rng.get_state(), before)
