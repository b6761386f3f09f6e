"""Actors: observations -> continuous actions in [-1, 1]. Shapes: B batch, A numbers of an action, F features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mujigae.networks.torsos import Mlp

__all__ = ["Actor", "GaussianActor", "squashed"]

_LOG_STD_BOUNDS = -20.0, 2.0  # as the authors of Haarnoja et al. 2018 bound it in their code


class Actor(nn.Module):
    """One action for an observation: tanh of a linear layer on hidden layers (Lillicrap et al. 2016, section 7)."""

    def __init__(
        self, observation_shape: Sequence[int], num_numbers: int, hidden_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.torso = Mlp(observation_shape, hidden_sizes)
        self.output = nn.Linear(self.torso.out_features, num_numbers)

    def forward(self, obs: Tensor) -> Tensor:
        """Observations [B, *observation_shape] -> actions float32 [B, A]."""
        return torch.tanh(self.output(self.torso(obs.float())).float())


class GaussianActor(nn.Module):
    """A Gaussian for an observation, which `squashed` draws actions from (Haarnoja et al. 2018, appendix C)."""

    def __init__(
        self, observation_shape: Sequence[int], num_numbers: int, hidden_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.torso = Mlp(observation_shape, hidden_sizes)
        self.output = nn.Linear(self.torso.out_features, 2 * num_numbers)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Observations [B, *observation_shape] -> mean and log of the standard deviation, float32 [B, A] each."""
        mean, log_std = self.output(self.torso(obs.float())).float().chunk(2, dim=-1)
        return mean, log_std.clamp(*_LOG_STD_BOUNDS)


def squashed(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """a = tanh(u), u = mean + std * noise, and log pi(a) (Haarnoja et al. 2018, equation 21).

    mean, log_std, noise: [B, A], noise of a standard Gaussian. Returns actions [B, A] in [-1, 1] and [B], whose
    log(1 - tanh(u)^2) is computed as 2 (log 2 - u - softplus(-2 u)), exact for every u.
    """
    drawn = mean + log_std.exp() * noise
    log_density = -noise.square() / 2 - log_std - math.log(2 * math.pi) / 2
    log_slope = 2 * (math.log(2) - drawn - functional.softplus(-2 * drawn))
    return torch.tanh(drawn), (log_density - log_slope).sum(dim=-1)
