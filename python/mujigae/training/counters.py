"""What has happened so far in a run: with networks, generators and replay all that a checkpoint has to hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["NUM_STOP_GAMES", "Counters"]

NUM_STOP_GAMES = 100  # the mean that stop_score looks at needs this many finished games
_LARGEST = 2**62


@dataclass
class Counters:
    """Counted from the beginning of the run, over all processes that worked at it."""

    steps: int = 0
    episodes: int = 0
    updates: int = 0
    updates_due: int = 0  # not yet done: with `overlap` they run beside the next vector step
    checkpoints: int = 0
    longest_episode_steps: int = 0  # of those that ended
    seconds: float = 0.0
    recent_scores: deque[float] = field(default_factory=lambda: deque(maxlen=NUM_STOP_GAMES))
    evaluation: float | None = None  # the mean score of the last checkpoint's games, with best_episodes
    is_evaluation_due: bool = False  # the last checkpoint's games are still to be played

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` takes them back."""
        return asdict(self) | {"recent_scores": list(self.recent_scores)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Counters:
        """Raises TypeError or ValueError, which say what does not fit, for anything else."""
        names = [f.name for f in fields(cls)]
        if not isinstance(values, dict) or sorted(values) != sorted(names):
            raise ValueError(f"expected {', '.join(names)}")
        for name, default in vars(cls()).items():
            if type(default) is int and not (type(values[name]) is int and 0 <= values[name] < _LARGEST):
                raise ValueError(f"{name}: expected a count, got {str(values[name])[:40]}")
        if type(values["is_evaluation_due"]) is not bool:
            raise TypeError("is_evaluation_due: expected true or false")
        evaluation = values["evaluation"]
        changed: dict[str, Any] = {
            "seconds": float(values["seconds"]),
            "recent_scores": deque((float(s) for s in values["recent_scores"]), maxlen=NUM_STOP_GAMES),
            "evaluation": None if evaluation is None else float(evaluation),
        }
        return cls(**{**values, **changed})
