"""Runs a program of examples/ as its user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def output_of(example: str, *options: str, timeout_seconds: int = 240) -> str:
    """What examples/<example>.py prints; its errors fail the test. One torch thread, as in the other tests here."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{example}.py"), *options],
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
