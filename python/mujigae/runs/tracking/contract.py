"""What a tracker is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["TrackedRun", "Tracker"]


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run when it is opened."""

    folder: Path
    project: str
    config: Mapping[str, Any]  # every field of the configuration by its name
    step: int  # from which the run goes on; 0: it is new
    id: str | None  # what the tracker called it before; None: it is new to the tracker

    @property
    def name(self) -> str:
        """For people."""
        return self.folder.name


class Tracker(Protocol):
    """Takes numbers at steps, which never go down but where a run is resumed. Any of its calls may raise anything."""

    id: str  # under which the run is found again; empty where the folder is enough

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by their tags, such as train/loss."""

    def flush(self) -> None:
        """Hands on what was logged; comes with every row of progress.csv."""

    def close(self) -> None:
        """The run has ended, or will be resumed."""
