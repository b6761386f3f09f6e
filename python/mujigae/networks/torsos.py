"""Torsos: float observations [B, *observation_shape] -> features [B, out_features].

A torso takes floats: QNetwork has scaled uint8 pixels before. The fully connected layer that
follows the convolutions in Mnih et al. 2015 is the head's hidden layer here, since each dueling stream has
its own. What `TorsoOptions` switch on goes into any torso; `impala.py` has the residual one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import layer_norm

from mujigae.errors import ConfigError
from mujigae.networks.norms import BatchNorm, spectrally_normalised

__all__ = [
    *("PLAIN", "ConvLayer", "ConvTorso", "DataEfficient", "ImageTorso", "Mlp", "Nature"),
    *("SmallPixels", "TinyPixels", "Torso", "TorsoOptions"),
]


class TorsoOptions(NamedTuple):
    """Additions to a torso's layers; the defaults leave them as their paper has them."""

    batch_norm: bool = False
    """Batch normalisation after each ReLU."""
    spectral_norm: bool = False
    """Spectral normalisation of each layer's weights; of `impala` those in residual blocks."""
    width: int = 1
    """Factor on the channels of every convolution."""
    pool_size: int = 0
    """Side of an adaptive max-pool after the last convolution; 0: none."""


PLAIN = TorsoOptions()


class Torso(nn.Module):
    """What every torso has: `Torso(observation_shape, hidden_sizes, options)`, and the number of features it gives."""

    out_features: int

    def __init__(
        self,
        observation_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (),
        options: TorsoOptions = PLAIN,
    ) -> None:
        super().__init__()
        if options.width < 1 or options.pool_size < 0:
            raise ConfigError(f"width must be at least 1 and pool_size at least 0, got {options}")


def activated(layer: nn.Module, num_features: int, options: TorsoOptions) -> list[nn.Module]:
    """A linear layer or convolution, its ReLU, and what `options` put around them."""
    layer = spectrally_normalised(layer) if options.spectral_norm else layer
    return [layer, nn.ReLU(), *([BatchNorm(num_features)] if options.batch_norm else [])]


class Mlp(Torso):
    """Flattens the observation; then one Linear and ReLU for each of `hidden_sizes`, which may be empty."""

    def __init__(
        self,
        observation_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (256, 256),
        options: TorsoOptions = PLAIN,
    ) -> None:
        super().__init__(observation_shape, hidden_sizes, options)
        if any(size < 1 for size in hidden_sizes):
            raise ConfigError(f"hidden_sizes must be positive, got {tuple(hidden_sizes)}")
        layers: list[nn.Module] = [nn.Flatten()]
        size_in = math.prod(observation_shape)
        for size_out in hidden_sizes:
            layers += activated(nn.Linear(size_in, size_out), size_out, options)
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


class ImageTorso(Torso):
    """Layers over [C, H, W] (or [H, W]: one channel), flattened; `hidden_sizes` is ignored.

    Raises ConfigError if the observation is no image or too small for the layers.
    """

    layers: nn.Module
    """Images [B, C, H, W] -> features [B, F]."""

    def __init__(
        self,
        observation_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (),
        options: TorsoOptions = PLAIN,
    ) -> None:
        super().__init__(observation_shape, hidden_sizes, options)
        self.image_shape = self._check_image(observation_shape)

    def forward(self, obs: Tensor) -> Tensor:
        features: Tensor = self.layers(obs.reshape(obs.shape[0], *self.image_shape))
        return features  # [B, F]

    @classmethod
    def smallest_side(cls) -> int:
        """The least height and width, in pixels, that every layer can work on."""
        raise NotImplementedError

    def _finish(self, layers: list[nn.Module], shape: tuple[int, int, int], pool_size: int) -> None:
        """`layers`, which give [C, H, W], then the pool and the flattening."""
        channels, height, width = shape
        if pool_size > 0:
            layers, height, width = [*layers, nn.AdaptiveMaxPool2d(pool_size)], pool_size, pool_size
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.out_features = channels * height * width

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


class ConvTorso(ImageTorso):
    """Convolutions without padding, one after the other."""

    conv_layers: ClassVar[tuple[ConvLayer, ...]]

    def __init__(
        self,
        observation_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (),
        options: TorsoOptions = PLAIN,
    ) -> None:
        super().__init__(observation_shape, hidden_sizes, options)
        channels, height, width = self.image_shape
        layers: list[nn.Module] = []
        for layer in self.conv_layers:
            num_out = options.width * layer.channels
            convolution = nn.Conv2d(channels, num_out, layer.kernel, layer.stride)
            layers += activated(convolution, num_out, options)
            channels, height, width = num_out, layer.size_after(height), layer.size_after(width)
        self._finish(layers, (channels, height, width), options.pool_size)

    @classmethod
    def smallest_side(cls) -> int:
        side = 1
        for layer in reversed(cls.conv_layers):
            side = layer.size_before(side)
        return side


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


class DataEfficient(ConvTorso):
    """Two layers that do not overlap, for 84 x 84 frames (van Hasselt et al. 2019): 576 features (least side 25)."""

    conv_layers = (ConvLayer(32, 5, 5), ConvLayer(64, 5, 5))
