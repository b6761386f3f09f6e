"""The best network of a run so far: whole games at each checkpoint, and a snapshot of the one that played them best.

    evaluations.csv   one line a checkpoint: what the network of that step scored
    best/             agent.safetensors and state.json of the highest mean; no replay

The games are others than those of `mujigae evaluate`, so its score of the snapshot is not flattered by the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mujigae.envs.make import make
from mujigae.errors import CheckpointError
from mujigae.runs import checkpoint
from mujigae.runs.log import Row, Table
from mujigae.seeds import child_seed
from mujigae.training.evaluate import MAX_NUM_ENVS, evaluate, standard_error
from mujigae.training.loop import Progress, Training

__all__ = ["EVALUATION_COLUMNS", "BestSnapshot"]

EVALUATION_COLUMNS = [
    *("step", "frames", "seconds", "episodes", "mean_return", "standard_error", "lowest", "highest")
]


class BestSnapshot:
    """Plays `best_episodes` games of a run's network whenever asked, in environments of its own."""

    def __init__(self, folder: Path, training: Training) -> None:
        self._folder, self._training = folder, training
        num_envs = min(training.config.budget.best_episodes, MAX_NUM_ENVS)
        self._environment = make(replace(training.config.env, num_envs=num_envs), training=False)
        self._table = Table(folder / "evaluations.csv", EVALUATION_COLUMNS, training.counters.steps)

    def observe(self, progress: Progress, should_stop: Callable[[], bool] = lambda: False) -> Row | None:
        """Evaluates, writes the line, tells the counters, and keeps the network if no earlier one scored as much.

        Does nothing but return None where `should_stop()` cuts the games short: whoever stops a run waits for none.
        """
        scores = self._scores(should_stop)
        if len(scores) < self._training.config.budget.best_episodes:
            return None
        row = self._row(progress, scores)
        self._table.append(row)
        self._table.sync()
        mean = row["mean_return"]
        self._training.counters.evaluation = mean
        if mean is not None and mean > best_mean(self._folder):
            checkpoint.save_agent(self._training, self._folder / checkpoint.BEST, {"evaluation": row})
        return row

    def close(self) -> None:
        self._table.close()
        self._environment.close()

    def _scores(self, should_stop: Callable[[], bool]) -> NDArray[np.float64]:
        config = self._training.config
        return evaluate(
            self._training.agent,
            self._environment,
            num_episodes=config.budget.best_episodes,
            seed=child_seed(config.seed, "evaluation", self._training.counters.boundaries),
            should_stop=should_stop,
        )

    @staticmethod
    def _row(progress: Progress, scores: NDArray[np.float64]) -> Row:
        return {
            "step": progress.step,
            "frames": progress.frames,
            "seconds": round(progress.seconds, 3),
            "episodes": len(scores),
            "mean_return": float(scores.mean()),
            "standard_error": standard_error(scores),
            "lowest": float(scores.min()),
            "highest": float(scores.max()),
        }


def best_mean(folder: Path) -> float:
    """What the best snapshot of the run in `folder` scored; -inf where there is none."""
    if checkpoint.find_best(folder) is None:
        return -math.inf
    evaluation = checkpoint.best_state(folder).get("evaluation")
    mean = evaluation.get("mean_return") if isinstance(evaluation, dict) else None
    if not isinstance(mean, int | float):
        path = checkpoint.best(folder) / checkpoint.STATE
        raise CheckpointError(f"{path}: not a best snapshot, it has no evaluation")
    return float(mean)
