"""Targets: Munchausen's worked by hand and against sums over all actions; what a mixture of distributions is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_agent import make_agent, make_batch
from torch import Tensor

from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.targets import Greedy, Munchausen, soft_policy
from mujigae.errors import ConfigError
from mujigae.losses import huber
from mujigae.networks import CategoricalHead, HLGaussHead, QuantileHead, ReturnHead, ScalarHead


class Table:
    """A network whose outputs are rows of a table: observations [B, 1] are row numbers."""

    def __init__(self, rows: list[list[float]], head: ReturnHead | None = None) -> None:
        self.rows = torch.tensor(rows)
        self.rows = self.rows[:, :, None] if self.rows.dim() == 2 else self.rows
        self.return_head = ScalarHead(huber) if head is None else head

    def __call__(self, obs: Tensor, fractions: Tensor | None = None) -> Tensor:
        return self.rows[obs[:, 0].long()]

    def scaled(self, obs: Tensor) -> Tensor:
        return obs

    def q_values(self, output: Tensor) -> Tensor:
        return self.return_head.values(output)


ROW_0, ROW_1 = torch.tensor([[0.0]]), torch.tensor([[1.0]])


def aimed_at(
    rule: Any, network: Table, *, legal: Tensor | None = None, now: Any = None, **batch: float
) -> float:
    """The target of one row, by the loss of the network's head."""
    given = {"reward": 0.0, "discount": 1.0, "action": 0} | batch
    reward, discount = torch.tensor([given["reward"]]), torch.tensor([given["discount"]])
    action = torch.tensor([int(given["action"])])
    now = rule.now(ROW_0, None, action) if now is None else now
    made = rule.bootstrap(network, network, ROW_1, legal, reward, discount, None, None, *now)
    output = network(ROW_0)
    rows = network.return_head.loss(
        output, made.target_output, made.selector_q, action, made.reward, discount, None
    )
    return float(rows.target)


# Temperature 1. At the next observation the values are 0 and ln 3: the policy is 1/4 and 3/4, and its soft value
# sum pi (q - ln pi) = ln(e^0 + e^ln 3) = ln 4. At the observation itself both values are equal: ln pi = -ln 2.
VALUES = [[5.0, 5.0], [0.0, math.log(3)]]


def test_munchausen_target_worked_by_hand() -> None:
    rule = Munchausen(alpha=0.5, temperature=1.0, low=-10.0)
    target = aimed_at(rule, Table(VALUES), reward=2.0, discount=0.5)
    assert target == pytest.approx(2.0 - 0.5 * math.log(2) + 0.5 * math.log(4))


def test_munchausen_bonus_is_cut_below() -> None:
    rule = Munchausen(alpha=0.5, temperature=1.0, low=-0.25)
    assert aimed_at(rule, Table(VALUES), discount=0.0) == pytest.approx(0.5 * -0.25)


def test_terminal_step_has_the_bonus_and_no_entropy() -> None:
    rule = Munchausen(alpha=1.0, temperature=1.0, low=-10.0)
    assert aimed_at(rule, Table(VALUES), reward=3.0, discount=0.0) == pytest.approx(3.0 - math.log(2))


def test_munchausen_without_bonus_at_low_temperature_is_the_greedy_target() -> None:
    table = Table([[1.0, -1.0, 0.5], [0.3, 0.9, -2.0]])
    soft, greedy = Munchausen(alpha=0.0, temperature=1e-4, low=-1.0), Greedy(double=False)
    batch = {"reward": 0.7, "discount": 0.9}
    assert aimed_at(soft, table, **batch) == pytest.approx(aimed_at(greedy, table, **batch), abs=1e-4)
    assert aimed_at(greedy, table, **batch) == pytest.approx(0.7 + 0.9 * 0.9)


def test_illegal_actions_have_no_share_in_either_policy() -> None:
    """With the first action illegal in both, one action is left: its policy is 1, and neither bonus nor entropy are left."""
    rule, legal = Munchausen(alpha=0.9, temperature=1.0, low=-10.0), torch.tensor([[False, True]])
    now = rule.now(ROW_0, legal, torch.tensor([1]))
    target = aimed_at(rule, Table(VALUES), legal=legal, now=now, action=1, discount=0.5)
    assert target == pytest.approx(0.5 * math.log(3))


@pytest.mark.parametrize("temperature", [0.03, 0.5, 10.0])
def test_soft_policy_is_the_sum_over_all_actions(temperature: float) -> None:
    values = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    policy, log_policy = soft_policy(values, temperature)
    for row, got, log_got in zip(values.tolist(), policy.tolist(), log_policy.tolist(), strict=True):
        largest = max(row)
        weights = [math.exp((value - largest) / temperature) for value in row]
        expected = [weight / sum(weights) for weight in weights]
        assert got == pytest.approx(expected)
        logs = [value - largest - temperature * math.log(sum(weights)) for value in row]
        assert log_got == pytest.approx(logs)


@pytest.mark.parametrize(
    "head", [CategoricalHead(5, -3.0, 3.0), QuantileHead(5), HLGaussHead(5, -3.0, 3.0)], ids=str
)
def test_target_of_a_distribution_is_its_mixtures_mean_moved_by_the_entropy(head: ReturnHead) -> None:
    """Rewards of 0 and a discount below 1/2 keep all atoms within the support."""
    rows = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1)) * 0.5
    table = Table(rows.tolist(), head)
    rule = Munchausen(alpha=0.9, temperature=0.2, low=-1.0)
    target = aimed_at(rule, table, discount=0.4, action=2)
    policy, log_policy = soft_policy(head.values(rows), 0.2)
    bonus = 0.9 * max(float(log_policy[0, 2]), -1.0)
    soft = float((policy[1] * (head.values(rows)[1] - log_policy[1])).sum())
    assert target == pytest.approx(bonus + 0.4 * soft, abs=1e-5)


def test_mixture_of_categorical_outputs_is_the_mixture_of_their_probabilities() -> None:
    head = CategoricalHead(3, -1.0, 1.0)
    output = torch.tensor([[[0.0, 0.0, -100.0], [-100.0, 0.0, 0.0]]])
    mixed = head.mixture(output, torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(mixed.softmax(-1), torch.tensor([[[0.125, 0.5, 0.375]]]))


def test_double_beside_munchausen_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^double: expected false with munchausen targets, got True$"):
        DQNConfig(double=True, target="munchausen")


@pytest.mark.parametrize("loss", ["huber", "cross_entropy", "hl_gauss", "quantile", "implicit_quantile"])
def test_munchausen_goes_with_every_loss(loss: str) -> None:
    agent = make_agent(target="munchausen", loss=loss, noisy=True)
    updates = [agent.learn(make_batch(seed=seed)) for seed in range(3)]
    assert all(torch.isfinite(update.priorities).all() for update in updates)


def test_update_says_the_mean_of_its_targets_and_the_gap_between_the_two_best_actions() -> None:
    agent, batch = make_agent(loss="squared"), make_batch()
    with torch.no_grad():
        values = agent.online.q_values(agent.online(batch.obs))
        next_values = agent.target.q_values(agent.target(batch.next_obs))
    metrics = agent.learn(batch).metrics
    target = batch.reward + batch.discount * next_values.max(1).values
    torch.testing.assert_close(metrics["mean_target"], target.mean())
    torch.testing.assert_close(metrics["action_gap"], (values[:, 0] - values[:, 1]).abs().mean())
    torch.testing.assert_close(metrics["mean_q"], values.gather(1, batch.action[:, None]).mean())
