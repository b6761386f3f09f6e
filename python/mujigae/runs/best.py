"""The best network of a run so far: whole games at each checkpoint, and a snapshot of the one that played them best.

    evaluations.csv   one line a checkpoint: what the network of that step scored
    best/             agent.safetensors and state.json of the highest mean; no replay

The games are others than those of `mujigae evaluate`, so its score of the snapshot is not flattered by the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mujigae.envs.make import make
from mujigae.errors import CheckpointError
from mujigae.runs import checkpoint
from mujigae.runs.closing import closed_in_the_end, warn
from mujigae.runs.log import Row, Table
from mujigae.runs.reading import read_table
from mujigae.seeds import child_seed
from mujigae.training.evaluate import MAX_NUM_ENVS, evaluate, most_steps, standard_error
from mujigae.training.loop import Training

__all__ = ["EVALUATION_COLUMNS", "BestSnapshot"]

EVALUATION_COLUMNS = [
    *("step", "frames", "seconds", "episodes", "mean_return", "standard_error", "lowest", "highest")
]


class BestSnapshot:
    """Plays `best_episodes` games of a run's network whenever asked, in environments of its own."""

    def __init__(self, folder: Path, training: Training) -> None:
        self._folder, self._training = folder, training
        num_envs = min(training.config.budget.best_episodes, MAX_NUM_ENVS)
        self._has_warned = False
        self._table = Table(folder / "evaluations.csv", EVALUATION_COLUMNS, training.counters.steps)
        with ExitStack() as opened:
            opened.callback(self._table.close)
            self._environment = make(replace(training.config.env, num_envs=num_envs), training=False)
            opened.pop_all()

    def catch_up(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """For a run that was resumed: what a kill after the checkpoint left undone, which is the games or the last of it."""
        if not self._training.counters.is_evaluation_due:
            return
        row = self._row_of(self._training.counters.steps)
        if row is None:
            self.play(should_stop)
        else:
            self._keep(row)

    def play(self, should_stop: Callable[[], bool] = lambda: False) -> Row | None:
        """Evaluates, writes the line, tells the counters, and keeps the network if no earlier one scored as much.

        Returns None, having done nothing, where `should_stop()` interrupted the games or none are due.
        """
        if not self._training.counters.is_evaluation_due:
            return None
        scores = self._scores(should_stop)
        if len(scores) < self._training.config.budget.best_episodes:
            return None
        row = self._row(scores)
        self._table.append(row)
        self._table.sync()
        self._keep(row)
        return row

    def close(self) -> None:
        with closed_in_the_end(self._environment):
            self._table.close()

    def _keep(self, row: Row) -> None:
        counters, mean = self._training.counters, row["mean_return"]
        counters.evaluation, counters.is_evaluation_due = mean, False
        if mean is not None and mean > best_mean(self._folder):
            checkpoint.save_agent(self._training, self._folder / checkpoint.BEST, {"evaluation": row})

    def _row_of(self, step: int) -> Row | None:
        """The line that was written for a step."""
        path = self._folder / "evaluations.csv"
        for number, cells in read_table(path, CheckpointError):
            if number > 1 and cells[0] == str(step):
                try:
                    return {name: float(cell) for name, cell in zip(EVALUATION_COLUMNS, cells, strict=True)}
                except ValueError:
                    raise CheckpointError(f"{path}, line {number}: expected numbers") from None
        return None

    def _scores(self, should_stop: Callable[[], bool]) -> NDArray[np.float64]:
        config, counters = self._training.config, self._training.counters
        self._environment.restore(self._training.environment.state(), freeze=True)
        return evaluate(
            self._training.agent,
            self._environment,
            num_episodes=config.budget.best_episodes,
            seed=child_seed(config.seed, "evaluation", counters.checkpoints),
            max_steps=most_steps(self._environment, config.budget.eval_max_steps),
            should_stop=should_stop,
            say=self._warn_once,
        )

    def _warn_once(self, line: str) -> None:
        if not self._has_warned:
            warn(f"evaluation: {line}")
        self._has_warned = True

    def _row(self, scores: NDArray[np.float64]) -> Row:
        counters = self._training.counters
        return {
            "step": counters.steps,
            "frames": counters.steps * self._environment.frames_per_step,
            "seconds": round(counters.seconds, 3),
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
