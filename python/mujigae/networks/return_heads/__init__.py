"""Return heads: what a network's outputs [B, A, N] mean, and the loss that teaches them.

    contract.py            ReturnHead, and what each has to say: values, loss, distribution
    scalar.py              one output for an action, its value
    categorical.py         logits of N fixed returns: C51
    hl_gauss.py            logits of N bins, whose mean is the value: HL-Gauss
    quantile.py            the returns at N fixed fractions: QR-DQN
    implicit_quantile.py   the returns at fractions that are drawn: IQN

A network's layers, dueling and noisy ones too, know of a return head only how many outputs it needs for each action.
"""

from __future__ import annotations

from mujigae.networks.return_heads.categorical import CategoricalHead
from mujigae.networks.return_heads.contract import Distribution, MakeReturnHead, ReturnHead, Use
from mujigae.networks.return_heads.hl_gauss import HLGaussHead
from mujigae.networks.return_heads.implicit_quantile import ImplicitQuantileHead
from mujigae.networks.return_heads.quantile import QuantileHead
from mujigae.networks.return_heads.scalar import ScalarHead

__all__ = [
    "CategoricalHead",
    "Distribution",
    "HLGaussHead",
    "ImplicitQuantileHead",
    "MakeReturnHead",
    "QuantileHead",
    "ReturnHead",
    "ScalarHead",
    "Use",
]
