"""What a run writes while it trains: progress.csv, episodes.csv, TensorBoard scalars, and those of another tracker.

The first three are append-only. A resume first puts files without the lines past the checkpoint's step in their
place, so that each is what the run would have written without the stop. A row of progress.csv closes a window of
log_period_steps; so does every checkpoint, where a resumed run begins.
"""

from __future__ import annotations

import csv
import os
import re
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mujigae.agents.agent import Agent
from mujigae.errors import CheckpointError, ConfigError
from mujigae.runs.files import write_whole, written_to
from mujigae.runs.reading import read_table
from mujigae.runs.tracking.contract import TrackedRun, Tracker
from mujigae.runs.tracking.opening import Guarded, Tracking, open_tracker
from mujigae.runs.tracking.tensorboard import TensorBoard
from mujigae.training.loop import Progress, Training

__all__ = ["EPISODE_COLUMNS", "Row", "RunLog", "Table", "Window", "progress_columns"]

EPISODE_COLUMNS = ["step", "frames", "seconds", "env_id", "score", "length_steps"]

Row = dict[str, float | None]  # None: nothing to say yet, an empty cell

_TAGS = {
    "return/mean_20": "mean_return_20",
    "return/mean_100": "mean_return_100",
    "train/mean_priority": "mean_priority",
    "train/max_priority": "max_priority",
    "train/beta": "beta",
    "speed/steps_per_second": "steps_per_second",
    "speed/updates_per_second": "updates_per_second",
    "replay/ratio": "replay_ratio",
    "replay/size": "buffer_size",
    "replay/bytes": "buffer_bytes",
}


_MOST_KEPT = 256  # updates whose tensors wait to be summed


@dataclass
class Window:
    """Sums since the last row. Torch tensors stay where they live, are summed many at a time, and read once a window.

    So that an update costs no kernel of an accelerator for its log.
    """

    start_step: int
    start_seconds: float
    num_updates: int = 0
    num_priorities: int = 0
    sums: dict[str, Any] = field(default_factory=dict)
    _largest: Any = None
    _kept: dict[str, list[Any]] = field(default_factory=dict)  # values of each metric, priorities [B]

    def add(self, progress: Progress) -> None:
        for update in progress.updates:
            self.num_updates += 1
            for name, value in update.metrics.items():
                self._kept.setdefault(name, []).append(value)
            if update.priorities is not None:
                self._kept.setdefault("mean_priority", []).append(update.priorities)
        if max(map(len, self._kept.values()), default=0) >= _MOST_KEPT:
            self._sum_up()

    def _sum_up(self) -> None:
        """Adds what is kept to the sums."""
        for name, values in self._kept.items():
            together = torch.cat([torch.as_tensor(value).reshape(-1) for value in values])
            self.sums[name] = self.sums.get(name, 0.0) + together.sum()
            if name == "mean_priority":
                self.num_priorities += len(together)
                largest = together.max()
                self._largest = largest if self._largest is None else largest.maximum(self._largest)
        self._kept = {}

    def mean(self, name: str) -> float | None:
        """Of a metric over the updates of the window, of priorities over their rows; None where none had it."""
        self._sum_up()
        count = self.num_priorities if name == "mean_priority" else self.num_updates
        return float(self.sums[name]) / count if name in self.sums else None

    def max_priority(self) -> float | None:
        """The largest of the window; None where no update gave any."""
        self._sum_up()
        return None if self._largest is None else float(self._largest)


def progress_columns(agent: Agent) -> list[str]:
    """The columns of progress.csv: those of every run, and between them the agent's metrics and scalars."""
    return [
        *("step", "frames", "updates", "seconds", "steps_per_second", "updates_per_second"),
        *("episodes", "mean_return_20", "mean_return_100", *agent.metrics, *agent.scalars(), "beta"),
        *("mean_priority", "max_priority", "replay_ratio", "buffer_size", "buffer_bytes"),
    ]


class RunLog:
    """Takes every Progress of a run; `observe` returns the row that it closed, if it closed one."""

    def __init__(self, folder: Path, training: Training, tracking: Tracking | None = None) -> None:
        self._training = training
        step = training.counters.steps
        with ExitStack() as opened:  # closed again where one of them cannot be opened
            self._progress = Table(folder / "progress.csv", progress_columns(training.agent), step)
            opened.callback(self._progress.close)
            self._episodes = Table(folder / "episodes.csv", EPISODE_COLUMNS, step)
            opened.callback(self._episodes.close)
            tracked = TrackedRun(folder, "", training.config.flat(), step, None)
            self._trackers: list[Tracker] = [Guarded("tensorboard", lambda: TensorBoard(tracked))]
            opened.callback(self._trackers[0].close)
            if tracking is not None:
                self._trackers.append(open_tracker(tracking, tracked))
                opened.callback(self._trackers[1].close)
            self._opened = opened.pop_all()
        self._window = Window(step, training.counters.seconds)

    def observe(self, progress: Progress) -> Row | None:
        """Logs one vector step."""
        self._window.add(progress)
        for episode in progress.episodes:
            self._log_episode(progress, dict(episode._asdict()))
        if not (progress.is_checkpoint or self._is_due(progress.step)):
            return None
        row = make_row(self._training, progress, self._window)
        self._log_row(row, progress.step)
        self._window = Window(progress.step, progress.seconds)
        return row

    def sync(self) -> None:
        """Puts every row on the disk; call it before a checkpoint is taken, which counts on them."""
        self._progress.sync()
        self._episodes.sync()
        for tracker in self._trackers:
            tracker.flush()

    def close(self) -> None:
        """Closes every one of them, also where closing another raises."""
        self._opened.close()

    def _is_due(self, step: int) -> bool:
        period = self._training.config.budget.log_period_steps
        return step // period > self._window.start_step // period

    def _log_episode(self, progress: Progress, episode: Row) -> None:
        where: Row = {"step": progress.step, "frames": progress.frames, "seconds": round(progress.seconds, 3)}
        self._episodes.append(where | episode)
        self._track({f"episode/{name}": episode[name] for name in ("score", "length_steps")}, progress.step)

    def _log_row(self, row: Row, step: int) -> None:
        self._progress.append(row)
        self._progress.flush()
        self._episodes.flush()
        agent = self._training.agent
        tags = _TAGS | {f"train/{name}": name for name in (*agent.metrics, *agent.scalars())}
        self._track({tag: row[column] for tag, column in tags.items()}, step)
        for tracker in self._trackers[1:]:
            tracker.flush()

    def _track(self, values: Row, step: int) -> None:
        known = {tag: float(value) for tag, value in values.items() if value is not None}
        for tracker in self._trackers:
            tracker.log(known, step)


def make_row(training: Training, progress: Progress, window: Window) -> Row:
    """One line of progress.csv: speeds and learning over `window`, returns over the last games.

    replay_ratio is how many rows were drawn for each that was collected.
    """
    counters, replay, agent = training.counters, training.config.replay, training.agent
    seconds = max(progress.seconds - window.start_seconds, 1e-9)
    num_steps = progress.step - window.start_step
    return {
        "step": progress.step,
        "frames": progress.frames,
        "updates": counters.updates,
        "seconds": round(progress.seconds, 3),
        "steps_per_second": round(num_steps / seconds, 1),
        "updates_per_second": round(window.num_updates / seconds, 1),
        "episodes": counters.episodes,
        "mean_return_20": mean_of_last(counters.recent_scores, 20),
        "mean_return_100": mean_of_last(counters.recent_scores, 100),
        **{name: window.mean(name) for name in agent.metrics},
        **training.scalars(),
        "beta": progress.beta if replay.prioritized else None,
        "mean_priority": window.mean("mean_priority"),
        "max_priority": window.max_priority(),
        "replay_ratio": window.num_updates * replay.batch_size / num_steps if num_steps else None,
        "buffer_size": len(training.buffer),
        "buffer_bytes": training.buffer.nbytes,
    }


def mean_of_last(scores: deque[float], num_games: int) -> float | None:
    """The mean of the last `num_games` scores; None while fewer have finished."""
    return sum(list(scores)[-num_games:]) / num_games if len(scores) >= num_games else None


class Table:
    """One CSV file, opened for appending after the rows past `step` are cut off."""

    def __init__(self, path: Path, columns: list[str], step: int) -> None:
        self._path, self._columns = path, columns
        rows = [columns, *_rows_up_to(path, columns, step)]
        write_whole(path, "".join(",".join(row) + "\n" for row in rows))
        with written_to(path):
            self._file = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def append(self, row: Row) -> None:
        with written_to(self._path):
            self._writer.writerow(["" if row[name] is None else row[name] for name in self._columns])

    def flush(self) -> None:
        with written_to(self._path):
            self._file.flush()

    def sync(self) -> None:
        self.flush()
        with written_to(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with written_to(self._path):
            self._file.close()


def _rows_up_to(path: Path, columns: list[str], step: int) -> list[list[str]]:
    """The rows whose step is at most `step`; CheckpointError for a table that is none of ours.

    A column that the table does not have, as it is newer than the run, is empty in its rows.
    """
    if step == 0 or not os.path.lexists(path):
        return []
    rows = read_table(path, CheckpointError)
    _, header = next(rows, (1, []))
    if header[:1] != columns[:1] or header != [name for name in columns if name in header]:
        raise ConfigError(f"{path}: expected the columns {','.join(columns)}")
    kept = [row for number, row in rows if _step_of(f"{path}, line {number}", row, len(header)) <= step]
    cells = (dict(zip(header, row, strict=True)) for row in kept)
    return [[of_row.get(name, "") for name in columns] for of_row in cells]


def _step_of(where: str, row: list[str], num_columns: int) -> int:
    if len(row) != num_columns or not re.fullmatch("[0-9]{1,18}", row[0]):
        raise CheckpointError(f"{where}: expected a step and {num_columns - 1} more values")
    return int(row[0])
