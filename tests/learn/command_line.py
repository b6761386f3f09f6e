"""Small commands for the tests of the command line, and what they say."""

from __future__ import annotations

import pytest

from mujigae import cli

SMALL = [
    *("--num-envs", "2", "--hidden-sizes", "8", "--head-size", "0", "--num-threads", "1"),
    *("--batch-size", "4", "--capacity", "200", "--min-replay-steps", "20"),
    *("--checkpoint-period-steps", "100", "--log-period-steps", "50"),
    *("--best-episodes", "0", "--stop-evaluation", "None"),
]


def train(*args: str) -> int:
    return cli.main(["train", *args, *SMALL])


def error_of(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The one line on stderr of a command that has to fail with status 2."""
    assert cli.main(list(args)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mujigae: ")
    return line


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]
