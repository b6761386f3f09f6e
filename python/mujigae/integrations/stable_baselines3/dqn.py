"""DQN with prioritized replay.

PrioritizedDQN("MlpPolicy", "CartPole-v1", n_steps=3, double_q=True)
"""

from __future__ import annotations

from typing import Any

import torch as th
from stable_baselines3 import DQN
from torch.nn import functional as F  # noqa: N812

from mujigae.integrations.stable_baselines3.prioritized import Prioritized, UpdateResult, optimizer_step
from mujigae.integrations.stable_baselines3.replay import PrioritizedSamples

__all__ = ["PrioritizedDQN"]


class PrioritizedDQN(Prioritized, DQN):
    """SB3's DQN with prioritized replay, n-step returns and, if wanted, double Q.

    Args: as `DQN` and `Prioritized` (alpha, beta, final_beta), and
        double_q: let the online network choose the action that the target network values (van Hasselt et al. 2016).

    Schaul et al. 2016 divide the learning rate of their uniform agent by four. A priority is |TD error|.
    """

    def __init__(self, policy: Any, env: Any, *args: Any, double_q: bool = False, **kwargs: Any) -> None:
        self.double_q = double_q
        super().__init__(policy, env, *args, **kwargs)

    def _update(self, batch: PrioritizedSamples, step: int) -> UpdateResult:
        target = self._target(batch, self._next_values(batch.next_observations))  # [B, 1]
        value = self.q_net(batch.observations).gather(1, batch.actions.long())  # [B, 1]
        loss = (batch.weights * F.smooth_l1_loss(value, target, reduction="none")).mean()
        metrics = {"loss": optimizer_step(self.policy.optimizer, loss, self.max_grad_norm)}
        return UpdateResult((target - value).detach().abs().flatten(), metrics)

    @th.no_grad()
    def _next_values(self, next_obs: Any) -> th.Tensor:
        values = self.q_net_target(next_obs)  # [B, A]
        selector = self.q_net(next_obs) if self.double_q else values
        best: th.Tensor = values.gather(1, selector.argmax(dim=1, keepdim=True))
        return best
