"""mujigae's `train rainbow --env ALE/Pong-v5`: the whole session, with its logs and its display."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from mujigae.config.presets import resolve
from mujigae.runs import session
from mujigae.training import loop

NAME = "mujigae rainbow"
PACKAGES = ("torch", "numpy", "gymnasium", "ale-py")


def version() -> str:
    return metadata.version("mujigae")


def train(gate: Any, seed: int, learning_starts: int, **switches: Any) -> None:
    """The gate stands between the loop and the session that follows it."""

    def gated(*args: Any) -> Iterator[loop.Progress]:
        before = 0
        for progress in loop.run(*args):
            yield progress
            gate.passed(progress.step - before)
            before = progress.step

    session.run = gated  # type: ignore[assignment]
    num_threads = int(os.environ["OMP_NUM_THREADS"])
    fixed = {"batch_size": 32, "learn_period_steps": 4, "num_updates": 1, "num_threads": num_threads}
    changes = {"seed": seed, "min_replay_steps": learning_starts, **fixed, **switches}
    config = resolve("rainbow", "ALE/Pong-v5", changes)
    with tempfile.TemporaryDirectory() as folder:
        session.train_run(config, root=Path(folder))
