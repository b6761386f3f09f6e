"""The residual torso of Espeholt et al. 2018 ("IMPALA", figure 3, without its recurrent layer)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mujigae.networks.norms import BatchNorm, spectrally_normalised
from mujigae.networks.torsos import PLAIN, ImageTorso, TorsoOptions

__all__ = ["Impala"]

CHANNELS = (16, 32, 32)  # of its three sections; `width` multiplies them


class Impala(ImageTorso):
    """Three sections, each a convolution, a max-pool that halves, and two residual blocks; then a ReLU.

    84 x 84 frames give 32 x 11 x 11 = 3872 features, an adaptive max-pool to 6 x 6 (Clark et al. 2024) 1152. Of spectral
    normalisation the blocks have a share and the sections' first layers have none, as there.
    """

    def __init__(
        self,
        observation_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (),
        options: TorsoOptions = PLAIN,
    ) -> None:
        super().__init__(observation_shape, hidden_sizes, options)
        channels, height, width = self.image_shape
        layers: list[nn.Module] = []
        for size in CHANNELS:
            num_out = options.width * size
            layers += [nn.Conv2d(channels, num_out, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1)]
            layers += [Residual(num_out, options), Residual(num_out, options)]
            channels, height, width = num_out, (height + 1) // 2, (width + 1) // 2
        layers += [nn.ReLU(), *([BatchNorm(channels)] if options.batch_norm else [])]
        self._finish(layers, (channels, height, width), options.pool_size)

    @classmethod
    def smallest_side(cls) -> int:
        return 1


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), both 3 x 3 and of the channels of x [B, C, H, W]."""

    def __init__(self, channels: int, options: TorsoOptions) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            convolution: nn.Module = nn.Conv2d(channels, channels, 3, padding=1)
            layers += [nn.ReLU(), *([BatchNorm(channels)] if options.batch_norm else [])]
            layers.append(spectrally_normalised(convolution) if options.spectral_norm else convolution)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change
