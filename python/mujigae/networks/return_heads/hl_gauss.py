"""The value as the mean of a histogram: HL-Gauss (Farebrother et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from mujigae.errors import ConfigError
from mujigae.losses import RowLosses, hl_gauss
from mujigae.networks.return_heads.categorical import CategoricalHead

__all__ = ["HLGaussHead"]


class HLGaussHead(CategoricalHead):
    """Logits of N bins of equal width from v_min to v_max; the centres of the bins are the returns of the distribution.

    smoothing: the standard deviation of a target, in widths of a bin (Farebrother et al. 2024: 0.75).
    Raises ConfigError for sizes out of range.
    """

    edges: Tensor

    def __init__(
        self, num_bins: int = 51, v_min: float = -10.0, v_max: float = 10.0, smoothing: float = 0.75
    ) -> None:
        if num_bins < 2 or smoothing <= 0:
            raise ConfigError(
                f"num_bins must be at least 2 and smoothing positive, got {num_bins} and {smoothing}"
            )
        half = (v_max - v_min) / (2 * num_bins)
        super().__init__(num_bins, v_min + half, v_max - half)
        self.sigma = smoothing * 2 * half
        self.register_buffer("edges", torch.linspace(v_min, v_max, num_bins + 1), persistent=False)

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
        batch = output, target_output, selector_q, action, reward, discount
        return hl_gauss(*batch, self.edges, self.sigma)
