"""TD3 with prioritized replay.

PrioritizedTD3("MlpPolicy", "Pendulum-v1")
"""

from __future__ import annotations

import torch as th
from stable_baselines3 import TD3
from stable_baselines3.common.utils import polyak_update

from mujigae.integrations.stable_baselines3.critics import critic_loss, mean_absolute_error
from mujigae.integrations.stable_baselines3.prioritized import Prioritized, UpdateResult, optimizer_step
from mujigae.integrations.stable_baselines3.replay import PrioritizedSamples

__all__ = ["PrioritizedTD3"]


class PrioritizedTD3(Prioritized, TD3):
    """SB3's TD3 (Fujimoto et al. 2018) with prioritized replay and n-step returns.

    Args: as `TD3` and `Prioritized` (alpha, beta, final_beta).

    A priority is |TD error|, the mean over the critics. The weights scale the losses of critics and actor alike: each is
    a mean over the rows of the replay buffer.
    """

    def _optimizers(self) -> list[th.optim.Optimizer]:
        return [self.actor.optimizer, self.critic.optimizer]

    def _update(self, batch: PrioritizedSamples, step: int) -> UpdateResult:
        target = self._target(batch, self._next_values(batch))  # [B, 1]
        values = self.critic(batch.observations, batch.actions)  # [B, 1] of each critic
        loss = critic_loss(values, target, batch.weights)
        metrics = {"critic_loss": optimizer_step(self.critic.optimizer, loss)}
        if self._n_updates % self.policy_delay == 0:
            values_of_actor = self.critic.q1_forward(batch.observations, self.actor(batch.observations))
            loss = -(batch.weights * values_of_actor).mean()
            metrics["actor_loss"] = optimizer_step(self.actor.optimizer, loss)
            self._update_targets()
        return UpdateResult(mean_absolute_error(values, target), metrics)

    @th.no_grad()
    def _next_values(self, batch: PrioritizedSamples) -> th.Tensor:
        noise = batch.actions.clone().normal_(0, self.target_policy_noise)
        noise = noise.clamp(-self.target_noise_clip, self.target_noise_clip)
        actions = (self.actor_target(batch.next_observations) + noise).clamp(-1, 1)
        values = th.cat(self.critic_target(batch.next_observations, actions), dim=1)
        return values.min(dim=1, keepdim=True).values

    def _update_targets(self) -> None:
        for online, target in ((self.critic, self.critic_target), (self.actor, self.actor_target)):
            polyak_update(online.parameters(), target.parameters(), self.tau)
        polyak_update(self.critic_batch_norm_stats, self.critic_batch_norm_stats_target, 1.0)
        polyak_update(self.actor_batch_norm_stats, self.actor_batch_norm_stats_target, 1.0)
