"""Which runs belong to one curve: those of one kind, which differ in their seeds and budgets alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from mujigae.config.run import BudgetConfig
from mujigae.pictures.curves import Games

__all__ = ["kinds"]

_BUDGET = {field.name for field in fields(BudgetConfig)}
# What may differ: the seed, how long they ran and how often they wrote, and what each machine chose for itself.
_OF_NO_KIND = {"seed", "num_threads", "precision", *_BUDGET}
_OF_BUDGET = {"beta_steps", "learning_rate_updates"}  # follow from the budget where they are not given


def kinds(runs: list[Games]) -> dict[str, list[Games]]:
    """The runs of each kind, which differ in their seeds and budgets alone, by its label.

    A label is the preset, the environment where there are several, and the options in which this kind differs from the
    first of that preset and environment.
    """
    several = len({run.config.get("env_id") for run in runs}) > 1
    alike: dict[str, list[Games]] = {}
    for run in runs:
        preset, env_id = str(run.config.get("preset", run.name)), str(run.config.get("env_id", ""))
        alike.setdefault(f"{preset} on {env_id}" if several else preset, []).append(run)
    groups: dict[str, list[Games]] = {}
    for label, members in alike.items():
        for run in members:
            groups.setdefault(", ".join([label, *_options(run, members)]), []).append(run)
    return groups


def _options(run: Games, runs: Sequence[Games]) -> list[str]:
    """The options of `run` that differ from those of the first of `runs`; those that older runs lack are not compared."""
    first, *others = [of.config for of in runs]
    shared = [name for name in first if name not in _OF_NO_KIND and all(name in other for other in others)]
    has_own_budget = any(run.config.get(name) != first.get(name) for name in ("steps", "minutes"))
    compared = [name for name in shared if not (has_own_budget and name in _OF_BUDGET)]
    return [f"{name} {_shown(run.config[name])}" for name in compared if run.config[name] != first[name]]


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
