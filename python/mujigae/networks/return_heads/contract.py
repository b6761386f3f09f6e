"""What a network's outputs say of an action's return, and the loss that teaches them to: the form of every return head.

Most heads only say what N outputs of an action mean. A head may also ask the network at `fractions` of its return
distributions (0: the least return, 1: the greatest), drawn anew for each row and use; N is then their number.
Shapes: B batch, A actions, N outputs of an action, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mujigae.losses import RowLosses

__all__ = ["Distribution", "Layers", "MakeReturnHead", "ReturnHead", "Use"]

Layers = Callable[[Tensor], Tensor]
"""Features [B, F] -> float32 [B, A, N]: the plain or dueling head of a network."""
Use = Literal["act", "learn", "target"]
"""What fractions are for: actions (taken, or picked for a target), the outputs that learn, or those of the target."""


class Distribution(NamedTuple):
    """What an action may return, and how likely each of these returns is."""

    returns: Tensor  # float32 [B, A, N]
    probabilities: Tensor  # float32 [B, A, N], of sum 1 over N


class ReturnHead(nn.Module, ABC):
    """A module of the network, so that its buffers and parameters are moved, trained and copied with it."""

    num_outputs: int
    """N: how many numbers the network gives for each action."""

    def draw_fractions(self, use: Use, num_rows: int, generator: torch.Generator) -> Tensor | None:
        """New fractions for `num_rows` rows, [B, N] on the head's device; None for a head that needs none."""
        return None

    def forward(self, layers: Layers, features: Tensor, fractions: Tensor | None = None) -> Tensor:
        """A torso's features [B, F] -> float32 [B, A, N], by way of the network's last layers.

        fractions: [B, N] of `draw_fractions`; None: fixed ones, for an agent that acts without chance.
        """
        return layers(features)

    @abstractmethod
    def values(self, output: Tensor) -> Tensor:
        """What the network gave, [B, A, N] -> the expected return of each action, float32 [B, A]."""

    def mixture(self, output: Tensor, policy: Tensor) -> Tensor:
        """The outputs of a state whose action is drawn: [B, A, N] and shares of the actions [B, A] -> [B, 1, N].

        A weighted mean, as it is right for values and for returns at given fractions.
        """
        return (policy[:, :, None] * output).sum(dim=1, keepdim=True)

    @abstractmethod
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
        """Each row's loss and priority.

        output, target_output: [B, A, N]; a head that draws fractions may have another N in each.
        fractions: those that `output` was asked at. The rest is that of `losses.Loss`.
        """

    def distribution(self, output: Tensor) -> Distribution | None:
        """The return distributions that [B, A, N] outputs stand for; None for a head that knows values alone."""
        return None


MakeReturnHead = Callable[[int], ReturnHead]
"""Makes a head for a torso of so many features."""
