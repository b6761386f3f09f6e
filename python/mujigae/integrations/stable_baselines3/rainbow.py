"""Rainbow (Hessel et al. 2018) as an algorithm of Stable-Baselines3.

Rainbow("CnnPolicy", env, replay_buffer_kwargs={"frame_stack": 4})
Rainbow("MlpPolicy", "CartPole-v1", policy_kwargs={"v_min": 0.0, "v_max": 100.0})

Its parts are mujigae's: the engine's replay buffer, the dueling head with noisy layers, the categorical loss.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch as th
from stable_baselines3.common.policies import BasePolicy

from mujigae.integrations.stable_baselines3.dqn import PrioritizedDQN
from mujigae.integrations.stable_baselines3.prioritized import UpdateResult, optimizer_step
from mujigae.integrations.stable_baselines3.rainbow_policies import (
    RainbowCnnPolicy,
    RainbowMultiInputPolicy,
    RainbowNetwork,
    RainbowPolicy,
)
from mujigae.integrations.stable_baselines3.replay import PrioritizedSamples

__all__ = ["Rainbow"]


class Rainbow(PrioritizedDQN):
    """DQN with double Q, prioritized replay, dueling streams, n-step returns, return distributions and noisy layers.

    Args: as `PrioritizedDQN`, those beyond `learning_rate` by name. The defaults here are those of Hessel et al. 2018, table 1,
    in agent steps (4 frames); `policy_kwargs` has those of the networks, above all v_min and v_max: see `RainbowPolicy`.

    It explores by its noise, with epsilon 0; exploration_initial_eps, _final_eps and _fraction add epsilon to it.
    `predict(obs)` draws noise, `predict(obs, deterministic=True)` has none. A priority is the row's cross-entropy; the paper's is
    the KL divergence, which is that less the entropy of the target.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": RainbowPolicy,
        "CnnPolicy": RainbowCnnPolicy,
        "MultiInputPolicy": RainbowMultiInputPolicy,
    }
    q_net: RainbowNetwork
    q_net_target: RainbowNetwork

    def __init__(
        self,
        policy: Any,
        env: Any,
        learning_rate: Any = 6.25e-5,
        *,
        learning_starts: int = 20_000,
        target_update_interval: int = 8_000,
        exploration_initial_eps: float = 0.0,
        exploration_final_eps: float = 0.0,
        n_steps: int = 3,
        alpha: float = 0.5,
        double_q: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate,
            learning_starts=learning_starts,
            target_update_interval=target_update_interval,
            exploration_initial_eps=exploration_initial_eps,
            exploration_final_eps=exploration_final_eps,
            n_steps=n_steps,
            alpha=alpha,
            double_q=double_q,
            **kwargs,
        )

    def _update(self, batch: PrioritizedSamples, step: int) -> UpdateResult:
        target_logits, selector_q = self._bootstrap(batch.next_observations)
        self.q_net.redraw_noise()
        rows = self.q_net.return_head.loss(
            self.q_net.logits(batch.observations),
            target_logits,
            selector_q,
            batch.actions.long().flatten(),
            batch.rewards.flatten(),
            self._discount(batch).flatten(),
        )
        loss = (batch.weights.flatten() * rows.loss).mean()
        metrics = {"loss": optimizer_step(self.policy.optimizer, loss, self.max_grad_norm)}
        return UpdateResult(rows.priority, metrics)

    @th.no_grad()
    def _bootstrap(self, next_obs: Any) -> tuple[th.Tensor, th.Tensor]:
        """The target network's logits [B, A, N], and the values [B, A] that select; each network draws noise of its own."""
        self.q_net_target.redraw_noise()
        logits = self.q_net_target.logits(next_obs)
        if not self.double_q:
            return logits, self.q_net_target.return_head.values(logits)
        self.q_net.redraw_noise()
        return logits, self.q_net(next_obs)
