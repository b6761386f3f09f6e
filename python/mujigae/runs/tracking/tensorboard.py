"""Scalars in the run's own folder, for `tensorboard --logdir runs`."""

from __future__ import annotations

from collections.abc import Mapping

from mujigae.errors import require
from mujigae.runs.files import written_to
from mujigae.runs.tracking.contract import TrackedRun

__all__ = ["TensorBoard"]


class TensorBoard:
    """A `Tracker`. Points past the step that a run goes on from are dropped."""

    def __init__(self, run: TrackedRun) -> None:
        self.id = ""
        tensorboard = require("torch.utils.tensorboard", "train")
        with written_to(run.folder / "tensorboard") as path:
            self._writer = tensorboard.SummaryWriter(path, purge_step=run.step + 1 if run.step else None)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
