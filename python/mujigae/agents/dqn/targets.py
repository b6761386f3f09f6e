"""Targets: what reward and next observation say the value of an action should be, without gradients.

    greedy       r + D Q'(s', a*), a* the best action of the target network (Mnih et al. 2015) or, double, of the online one
    munchausen   r + alpha [t log pi(a|s)]_low^0 + D sum_a' pi(a'|s') (Q'(s', a') - t log pi(a'|s')), pi = softmax(Q' / t)
                 (Vieillard et al. 2020, "Munchausen Reinforcement Learning", equation 1)

Both give a `Bootstrap`, which any return head's loss takes. Shapes: B batch, A actions, N outputs of an action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.learner import Bootstrap, only

__all__ = ["TARGETS", "Greedy", "Munchausen", "Now", "Target", "soft_policy"]


class Now(NamedTuple):
    """What a target may need of the observation that was acted on; None where it needs nothing."""

    obs: Tensor | None = None  # [B, ...]
    legal: Tensor | None = None  # bool [B, A]
    action: Tensor | None = None  # [B]


class Target(Protocol):
    """Made once for an agent; `bootstrap` is what is compiled and recorded, and has tensors alone."""

    def now(self, obs: Tensor, legal: Tensor | None, action: Tensor) -> Now:
        """What of these `bootstrap` has to get."""
        ...

    def bootstrap(
        self,
        online: Any,
        target: Any,
        next_obs: Tensor,
        legal: Tensor | None,
        reward: Tensor,
        discount: Tensor,
        fractions: Tensor | None,
        selection_fractions: Tensor | None,
        *now: Tensor | None,
    ) -> Bootstrap:
        """Output and selection at `next_obs`, and the reward to go with them; legal: bool [B, A] there, None: all.

        What a head draws for selection is independent of what it draws for the target (Dabney et al. 2018b, equation 3).
        """
        ...


@dataclass(frozen=True)
class Greedy:
    """The value of the best next action; double: picked by the online network (van Hasselt et al. 2016, equation 4)."""

    double: bool

    def now(self, obs: Tensor, legal: Tensor | None, action: Tensor) -> Now:
        return Now()

    @torch.no_grad()
    def bootstrap(
        self,
        online: Any,
        target: Any,
        next_obs: Tensor,
        legal: Tensor | None,
        reward: Tensor,
        discount: Tensor,
        fractions: Tensor | None,
        selection_fractions: Tensor | None,
        *now: Tensor | None,
    ) -> Bootstrap:
        next_obs = target.scaled(next_obs)  # once for both
        output = target(next_obs, fractions)
        if not self.double and selection_fractions is None:
            return Bootstrap(output, only(legal, target.q_values(output)), reward)
        selector = online if self.double else target
        selector_q = selector.q_values(selector(next_obs, selection_fractions))
        return Bootstrap(output, only(legal, selector_q), reward)


@dataclass(frozen=True)
class Munchausen:
    """The value of a soft policy, and a bonus for actions that it is sure of; both policies are the target network's.

    Of an n-step window the first action has the bonus and the last observation the entropy. A distribution's is the
    mixture of its actions' distributions, moved by the entropy.
    """

    alpha: float
    temperature: float
    low: float

    def now(self, obs: Tensor, legal: Tensor | None, action: Tensor) -> Now:
        return Now(obs, legal, action)

    @torch.no_grad()
    def bootstrap(
        self,
        online: Any,
        target: Any,
        next_obs: Tensor,
        legal: Tensor | None,
        reward: Tensor,
        discount: Tensor,
        fractions: Tensor | None,
        selection_fractions: Tensor | None,
        *now: Tensor | None,
    ) -> Bootstrap:
        obs, legal_now, action = now
        assert obs is not None
        assert action is not None
        output = target(next_obs, fractions)
        policy, log_policy = soft_policy(only(legal, target.q_values(output)), self.temperature)
        entropy = -torch.where(policy > 0, policy * log_policy, 0.0).sum(dim=1)
        values = only(legal_now, target.q_values(target(obs, selection_fractions)))
        taken = soft_policy(values, self.temperature)[1].gather(1, action.unsqueeze(1)).squeeze(1)
        bonus = self.alpha * taken.clamp(self.low, 0.0)
        mixed = target.return_head.mixture(output, policy).expand_as(output)
        return Bootstrap(mixed, policy, reward + bonus + discount * entropy)


def soft_policy(values: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """pi = softmax(values / t) and t log pi, both [B, A]; -inf among the values is probability 0 and stays -inf.

    Written with the largest value taken off first (Vieillard et al. 2020, appendix B.1).
    """
    shifted = values - values.max(dim=1, keepdim=True).values
    log_sum = torch.logsumexp(shifted / temperature, dim=1, keepdim=True)
    return torch.softmax(shifted / temperature, dim=1), shifted - temperature * log_sum


TARGETS: dict[str, Callable[[DQNConfig], Target]] = {
    "greedy": lambda config: Greedy(config.double),
    "munchausen": lambda config: Munchausen(
        config.munchausen_alpha, config.temperature, config.log_policy_min
    ),
}
"""By name: the configuration -> the target."""
