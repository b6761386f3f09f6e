"""Q-values that are quadratic in the action, so that the best action is an output (Gu et al. 2016, "Continuous Deep Q-Learning
with Model-based Acceleration"). Shapes: B batch, A numbers of an action.

    Q(s, a) = V(s) - (a - mu)^T P (a - mu) / 2      P = L L^T, L lower triangular, its diagonal positive
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mujigae.networks.torsos import Mlp

__all__ = ["Quadratic", "QuadraticNetwork", "advantage", "positive"]


class Quadratic(NamedTuple):
    """A quadratic function of the action for each observation of a batch."""

    value: Tensor  # [B], its maximum
    best: Tensor  # [B, A] in [-1, 1], where it is
    factor: Tensor  # [B, A, A], L

    def at(self, action: Tensor) -> Tensor:
        """The values [B] of `action` [B, A]."""
        return self.value + advantage(action, self.best, self.factor)


def advantage(action: Tensor, best: Tensor, factor: Tensor) -> Tensor:
    """-(a - mu)^T L L^T (a - mu) / 2 (Gu et al. 2016, equation 6): at most 0, and 0 at a = mu.

    action, best: [B, A], factor: [B, A, A] -> [B].
    """
    along = torch.einsum("bij,bi->bj", factor, action - best)  # L^T (a - mu), [B, A]
    return -along.square().sum(dim=1) / 2


def positive(entry: Tensor) -> Tensor:
    """(x + sqrt(x^2 + 4)) / 2 (Barron 2021, "Squareplus"): about x above 0, 1 at 0, about -1 / x below; the same shape."""
    root = (entry.square() + 4).sqrt()
    below = 2 / (root - entry.clamp(max=0))  # the same without a difference of large numbers
    return torch.where(entry > 0, (entry + root) / 2, below)


class QuadraticNetwork(nn.Module):
    """One torso with three linear outputs: value, best action (through softsign), and the factor, its diagonal through
    `positive`.

    The gradients of both fade as 1 / x^2. Those of tanh and exp, which are usual here, vanish: P falls to 1e-17 where targets
    fall faster than the value, and an action that is at its bound by then stays there.
    """

    def __init__(
        self, observation_shape: Sequence[int], num_numbers: int, hidden_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.num_numbers = num_numbers
        self.torso = Mlp(observation_shape, hidden_sizes)
        self.output = nn.Linear(self.torso.out_features, 1 + num_numbers + num_numbers**2)

    def forward(self, obs: Tensor) -> Quadratic:
        """Observations [B, *observation_shape] -> float32."""
        output = self.output(self.torso(obs.float())).float()
        value, best, entries = output.split([1, self.num_numbers, self.num_numbers**2], dim=1)
        square = entries.reshape(-1, self.num_numbers, self.num_numbers)
        diagonal = positive(square.diagonal(dim1=1, dim2=2))
        best = nn.functional.softsign(best)
        return Quadratic(value.squeeze(1), best, square.tril(-1) + torch.diag_embed(diagonal))

    def values(self, obs: Tensor, action: Tensor) -> Tensor:
        """Observations and actions [B, A] in [-1, 1] -> values float32 [1, B], as those of one critic."""
        quadratic: Quadratic = self(obs)
        return quadratic.at(action).unsqueeze(0)
