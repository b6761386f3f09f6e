"""Critics: observations and continuous actions -> values, several networks at once. Shapes: C critics, B batch, A numbers of an action."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Critics", "StackedLinear"]


class StackedLinear(nn.Module):
    """C linear layers in one product, each initialised as nn.Linear: [C, B, in] -> [C, B, out]."""

    def __init__(self, num_layers: int, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(num_layers, in_features, out_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_layers, 1, out_features).uniform_(-bound, bound))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, inputs, self.weight)


class Critics(nn.Module):
    """C networks of the same form, independent of each other: one for DDPG, two for TD3 (Fujimoto et al. 2018)."""

    def __init__(
        self, num_critics: int, observation_size: int, num_numbers: int, hidden_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.num_critics = num_critics
        sizes = [observation_size + num_numbers, *hidden_sizes, 1]
        self.layers = nn.ModuleList(StackedLinear(num_critics, *pair) for pair in pairwise(sizes))

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """Observations [B, ...] and actions [B, A] in [-1, 1] -> values float32 [C, B]."""
        features = torch.cat([obs.flatten(1).float(), action], dim=1).expand(self.num_critics, -1, -1)
        *hidden, output = self.layers
        for layer in hidden:
            features = torch.relu(layer(features))
        values: Tensor = output(features)
        return values.squeeze(-1).float()
