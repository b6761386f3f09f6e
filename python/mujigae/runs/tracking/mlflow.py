"""MLflow, https://mlflow.org: MLFLOW_TRACKING_URI says where, else a file in the current folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mujigae.errors import require
from mujigae.runs.tracking.contract import TrackedRun

__all__ = ["MLflow"]

_MOST_METRICS, _MOST_PARAMS = 1000, 100  # that a server takes at once


class MLflow:
    """A `Tracker`. The project is MLflow's experiment; numbers are sent together, at `flush`."""

    def __init__(self, run: TrackedRun) -> None:
        self._entities = require("mlflow.entities", "mlflow")
        self._client: Any = require("mlflow", "mlflow").MlflowClient()
        self._metrics: list[Any] = []
        if run.id is None:
            self.id = self._new_run(run)
        else:
            self.id = run.id
            self._client.update_run(self.id, status="RUNNING")

    def log(self, values: Mapping[str, float], step: int) -> None:
        milliseconds = int(time.time() * 1000)
        self._metrics += [
            self._entities.Metric(tag, float(value), milliseconds, step) for tag, value in values.items()
        ]

    def flush(self) -> None:
        for metrics in _parts(self._metrics, _MOST_METRICS):
            self._client.log_batch(self.id, metrics=metrics)
        self._metrics.clear()

    def close(self) -> None:
        self.flush()
        self._client.set_terminated(self.id)

    def _new_run(self, run: TrackedRun) -> str:
        experiment = self._client.get_experiment_by_name(run.project)
        experiment_id = (
            self._client.create_experiment(run.project) if experiment is None else experiment.experiment_id
        )
        found = str(self._client.create_run(experiment_id, run_name=run.name).info.run_id)
        params = [self._entities.Param(name, str(value)) for name, value in run.config.items()]
        for part in _parts(params, _MOST_PARAMS):
            self._client.log_batch(found, params=part)
        return found


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
