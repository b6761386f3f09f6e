"""QR-DQN of sb3-contrib, Stable-Baselines3's second package, with prioritized replay.

    PrioritizedQRDQN("MlpPolicy", "CartPole-v1", n_steps=3)

QRDQN, TQC and CrossQ themselves take `replay_buffer_class=` of `mujigae.integrations.stable_baselines3`.
"""

from __future__ import annotations

from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("sb3_contrib", "sb3-contrib", first="2.9", below="3")

import torch as th  # noqa: E402
from sb3_contrib import QRDQN  # noqa: E402

from mujigae.integrations.stable_baselines3.prioritized import (  # noqa: E402
    Prioritized,
    UpdateResult,
    optimizer_step,
)
from mujigae.integrations.stable_baselines3.replay import PrioritizedSamples  # noqa: E402
from mujigae.losses import quantile_huber  # noqa: E402

__all__ = ["PrioritizedQRDQN"]


class PrioritizedQRDQN(Prioritized, QRDQN):
    """sb3-contrib's QR-DQN (Dabney et al. 2018) with prioritized replay and n-step returns.

    Args: as `QRDQN` and `Prioritized` (alpha, beta, final_beta).

    A priority is the row's quantile loss, as Rainbow's is the row's cross-entropy (Hessel et al. 2018).
    """

    def _update(self, batch: PrioritizedSamples, step: int) -> UpdateResult:
        with th.no_grad():
            target = self.quantile_net_target(batch.next_observations).transpose(1, 2)  # [B, A, N]
        quantiles = self.quantile_net(batch.observations).transpose(1, 2)  # [B, A, N]
        rows = quantile_huber(
            quantiles,
            target,
            target.mean(dim=2),
            batch.actions.long().flatten(),
            batch.rewards.flatten(),
            self._discount(batch).flatten(),
            (th.arange(self.n_quantiles, device=self.device) + 0.5) / self.n_quantiles,
        )
        loss = (batch.weights.flatten() * rows.loss).mean()
        metrics = {"loss": optimizer_step(self.policy.optimizer, loss, self.max_grad_norm)}
        return UpdateResult(rows.priority, metrics)
