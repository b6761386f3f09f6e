"""The probabilities of N fixed returns: C51 (Bellemare et al. 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mujigae.errors import ConfigError
from mujigae.losses import RowLosses, cross_entropy
from mujigae.networks.return_heads.contract import Distribution, ReturnHead

__all__ = ["CategoricalHead"]


class CategoricalHead(ReturnHead):
    """Logits of N atoms from v_min to v_max (51 atoms, +-10 for clipped rewards in Bellemare et al. 2017).

    `support`: the atoms, float32 [N], a buffer that follows the network's device but is no part of the state_dict (the
    configuration has it). Raises ConfigError for sizes out of range.
    """

    support: Tensor

    def __init__(self, num_atoms: int = 51, v_min: float = -10.0, v_max: float = 10.0) -> None:
        super().__init__()
        if num_atoms < 2:
            raise ConfigError(f"num_atoms must be at least 2, got {num_atoms}")
        if not (math.isfinite(v_min) and math.isfinite(v_max) and v_min < v_max):
            raise ConfigError(
                f"v_min must be less than v_max and both finite, got v_min={v_min} and v_max={v_max}"
            )
        self.num_outputs = num_atoms
        self.register_buffer("support", torch.linspace(v_min, v_max, num_atoms), persistent=False)

    def values(self, output: Tensor) -> Tensor:
        """Each distribution's mean."""
        return (output.float().softmax(dim=-1) * self.support).sum(dim=-1)

    def mixture(self, output: Tensor, policy: Tensor) -> Tensor:
        """Logits of the mixture of the actions' distributions."""
        mixed = super().mixture(output.float().softmax(dim=-1), policy)
        return mixed.clamp(min=torch.finfo(torch.float32).tiny).log()

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
        return cross_entropy(output, target_output, selector_q, action, reward, discount, self.support)

    def distribution(self, output: Tensor) -> Distribution:
        return Distribution(self.support.expand(output.shape), output.float().softmax(dim=-1))
