"""examples/random_agent.py goes through every command of the ordinary command line, from a folder of its own."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "random_agent.py"
SMALL = (
    *(
        "--num-envs",
        "2",
        "--capacity",
        "1000",
        "--min-replay-steps",
        "20",
        "--checkpoint-period-steps",
        "100",
    ),
    *("--log-period-steps", "50"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(EXAMPLE, tmp_path)
    return tmp_path


def mujigae(folder: Path, *args: str) -> str:
    """Runs the installed command as a shell in `folder` would, and returns what it prints."""
    script = "import sys; sys.path.pop(0); from mujigae.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        cwd=folder,
        env={**os.environ, "SDL_VIDEODRIVER": "dummy"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    """Without the columns that say how long something took."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]


def test_agent_from_outside_trains_resumes_is_evaluated_and_filmed(folder: Path) -> None:
    agent = "random_agent:RandomAgent"
    mujigae(folder, "train", agent, "--steps", "200", *SMALL, "--name", "part")
    mujigae(folder, "train", "--resume", "part", "--steps", "400")
    mujigae(folder, "train", agent, "--steps", "400", *SMALL, "--beta-steps", "180", "--name", "whole")
    part, whole = folder / "runs" / "part", folder / "runs" / "whole"
    assert (part / "config.json").read_text() == (whole / "config.json").read_text()
    for name in ("episodes.csv", "progress.csv"):
        before_the_stop = [row for row in rows(whole / name) if int(row["step"]) <= 200]
        assert rows(part / name)[: len(before_the_stop)] == before_the_stop
        assert len(before_the_stop) < len(rows(part / name))
    assert [row["step"] for row in rows(part / "progress.csv")][-1] == "400"
    assert (
        mujigae(folder, "evaluate", "whole", "--episodes", "3").splitlines()[-1].endswith("over 3 episodes")
    )
    filmed = mujigae(folder, "record", "whole", "--max-steps", "30").split()
    assert [Path(path).name for path in filmed] == ["play.gif", "play.mp4"]
    assert all((folder / path).stat().st_size > 100 for path in filmed)
