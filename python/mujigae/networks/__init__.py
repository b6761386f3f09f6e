"""Networks that map a batch of observations to action values or to return distributions.

A network is a torso (observation -> features) and a head (features -> one number or N atoms per action):

    torsos.py       TORSOS: "mlp", "nature", "small_pixels", "tiny_pixels"
    heads.py        HEADS: "plain", "dueling"; categorical is the same head with N atoms instead of one
    noisy.py        NoisyLinear, which any head can use in place of nn.Linear
    q_network.py    QNetwork joins the two; build_network makes one from plain values

Shapes: B batch, A actions, N atoms, C channels (frames of a stack), H W image, F features.
"""

from __future__ import annotations

from mujigae.networks.heads import HEADS, DuelingHead, Head, PlainHead
from mujigae.networks.noisy import NoisyLinear, resample_noise
from mujigae.networks.q_network import QNetwork, build_network
from mujigae.networks.torsos import TORSOS, ConvTorso, Mlp, Nature, SmallPixels, TinyPixels, Torso

__all__ = [
    "HEADS",
    "TORSOS",
    "ConvTorso",
    "DuelingHead",
    "Head",
    "Mlp",
    "Nature",
    "NoisyLinear",
    "PlainHead",
    "QNetwork",
    "SmallPixels",
    "TinyPixels",
    "Torso",
    "build_network",
    "resample_noise",
]
