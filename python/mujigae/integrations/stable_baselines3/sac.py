"""SAC with prioritized replay.

PrioritizedSAC("MlpPolicy", "Pendulum-v1")
"""

from __future__ import annotations

import torch as th
from stable_baselines3 import SAC
from stable_baselines3.common.utils import polyak_update

from mujigae.integrations.stable_baselines3.critics import critic_loss, mean_absolute_error
from mujigae.integrations.stable_baselines3.prioritized import Prioritized, UpdateResult, optimizer_step
from mujigae.integrations.stable_baselines3.replay import PrioritizedSamples

__all__ = ["PrioritizedSAC"]


class PrioritizedSAC(Prioritized, SAC):
    """SB3's SAC (Haarnoja et al. 2018) with prioritized replay and n-step returns.

    Args: as `SAC` and `Prioritized` (alpha, beta, final_beta).

    A priority is |TD error|, the mean over the critics. The weights scale the losses of critics, actor and entropy
    coefficient alike: each is a mean over the rows of the replay buffer.
    """

    def _optimizers(self) -> list[th.optim.Optimizer]:
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        return optimizers if self.ent_coef_optimizer is None else [*optimizers, self.ent_coef_optimizer]

    def _update(self, batch: PrioritizedSamples, step: int) -> UpdateResult:
        if self.use_sde:
            self.actor.reset_noise()
        actions, log_prob = self.actor.action_log_prob(batch.observations)
        log_prob = log_prob.reshape(-1, 1)  # [B, 1]
        ent_coef, metrics = self._update_ent_coef(batch, log_prob.detach())
        target = self._target(batch, self._next_values(batch, ent_coef))  # [B, 1]
        values = self.critic(batch.observations, batch.actions)  # [B, 1] of each critic
        loss = 0.5 * critic_loss(values, target, batch.weights)
        metrics["critic_loss"] = optimizer_step(self.critic.optimizer, loss)
        least = th.cat(self.critic(batch.observations, actions), dim=1).min(dim=1, keepdim=True).values
        loss = (batch.weights * (ent_coef * log_prob - least)).mean()
        metrics["actor_loss"] = optimizer_step(self.actor.optimizer, loss)
        if step % self.target_update_interval == 0:
            polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)
            polyak_update(self.batch_norm_stats, self.batch_norm_stats_target, 1.0)
        return UpdateResult(mean_absolute_error(values, target), metrics)

    def _update_ent_coef(
        self, batch: PrioritizedSamples, log_prob: th.Tensor
    ) -> tuple[th.Tensor, dict[str, float]]:
        """Updates the entropy coefficient, if it is learned, and returns the one from before."""
        if self.ent_coef_optimizer is None or self.log_ent_coef is None:
            return self.ent_coef_tensor, {"ent_coef": self.ent_coef_tensor.item()}
        assert isinstance(self.target_entropy, float)
        ent_coef = self.log_ent_coef.detach().exp()
        loss = -(batch.weights * self.log_ent_coef * (log_prob + self.target_entropy)).mean()
        return ent_coef, {
            "ent_coef": ent_coef.item(),
            "ent_coef_loss": optimizer_step(self.ent_coef_optimizer, loss),
        }

    @th.no_grad()
    def _next_values(self, batch: PrioritizedSamples, ent_coef: th.Tensor) -> th.Tensor:
        actions, log_prob = self.actor.action_log_prob(batch.next_observations)
        values = th.cat(self.critic_target(batch.next_observations, actions), dim=1)
        return values.min(dim=1, keepdim=True).values - ent_coef * log_prob.reshape(-1, 1)
