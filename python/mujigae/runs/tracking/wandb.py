"""Weights & Biases, https://wandb.ai: its own variables say where (WANDB_MODE=offline: into the run's folder)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from mujigae.errors import require
from mujigae.runs.tracking.contract import TrackedRun

__all__ = ["WandB"]


class WandB:
    """A `Tracker`. Steps are a number like the others, since wandb's own may never go back, as in a run that is resumed."""

    def __init__(self, run: TrackedRun) -> None:
        wandb = require("wandb", "wandb")
        self.id = run.id or secrets.token_hex(8)
        self._run = wandb.init(
            project=run.project,
            id=self.id,
            name=run.name,
            dir=str(run.folder),
            config=dict(run.config),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off"),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({"step": step, **values})

    def flush(self) -> None:
        pass  # a process of wandb's does it

    def close(self) -> None:
        self._run.finish()
