"""The return at any fraction that the network is asked at: IQN (Dabney et al. 2018b)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mujigae.errors import ConfigError
from mujigae.losses import RowLosses, quantile_huber
from mujigae.networks.return_heads.contract import Distribution, Layers, ReturnHead, Use

__all__ = ["ImplicitQuantileHead"]


class ImplicitQuantileHead(ReturnHead):
    """Multiplies a torso's F features by an embedding of the fraction, before the network's last layers.

    The embedding of tau is relu(W cos(pi i tau) + b) with i from 0 to embedding_size - 1 (Dabney et al. 2018b, equation
    4). Its layer is a plain one in noisy networks too, and dueling streams are combined at each fraction.

    Args:
        num_features: F, of the torso.
        num_fractions: N, drawn for each row of the outputs that learn (64 in Dabney et al. 2018b; 8 does nearly as well).
        num_target_fractions: N', drawn for each row of the target (64 there).
        num_action_fractions: K, whose mean is an action's value: drawn for actions and their selection, midpoints of
            equal shares where an agent acts without chance (32 there).
        embedding_size: cosines of a fraction (64 there).

    Raises ConfigError for a size below 1.
    """

    frequencies: Tensor
    midpoints: Tensor

    def __init__(
        self,
        num_features: int,
        num_fractions: int = 64,
        num_target_fractions: int = 64,
        num_action_fractions: int = 32,
        embedding_size: int = 64,
    ) -> None:
        super().__init__()
        sizes = {"learn": num_fractions, "target": num_target_fractions, "act": num_action_fractions}
        if min(*sizes.values(), embedding_size) < 1:
            raise ConfigError(
                f"fractions must be at least 1 each, got {', '.join(map(str, sizes.values()))} "
                f"and an embedding of {embedding_size}"
            )
        self.num_outputs = 1
        self._num_fractions = sizes
        self.embedding = nn.Linear(embedding_size, num_features)
        midpoints = (torch.arange(num_action_fractions) + 0.5) / num_action_fractions
        self.register_buffer("frequencies", math.pi * torch.arange(embedding_size), persistent=False)
        self.register_buffer("midpoints", midpoints, persistent=False)

    def draw_fractions(self, use: Use, num_rows: int, generator: torch.Generator) -> Tensor:
        """Uniform on [0, 1), drawn on the generator's device, so that a CPU generator gives the same on every device."""
        size = num_rows, self._num_fractions[use]
        return torch.rand(size, generator=generator, device=generator.device).to(self.midpoints.device)

    def forward(self, layers: Layers, features: Tensor, fractions: Tensor | None = None) -> Tensor:
        if fractions is None:
            fractions = self.midpoints.expand(features.shape[0], -1)
        embedded = self.embedding((fractions[:, :, None] * self.frequencies).cos()).relu()  # [B, N, F]
        rows = (features[:, None, :] * embedded).flatten(0, 1)  # [B * N, F]
        output = layers(rows)[:, :, 0]  # [B * N, A]
        return output.reshape(*fractions.shape, -1).transpose(1, 2)  # [B, A, N]

    def values(self, output: Tensor) -> Tensor:
        """Each distribution's mean: that of its returns at the fractions."""
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
        fractions = self.midpoints if fractions is None else fractions
        return quantile_huber(output, target_output, selector_q, action, reward, discount, fractions)

    def distribution(self, output: Tensor) -> Distribution:
        """Each return is as likely as the others."""
        return Distribution(
            output.float(), torch.full_like(output, 1 / output.shape[-1], dtype=torch.float32)
        )
