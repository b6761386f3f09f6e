"""Statistics of normalising wrappers go with a run: into its checkpoints, into what is resumed, into evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL, error_of, train
from safetensors.numpy import load_file

from mujigae import cli
from mujigae.runs import checkpoint
from mujigae.runs import folder as run_folder
from mujigae.training.loop import build

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own", "without_pictures")

WRAPPERS = ("gymnasium.wrappers:NormalizeObservation", "gymnasium.wrappers:NormalizeReward(gamma=0.9)")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Path:
    """A run of 200 steps whose environments are normalised."""
    options = ["--wrapper", *WRAPPERS, "--name", "run", "--steps", "200"]
    assert train("dqn", *options) == 0
    said = "environment state: NormalizeReward, NormalizeObservation, saved with the run"
    assert said in capsys.readouterr().out
    return Path("runs/run")


def means(state: dict[str, np.ndarray]) -> dict[str, object]:
    return {name: value.tolist() for name, value in state.items() if name.endswith("rms.mean")}


def test_checkpoint_has_them_and_what_is_resumed_begins_with_them(run: Path) -> None:
    saved = load_file(run / "checkpoint-200" / "environments.safetensors")
    assert len(means(saved)) == 2 * 2
    assert any(np.any(np.asarray(value) != 0) for value in means(saved).values())
    training = build(run_folder.read_config(run))
    checkpoint.restore(training, run / "checkpoint-200")
    assert {name: value.tolist() for name, value in training.environment.state().items()} == {
        name: value.tolist() for name, value in saved.items()
    }
    assert cli.main(["train", "--resume", "run", "--steps", "300"]) == 0
    assert (run / "checkpoint-300" / "environments.safetensors").is_file()


def test_evaluation_plays_with_them_and_leaves_them_as_they_are(run: Path) -> None:
    saved = load_file(run / "checkpoint-200" / "environments.safetensors")
    _, environment, _ = run_folder.load_player(run, num_envs=2)
    environment.stream.reset(seed=1)
    for _ in range(20):
        environment.stream.step(np.zeros(2, np.int64))
    assert means(environment.state()) == means(saved)
    environment.close()


def test_best_snapshot_is_chosen_and_kept_with_them() -> None:
    options = ["--wrapper", WRAPPERS[0], "--name", "run", "--steps", "100", *SMALL, "--best-episodes", "2"]
    assert cli.main(["train", "dqn", *options]) == 0
    assert Path("runs/run/best/environments.safetensors").is_file()


def test_run_without_them_has_no_file_for_them() -> None:
    assert train("dqn", "--name", "run", "--steps", "100") == 0
    assert not Path("runs/run/checkpoint-100/environments.safetensors").exists()


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_statistics_that_are_missing_or_damaged_are_one_line(
    run: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "checkpoint-200" / "environments.safetensors"
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    for command in (["evaluate", "run"], ["train", "--resume", "run", "--steps", "300"]):
        assert "environments.safetensors" in error_of(capsys, *command)
