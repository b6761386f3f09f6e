"""The command line, when something goes wrong: one line, status 2, and nothing lost or half-done."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import SMALL, error_of, train

from mujigae import cli
from mujigae.agents.presets import resolve
from mujigae.envs.steps import StepStream
from mujigae.runs import checkpoint, session
from mujigae.runs import folder as run_folder

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean train?"),
        (
            ["train"],
            "train: expected a preset first (mujigae info lists them), or --env or --resume, got none of them",
        ),
        (["train", "rainbw"], "preset: unknown preset 'rainbw'; did you mean rainbow?"),
        (
            ["train", "dqn", "--env", "CartPol-v1"],
            "env_id: unknown environment 'CartPol-v1'; did you mean CartPole-v1",
        ),
        (
            ["train", "dqn", "--env", "ALE/Pongg-v5"],
            "env_id: unknown environment 'ALE/Pongg-v5'; did you mean ALE/Pong-v5",
        ),
        (["train", "dqn", "--env", "Pendulum-v1"], "action_space: DQN handles Discrete actions"),
        (["train", "dqn", "--wrapper", "TimeLimit"], "wrapper: expected module:Class"),
        (["train", "dqn", "--env-kwargs", "gravity"], "env_kwargs: expected KEY=VALUE"),
        (
            ["train", "dqn", "--batch-sise", "3"],
            "train: unknown option '--batch-sise'; did you mean --batch-size",
        ),
        (["train", "dqn", "--steps", "many"], "train: --steps: expected an integer, got 'many'"),
        (["train", "dqn", "--steps"], "train: --steps: expected one argument"),
        (
            ["train", "dqn", "--loss", "l1"],
            "train: --loss: expected one of huber, squared, cross_entropy, hl_gauss, quantile, implicit_quantile, got 'l1'",
        ),
        (["train", "dqn", "--steps", "0"], "steps: expected at least 1, got 0"),
        (["train", "dqn", "--eval-episodes", "-3"], "eval_episodes: expected at least 0, got -3"),
        (["train", "dqn", "--batch-size", "9999999"], "batch_size: expected at most the replay's capacity"),
        (["train", "dqn", "--device", "meta"], "device: expected a device of this machine, got 'meta'"),
        (["train", "dqn", "--device", "warp"], "device: expected a device of this machine, got 'warp'"),
        (["train", "dqn", "--prefetch", "5000"], "prefetch: expected 0 to 1024, got 5000"),
        (["train", "dqn", "--capacity", "99999999999"], "capacity: expected at most 2^31 rows"),
        (["train", "c51", "--v-max", "20"], "v_max: expected at least 100"),
        (["train", "dqn", "stray"], "train: unknown option 'stray'"),
        (["train", "--resume", "nowhere"], "nowhere: not a run folder, it has no config.json"),
        (["evaluate", "nowhere"], "nowhere: not a run folder, it has no config.json"),
        (["evaluate"], "evaluate: "),
        (["record", "nowhere"], "nowhere: not a run folder"),
        (["plot", "nowhere"], "nowhere: not a run folder"),
        (["plot"], "plot: "),
        (["record", "nowhere", "--max-steps", "0"], "max_steps: expected at least 1, got 0"),
        (["info", "more"], "info: expected no arguments, got 'more'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    assert message in error_of(capsys, *args)
    assert list(tmp_path.iterdir()) == []


def test_traceback_is_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["train", "rainbw", "--traceback"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("MUJIGAE_TRACEBACK", "1")
    assert cli.main(["train", "rainbw"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["agent.safetensors", "state.json", "replay.mujigae"])
def test_corrupt_checkpoint_is_one_line_and_stays_as_it_was(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert train("dqn", "--steps", "50", "--name", "a") == 0
    capsys.readouterr()
    path = tmp_path / "runs" / "a" / "checkpoint-50" / name
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    assert f"checkpoint-50/{name}: " in error_of(capsys, "train", "--resume", "runs/a", "--steps", "100")
    assert json.loads((tmp_path / "runs" / "a" / "config.json").read_text())["budget"]["steps"] == 50
    assert path.read_bytes().endswith(b"xyz")


def test_full_disk_under_the_logs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    line = error_of(capsys, "train", "dqn", "--name", "a", *SMALL)
    assert line == "mujigae: runs/a/progress.csv: could not be written (No space left on device)"


def test_disk_that_fills_under_tensorboard_is_a_warning_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], without_pictures: None
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    assert cli.main(["train", "dqn", "--name", "a", *SMALL]) == 0
    warned = "warning: tensorboard: the run goes on without it (OSError: No space left on device)"
    assert capsys.readouterr().err.count(warned) == 1


def test_death_of_an_environments_process_is_one_line_with_its_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--wrapper", "envs_by_hand:Dying", "--env-processes"]
    line = error_of(capsys, "train", "dqn", "--name", "a", *SMALL, *options)
    assert re.search(r"environment [01]: expected its process to answer, got its end \(exit status 3\)", line)


def test_run_too_short_to_learn_says_so(capsys: pytest.CaptureFixture[str], without_pictures: None) -> None:
    short = [*SMALL, "--min-replay-steps", "500", "--steps", "300"]
    assert cli.main(["train", "dqn", "--name", "a", *short]) == 0
    told = "budget: nothing is learned: the first update comes at step 512 (--min-replay-steps), the run ends at 300"
    assert told in capsys.readouterr().out


def test_name_that_is_not_unicode_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = error_of(capsys, "train", "dqn", "--name", "bad\udcff", *SMALL)
    assert line == r"mujigae: name: expected a path in Unicode, got 'runs/bad\udcff'"
    assert not Path("runs").exists()


def test_options_of_several_values_add_up(without_pictures: None) -> None:
    kwargs = [*("--env-kwargs", "sutton_barto_reward=True"), *("--env-kwargs", "max_episode_steps=20")]
    assert cli.main(["train", "dqn", "--name", "a", *SMALL, *kwargs]) == 0
    told = Path("runs/a/protocol.txt").read_text()
    assert "sutton_barto_reward=True, max_episode_steps=20" in told


def test_full_standard_output_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdout", full)
            session.train_run(resolve("dqn", "CartPole-v1", {"steps": 100}), root=Path("runs"), name="a")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # closing writes what is left
    assert Path("runs/a/progress.csv").exists()


def test_error_of_the_environment_is_not_taken_for_one_of_the_disk(
    without_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Any, action: Any) -> Any:
        raise ConnectionResetError("simulator socket closed")

    monkeypatch.setattr("mujigae.envs.steps.StepStream.step", lost)
    with pytest.raises(ConnectionResetError):
        train("dqn", "--steps", "60")


def test_reward_that_is_no_number_names_environment_and_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StepStream.step
    monkeypatch.setattr(
        StepStream, "step", lambda *args: step(*args)._replace(reward=np.float64([1, np.nan]))
    )
    line = error_of(capsys, "train", "dqn", *SMALL)
    assert (
        "CartPole-v1, step 2: the replay refuses what the environment returned: reward[1]: expected" in line
    )


def test_second_process_does_not_train_in_the_same_folder(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--steps", "60", "--name", "a") == 0
    capsys.readouterr()
    folder = tmp_path / "runs" / "a"
    with run_folder.locked(folder):
        line = error_of(capsys, "train", "--resume", "a", "--steps", "120")
    assert line == "mujigae: runs/a: another process is training in this folder"
    assert checkpoint.latest(folder).name == "checkpoint-60"
    assert cli.main(["train", "--resume", "a", "--steps", "120"]) == 0


def test_resume_of_a_replay_of_another_configuration_is_refused(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("n_step", "--steps", "60", "--name", "a") == 0
    capsys.readouterr()
    path = tmp_path / "runs" / "a" / "config.json"
    config = json.loads(path.read_text())
    config["replay"]["n_step"] = 2
    path.write_text(json.dumps(config))
    assert "expected n_step 2, got 3" in error_of(capsys, "train", "--resume", "a", "--steps", "120")


def test_missing_train_extra_names_the_pip_command() -> None:
    extra = (
        "torch",
        "rich",
        "gymnasium",
        "safetensors",
        "tensorboard",
        "matplotlib",
        "imageio",
        "ale_py",
    )
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in {}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from mujigae.cli import main; sys.exit(main({}))"
    )

    def run(missing: tuple[str, ...], *args: str) -> subprocess.CompletedProcess[str]:
        code = script.format(missing, list(args))
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    info = run(extra, "info")
    assert (info.returncode, info.stderr) == (0, "")
    assert "preset rainbow" in info.stdout
    assert "torch is not installed" in info.stdout
    assert run(extra).stdout.startswith("usage: mujigae COMMAND")
    for missing, args, package in (
        (extra, ("train", "dqn"), "torch"),
        (extra, ("plot", "a"), "torch"),
        (("gymnasium",), ("train", "dqn"), "gymnasium"),
    ):
        result = run(missing, *args)
        expected = (
            f'mujigae: {package} is not installed; it comes with: python -m pip install "mujigae[train]"\n'
        )
        assert (result.returncode, result.stderr) == (2, expected)
