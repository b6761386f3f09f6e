"""Opens the tracker of a run, and goes on without it when it fails.

tracking.json   {"tracker": "wandb", "project": "mujigae", "id": "..."}: what a run that is resumed goes on with
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from mujigae.errors import CheckpointError, ConfigError, require
from mujigae.runs.closing import warn
from mujigae.runs.files import write_whole
from mujigae.runs.reading import read_json, reason_of
from mujigae.runs.tracking.contract import TrackedRun, Tracker

__all__ = ["TRACKERS", "Guarded", "Tracking", "open_tracker", "require_tracker", "saved_tracking"]

FILE = "tracking.json"
TRACKERS = {
    "wandb": "WandB",
    "mlflow": "MLflow",
    "trackio": "Trackio",
}  # the class in the module of that name
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PROJECT = re.compile(r"[A-Za-z0-9._ -]{1,128}")


@dataclass(frozen=True)
class Tracking:
    """Which tracker a run has. Raises ConfigError for a project that a resumed run would not read back."""

    tracker: str
    project: str = "mujigae"
    id: str | None = None  # None: it has not been opened yet

    def __post_init__(self) -> None:
        if _PROJECT.fullmatch(self.project) is None:
            raise ConfigError(
                "track_project: expected 1 to 128 letters, digits, spaces and . _ -, all of them ASCII, "
                f"got {self.project[:130]!r}"
            )


def require_tracker(tracking: Tracking | None) -> None:
    """Raises MissingExtraError where its library is not installed."""
    if tracking is not None:
        require(tracking.tracker, tracking.tracker)


def saved_tracking(folder: Path) -> Tracking | None:
    """What the run in `folder` was tracked with, if it was; CheckpointError for a file that is none of ours."""
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    values = read_json(path, CheckpointError)
    tracker, project, id_ = (values.get(name) for name in ("tracker", "project", "id"))
    is_ours = tracker in TRACKERS if isinstance(tracker, str) else False
    for value, pattern in ((project, _PROJECT), (id_, _ID)):
        is_ours = is_ours and isinstance(value, str) and pattern.fullmatch(value) is not None
    if not is_ours:
        raise CheckpointError(f"{path}: expected a tracker ({', '.join(TRACKERS)}), a project and an id")
    return Tracking(str(tracker), str(project), str(id_))


def open_tracker(tracking: Tracking, run: TrackedRun) -> Tracker:
    """The tracker of that name, guarded; tracking.json says which run of its own it goes on with."""
    run = replace(run, project=tracking.project, id=tracking.id)
    return Guarded(tracking.tracker, lambda: _opened(tracking.tracker, run))


def _opened(name: str, run: TrackedRun) -> Tracker:
    module: Any = import_module(f"mujigae.runs.tracking.{name}")
    tracker: Tracker = getattr(module, TRACKERS[name])(run)
    with ExitStack() as opened:
        opened.callback(tracker.close)  # where its id cannot be written
        values = {"tracker": name, "project": run.project, "id": tracker.id}
        write_whole(run.folder / FILE, json.dumps(values) + "\n")
        opened.pop_all()
    return tracker


class Guarded:
    """A tracker of which an error is no reason to stop a run: at the first one it is closed, with one warning, and it raises none."""

    def __init__(self, name: str, open_: Callable[[], Tracker]) -> None:
        self.id, self._name = "", name
        self._tracker: Tracker | None = None
        with self._warned_of():
            self._tracker = open_()
            self.id = self._tracker.id

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._call(lambda tracker: tracker.log(values, step))

    def flush(self) -> None:
        self._call(lambda tracker: tracker.flush())

    def close(self) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            with self._warned_of():
                tracker.close()

    def _call(self, what: Callable[[Tracker], None]) -> None:
        if self._tracker is not None:
            with self._warned_of():
                what(self._tracker)

    @contextmanager
    def _warned_of(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            tracker, self._tracker = self._tracker, None
            warn(f"{self._name}: the run goes on without it ({type(error).__name__}: {reason_of(error)})")
            if tracker is not None:
                with suppress(Exception):  # its second error is no news
                    tracker.close()
