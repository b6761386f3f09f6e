"""Critics: observations and continuous actions -> values, several networks at once. Shapes: C critics, B batch, A numbers of an action."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

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

    def first(self, inputs: Tensor) -> Tensor:
        """The first layer alone: [1, B, in] -> [1, B, out]."""
        return torch.baddbmm(self.bias[:1], inputs, self.weight[:1])


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
        inputs = torch.cat([obs.flatten(1).float(), action], dim=1)
        return _values(inputs.expand(self.num_critics, -1, -1), list(self.layers))

    def first(self, obs: Tensor, action: Tensor) -> Tensor:
        """The first critic's values [B] alone."""
        inputs = torch.cat([obs.flatten(1).float(), action], dim=1)
        layers: list[Any] = list(self.layers)
        return _values(inputs.unsqueeze(0), [layer.first for layer in layers]).squeeze(0)


def _values(features: Tensor, layers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """[C, B, in] -> float32 [C, B], with a ReLU between layers."""
    *hidden, output = layers
    for layer in hidden:
        features = torch.relu(layer(features))
    return output(features).squeeze(-1).float()
