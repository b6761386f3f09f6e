"""Torsos: float observations [B, *observation_shape] -> features [B, out_features].

A torso takes floats: QNetwork has scaled uint8 pixels before. The fully connected layer that
follows the convolutions in Mnih et al. 2015 is the head's hidden layer here, since each dueling stream has
its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import layer_norm

from mujigae.errors import ConfigError

__all__ = ["TORSOS", "ConvLayer", "ConvTorso", "Mlp", "Nature", "SmallPixels", "TinyPixels", "Torso"]


class Torso(nn.Module):
    """What every torso has: `Torso(observation_shape, hidden_sizes)`, and the number of features it gives."""

    out_features: int

    def __init__(self, observation_shape: Sequence[int], hidden_sizes: Sequence[int] = ()) -> None:
        super().__init__()


class Mlp(Torso):
    """Flattens the observation; then one Linear and ReLU for each of `hidden_sizes`, which may be empty."""

    def __init__(self, observation_shape: Sequence[int], hidden_sizes: Sequence[int] = (256, 256)) -> None:
        super().__init__(observation_shape, hidden_sizes)
        if any(size < 1 for size in hidden_sizes):
            raise ConfigError(f"hidden_sizes must be positive, got {tuple(hidden_sizes)}")
        layers: list[nn.Module] = [nn.Flatten()]
        size_in = math.prod(observation_shape)
        for size_out in hidden_sizes:
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
            size_in = size_out
        self.layers = nn.Sequential(*layers)
        self.out_features = size_in

    def forward(self, obs: Tensor) -> Tensor:
        features: Tensor = self.layers(obs)
        return features  # [B, F]


class ConvLayer(NamedTuple):
    """A square convolution without padding, followed by a ReLU."""

    channels: int
    kernel: int
    stride: int

    def size_after(self, size: int) -> int:
        return (size - self.kernel) // self.stride + 1

    def size_before(self, size: int) -> int:
        """The smallest input side that leaves `size` positions."""
        return (size - 1) * self.stride + self.kernel


class ConvTorso(Torso):
    """Convolutions over [C, H, W] (or [H, W]: one channel), flattened; `hidden_sizes` is ignored.

    Raises ConfigError if the observation is no image or too small for the layers.
    """

    conv_layers: ClassVar[tuple[ConvLayer, ...]]

    def __init__(self, observation_shape: Sequence[int], hidden_sizes: Sequence[int] = ()) -> None:
        super().__init__(observation_shape, hidden_sizes)
        self.image_shape = self._check_image(observation_shape)
        channels, height, width = self.image_shape
        layers: list[nn.Module] = []
        for layer in self.conv_layers:
            layers += [nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride), nn.ReLU()]
            channels, height, width = layer.channels, layer.size_after(height), layer.size_after(width)
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.out_features = channels * height * width

    def forward(self, obs: Tensor) -> Tensor:
        features: Tensor = self.layers(obs.reshape(obs.shape[0], *self.image_shape))
        return features  # [B, F]

    @classmethod
    def smallest_side(cls) -> int:
        """The least height and width, in pixels, that every layer can work on."""
        side = 1
        for layer in reversed(cls.conv_layers):
            side = layer.size_before(side)
        return side

    @classmethod
    def _check_image(cls, shape: Sequence[int]) -> tuple[int, int, int]:
        if len(shape) not in (2, 3):
            raise ConfigError(
                f"torso {cls.__name__} needs images of shape [C, H, W] or [H, W], got observations of shape "
                f"{tuple(shape)}; the torso 'mlp' takes any shape"
            )
        channels, height, width = shape if len(shape) == 3 else (1, *shape)
        if width <= 4 < min(channels, height):
            raise ConfigError(
                f"torso {cls.__name__} needs images of shape [C, H, W], got observations of shape {tuple(shape)}, "
                f"which looks like [H, W, C]: gymnasium.wrappers.TransformObservation can move the channels"
            )
        side = cls.smallest_side()
        if min(height, width) < side:
            raise ConfigError(
                f"torso {cls.__name__} needs images of at least {side} x {side}, got {height} x {width} "
                f"(observation shape {tuple(shape)}); 'tiny_pixels' takes {TinyPixels.smallest_side()} x "
                f"{TinyPixels.smallest_side()} and more"
            )
        return channels, height, width


class Nature(ConvTorso):
    """The three convolutions of Mnih et al. 2015 for 84 x 84 frames: 3136 features (least side 36)."""

    conv_layers = (ConvLayer(32, 8, 4), ConvLayer(64, 4, 2), ConvLayer(64, 3, 1))


class SmallPixels(ConvTorso):
    """Two layers for 42 x 42 frames, fine enough for a ball of one pixel: 1152 features (least side 12).

    Every observation is standardised first (its mean 0, its variance 1). Over Pong's background as it is, a third
    of the first layer's units start dead, a quarter never rectify, and features vary a third as much.
    """

    conv_layers = (ConvLayer(32, 6, 3), ConvLayer(32, 3, 2))

    def forward(self, obs: Tensor) -> Tensor:
        images = obs.reshape(obs.shape[0], *self.image_shape)
        pixels = images.permute(0, 2, 3, 1)  # [B, H, W, C], the order of channels_last: many times faster
        return super().forward(layer_norm(pixels, pixels.shape[1:]).permute(0, 3, 1, 2))


class TinyPixels(ConvTorso):
    """One convolution for grids of about 10 x 10 cells, as MinAtar's (Young and Tian 2019); least side 3."""

    conv_layers = (ConvLayer(16, 3, 1),)


TORSOS: dict[str, type[Torso]] = {
    "mlp": Mlp,
    "nature": Nature,
    "small_pixels": SmallPixels,
    "tiny_pixels": TinyPixels,
}
