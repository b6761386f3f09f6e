"""Continuous actions through the command line: trained, resumed, evaluated, filmed, handed on."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import error_of, last_line

from mujigae import cli

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

SMALL = [
    *("--num-envs", "2", "--hidden-sizes", "8", "--batch-size", "4", "--capacity", "300"),
    *("--min-replay-steps", "20", "--checkpoint-period-steps", "50", "--log-period-steps", "50"),
    *("--best-episodes", "2"),
]


@pytest.mark.parametrize("preset", ["td3", "sac", "naf", "cem"])
def test_run_is_trained_resumed_evaluated_and_filmed(
    preset: str, tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["train", preset, "--steps", "50", *SMALL, "--name", "a"]) == 0
    )  # Pendulum, as nothing else is said
    assert cli.main(["train", "--resume", "a", "--steps", "100"]) == 0
    folder = tmp_path / "runs" / "a"
    assert (folder / "checkpoint-100").is_dir()
    assert (folder / "best").is_dir()
    assert "Pendulum-v1: gymnasium" in (folder / "protocol.txt").read_text()
    header, *rows = (folder / "progress.csv").read_text().splitlines()
    assert len(rows) == 2
    assert {"loss", "mean_q"} <= set(header.split(","))
    for network in ([], ["--best"]):
        assert cli.main(["evaluate", "a", "--episodes", "2", *network]) == 0
        assert last_line(capsys).endswith("over 2 episodes")
    if preset in ("sac", "cem"):
        assert cli.main(["record", "a", "--max-steps", "10"]) == 0
        assert {path.name for path in folder.glob("*.*")} >= {"play.gif", "play.mp4", "q_values.png"}


def test_unbounded_and_discrete_actions_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(capsys, "train", "sac", "--env", "CartPole-v1")
    assert line == "mujigae: action_space: SAC handles Box actions and Box observations, got Discrete(2)"
    wrapper = "gymnasium.wrappers:ClipAction"  # it takes any number, and so has no bounds
    line = error_of(capsys, "train", "ddpg", "--env", "Pendulum-v1", "--wrapper", wrapper)
    assert "DDPG handles Box actions of floats, each between two finite bounds, got Box(-inf, inf" in line


def test_help_shows_the_values_for_pendulum(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "td3", "--help"])
    text = capsys.readouterr().out
    assert "--target-noise" in text
    assert "(default: 20000)" in text
