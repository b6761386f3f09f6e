"""Runs that are killed at random moments are resumed, each from its last checkpoint (-m slow; bench/train/kills.py has more)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_runs_are_resumed_and_exact_ones_equal_the_uninterrupted_run(tmp_path: Path) -> None:
    """In a process of its own, whose forks have no threads of this one."""
    out = tmp_path / "kills.json"
    command = [sys.executable, str(ROOT / "bench/train/kills.py"), str(out), "--runs", "12", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    totals = json.loads(out.read_text())["totals"]
    assert (totals["runs"], totals["failed"], totals["resumed exactly"]) == (12, 0, 6)
