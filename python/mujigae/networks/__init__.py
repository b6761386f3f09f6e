"""Networks that map a batch of observations to action values or to return distributions.

A network is a torso (observation -> features), a head (features -> N outputs for each action), and a return head (what
the outputs mean):

    torsos.py       Mlp, and convolutions: Nature, SmallPixels, TinyPixels, DataEfficient
    impala.py       Impala, convolutions with residual blocks
    norms.py        batch and spectral normalisation, which any torso can have
    heads.py        HEADS: "plain", "dueling"
    return_heads/   ScalarHead, CategoricalHead, HLGaussHead, QuantileHead, ImplicitQuantileHead
    noisy.py        NoisyLinear, which any head can use in place of nn.Linear
    q_network.py    QNetwork joins the three; build_network makes one from plain values; TORSOS by name
    actors.py       Actor, GaussianActor: observations -> continuous actions
    critics.py      Critics: observations and continuous actions -> values
    quadratic.py    QuadraticNetwork: values that are quadratic in the action
    targets.py      the step by which a target network follows

Shapes: B batch, A actions, N outputs of an action, C channels (frames of a stack), H W image, F features.
"""

from __future__ import annotations

from mujigae.networks.heads import HEADS, DuelingHead, Head, PlainHead
from mujigae.networks.impala import Impala
from mujigae.networks.noisy import NoisyLinear, resample_noise
from mujigae.networks.q_network import TORSOS, QNetwork, build_network
from mujigae.networks.return_heads import (
    CategoricalHead,
    Distribution,
    HLGaussHead,
    ImplicitQuantileHead,
    MakeReturnHead,
    QuantileHead,
    ReturnHead,
    ScalarHead,
)
from mujigae.networks.torsos import (
    ConvTorso,
    DataEfficient,
    Mlp,
    Nature,
    SmallPixels,
    TinyPixels,
    Torso,
    TorsoOptions,
)

__all__ = [
    "HEADS",
    "TORSOS",
    "CategoricalHead",
    "ConvTorso",
    "DataEfficient",
    "Distribution",
    "DuelingHead",
    "HLGaussHead",
    "Head",
    "Impala",
    "ImplicitQuantileHead",
    "MakeReturnHead",
    "Mlp",
    "Nature",
    "NoisyLinear",
    "PlainHead",
    "QNetwork",
    "QuantileHead",
    "ReturnHead",
    "ScalarHead",
    "SmallPixels",
    "TinyPixels",
    "Torso",
    "TorsoOptions",
    "build_network",
    "resample_noise",
]
