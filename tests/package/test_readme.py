"""What README.md promises beside what every page does: its two commands, its length and its numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pages import README, ROOT

MAX_LINES = 150


@pytest.mark.parametrize(
    "command",
    ['python -m pip install ".[atari]" && mujigae train pong', 'python -m pip install ".[test]" && pytest'],
)
def test_readme_has_the_set_up_command_on_a_line_of_its_own(command: str) -> None:
    assert command in [line.strip() for line in README.read_text(encoding="utf-8").splitlines()]


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_numbers_are_those_of_the_committed_results() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "bench/report.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python bench/report.py"
