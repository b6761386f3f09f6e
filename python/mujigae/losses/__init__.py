"""Losses: pure functions of one batch, of the form `contract.Loss` and, on distributions, of their support or fractions.

    contract.py      Loss, RowLosses, and what the losses share
    td.py            huber, squared: on action values [B, A]
    categorical.py   cross_entropy, project: on logits of atoms [B, A, N]
    hl_gauss.py      hl_gauss, spread: on logits of bins [B, A, N]
    quantile.py      quantile_huber: on returns at N fractions [B, A, N]
    continuous.py    targets and losses for continuous actions, of values [C, B] of C critics

A return head (networks/return_heads) hands a loss what a network gave.
"""

from __future__ import annotations

from mujigae.losses.categorical import cross_entropy, project, support_covers
from mujigae.losses.contract import Loss, RowLosses
from mujigae.losses.hl_gauss import hl_gauss, spread
from mujigae.losses.quantile import quantile_huber
from mujigae.losses.td import huber, squared, td_target

__all__ = [
    "Loss",
    "RowLosses",
    "cross_entropy",
    "hl_gauss",
    "huber",
    "project",
    "quantile_huber",
    "spread",
    "squared",
    "support_covers",
    "td_target",
]
