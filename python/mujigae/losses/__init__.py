"""Losses: pure functions of one batch, all of the form `contract.Loss`, so any fits a training step.

    contract.py      Loss, LossOutput, and what the losses share
    td.py            huber, squared: on action values [B, A]
    categorical.py   cross_entropy, project: on logits of atoms [B, A, N]

A new loss is a function of that form and a line in LOSSES.
"""

from __future__ import annotations

from mujigae.losses.categorical import cross_entropy, project, support_covers
from mujigae.losses.contract import Loss, LossOutput
from mujigae.losses.td import huber, squared, td_target

__all__ = [
    "LOSSES",
    "Loss",
    "LossOutput",
    "cross_entropy",
    "huber",
    "project",
    "squared",
    "support_covers",
    "td_target",
]

LOSSES: dict[str, Loss] = {"huber": huber, "squared": squared, "cross_entropy": cross_entropy}
