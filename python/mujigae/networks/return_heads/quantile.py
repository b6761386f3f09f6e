"""The returns at N fixed fractions: QR-DQN (Dabney et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from mujigae.errors import ConfigError
from mujigae.losses import RowLosses, quantile_huber
from mujigae.networks.return_heads.contract import Distribution, ReturnHead

__all__ = ["QuantileHead"]


class QuantileHead(ReturnHead):
    """Quantiles at the midpoints (2i + 1) / 2N of N equal shares (Dabney et al. 2018, lemma 2; N = 200 there).

    `fractions`: the midpoints, float32 [N], a buffer that is no part of the state_dict.
    Raises ConfigError for fewer than one quantile.
    """

    fractions: Tensor

    def __init__(self, num_quantiles: int = 200) -> None:
        super().__init__()
        if num_quantiles < 1:
            raise ConfigError(f"num_quantiles must be at least 1, got {num_quantiles}")
        self.num_outputs = num_quantiles
        midpoints = (torch.arange(num_quantiles) + 0.5) / num_quantiles
        self.register_buffer("fractions", midpoints, persistent=False)

    def values(self, output: Tensor) -> Tensor:
        """Each distribution's mean: that of its quantiles."""
        return output.float().mean(dim=-1)

    def loss(
        self,
        output: Tensor,
        target_output: Tensor,
        selector_q: Tensor,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
        fractions: Tensor | None = None,
    ) -> RowLosses:
        return quantile_huber(output, target_output, selector_q, action, reward, discount, self.fractions)

    def distribution(self, output: Tensor) -> Distribution:
        """Each quantile is a return of probability 1 / N."""
        return Distribution(
            output.float(), torch.full_like(output, 1 / self.num_outputs, dtype=torch.float32)
        )
