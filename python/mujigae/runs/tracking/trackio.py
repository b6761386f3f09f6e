"""trackio, https://github.com/gradio-app/trackio: into a local data base, which `trackio show` draws."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from mujigae.errors import require
from mujigae.runs.tracking.contract import TrackedRun

__all__ = ["Trackio"]


class Trackio:
    """A `Tracker`. A run's name is what trackio finds it by, so it ends with letters of its own."""

    def __init__(self, run: TrackedRun) -> None:
        trackio = require("trackio", "trackio")
        self.id = run.id or f"{re.sub(r'[^A-Za-z0-9._-]+', '-', run.name)[:80]}-{secrets.token_hex(4)}"
        self._run = trackio.init(
            project=run.project,
            name=self.id,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        pass  # a thread of trackio's does it

    def close(self) -> None:
        self._run.finish()
