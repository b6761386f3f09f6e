"""Heads: features [B, F] -> [B, A, N], for each action the N outputs that a return head gives their meaning.

The result is float32 under autocast too, so that dueling streams are combined at full precision.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from mujigae.errors import ConfigError

__all__ = ["HEADS", "DuelingHead", "Head", "MakeLinear", "PlainHead", "Stream"]

MakeLinear = Callable[[int, int], nn.Module]


class Stream(nn.Module):
    """Features [B, F] -> float32 [B, num_rows, N]: a hidden layer with a ReLU, then the output layer.

    hidden_size is 512 in Mnih et al. 2015; 256 carries small frames. 0 leaves the hidden layer out, which
    suits an mlp torso that has hidden layers itself. `make_linear(in_features, out_features)` makes both
    layers.
    """

    def __init__(
        self, in_features: int, num_rows: int, num_outputs: int, hidden_size: int, make_linear: MakeLinear
    ) -> None:
        super().__init__()
        if hidden_size < 0:
            raise ConfigError(f"hidden_size must be 0 (no hidden layer) or positive, got {hidden_size}")
        hidden = [make_linear(in_features, hidden_size), nn.ReLU()] if hidden_size > 0 else []
        self.layers = nn.Sequential(*hidden, make_linear(hidden_size or in_features, num_rows * num_outputs))
        self.num_rows = num_rows
        self.num_outputs = num_outputs

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.layers(features)
        return output.float().reshape(output.shape[0], self.num_rows, self.num_outputs)


class Head(nn.Module):
    """What every head has: this constructor, and forward(features [B, F]) -> float32 [B, A, N]."""

    def __init__(
        self,
        in_features: int,
        num_actions: int,
        *,
        num_outputs: int = 1,
        hidden_size: int = 512,
        make_linear: MakeLinear = nn.Linear,
    ) -> None:
        super().__init__()


class PlainHead(Head):
    """One stream (Mnih et al. 2015)."""

    def __init__(
        self,
        in_features: int,
        num_actions: int,
        *,
        num_outputs: int = 1,
        hidden_size: int = 512,
        make_linear: MakeLinear = nn.Linear,
    ) -> None:
        super().__init__(in_features, num_actions)
        self.action_stream = Stream(in_features, num_actions, num_outputs, hidden_size, make_linear)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.action_stream(features)
        return output  # [B, A, N]


class DuelingHead(Head):
    """Q(s, a) = V(s) + A(s, a) - mean over actions of A(s, .), per state (Wang et al. 2016, equation 9).

    Of several outputs the same holds for each: of a distribution for the logits, before the softmax (Hessel et al. 2018).
    """

    def __init__(
        self,
        in_features: int,
        num_actions: int,
        *,
        num_outputs: int = 1,
        hidden_size: int = 512,
        make_linear: MakeLinear = nn.Linear,
    ) -> None:
        super().__init__(in_features, num_actions)
        self.value_stream = Stream(in_features, 1, num_outputs, hidden_size, make_linear)
        self.advantage_stream = Stream(in_features, num_actions, num_outputs, hidden_size, make_linear)

    def forward(self, features: Tensor) -> Tensor:
        value: Tensor = self.value_stream(features)  # [B, 1, N]
        advantage: Tensor = self.advantage_stream(features)  # [B, A, N]
        return value + advantage - advantage.mean(dim=1, keepdim=True)


HEADS: dict[str, type[Head]] = {"plain": PlainHead, "dueling": DuelingHead}
