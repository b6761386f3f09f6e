"""The command line: what it leaves behind, and what it prints last."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, error_of, last_line, train

from mujigae import cli
from mujigae.runs import checkpoint, session
from mujigae.runs.display import Display
from mujigae.runs.folder import read_config

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


def test_training_leaves_everything_that_a_run_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("dqn", "--steps", "300") == 0
    folder = tmp_path / "runs" / "dqn-CartPole-v1-0"
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "protocol.txt", "progress.csv", "episodes.csv", "tensorboard", "checkpoint-300"),
        *("curve.png", "progress.png", "play.gif", "play.mp4", "q_values.png"),
    }
    out = capsys.readouterr().out
    assert "protocol: CartPole-v1: gymnasium" in out
    assert "evaluation epsilon 0" in out
    assert "configuration: preset=dqn agent_name=dqn protocol=None seed=0 env_id=CartPole-v1" in out
    assert json.loads((folder / "config.json").read_text())["agent"]["hidden_sizes"] == [8]
    assert (folder / "protocol.txt").read_text().strip() in out


def test_evaluation_ends_with_the_mean_return(
    without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--steps", "100", "--name", "a") == 0
    assert cli.main(["evaluate", "runs/a", "--episodes", "7"]) == 0
    line = last_line(capsys)
    assert re.fullmatch(r"return \d+\.\d \+- \d+\.\d over 7 episodes", line)
    assert cli.main(["evaluate", "a", "--episodes", "7"]) == 0  # the same run, by its name
    assert last_line(capsys) == line


def test_training_can_end_with_an_evaluation(
    without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--steps", "100", "--eval-episodes", "3") == 0
    assert re.fullmatch(r"return \d+\.\d \+- \d+\.\d over 3 episodes", last_line(capsys))


def test_existing_run_is_never_overwritten(tmp_path: Path, without_pictures: None) -> None:
    for _ in range(2):
        assert train("dqn", "--steps", "50", "--seed", "7") == 0
        assert train("dqn", "--steps", "50", "--name", "mine") == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["dqn-CartPole-v1-7", "dqn-CartPole-v1-7-2", "mine", "mine-2"]


def test_env_is_short_for_env_id_and_slashes_leave_the_folders_name(
    tmp_path: Path, without_pictures: None
) -> None:
    assert train("rainbow", "--env", "mujigae/Chain-v0", "--steps", "50") == 0
    config = read_config(tmp_path / "runs" / "rainbow-mujigae-Chain-v0-0")
    assert (config.env.env_id, config.preset, config.flat()["noisy"]) == ("mujigae/Chain-v0", "rainbow", True)


def test_resume_goes_on_with_a_larger_budget_as_one_run(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("prioritized", "--exact-resume", "--steps", "300", "--name", "whole") == 0
    beta_steps = str(read_config(tmp_path / "runs" / "whole").replay.beta_steps)
    part_of_it = ["--exact-resume", "--steps", "200", "--beta-steps", beta_steps, "--name", "part"]
    assert train("prioritized", *part_of_it) == 0
    capsys.readouterr()
    assert cli.main(["train", "--resume", "runs/part", "--steps", "300"]) == 0
    whole, part = tmp_path / "runs" / "whole", tmp_path / "runs" / "part"
    assert (part / "config.json").read_text() == (whole / "config.json").read_text()
    for path in (whole / "checkpoint-300").iterdir():
        if path.name != "state.json":  # that one holds the seconds
            assert path.read_bytes() == (part / "checkpoint-300" / path.name).read_bytes(), path.name
    for name in ("progress.csv", "episodes.csv"):
        assert timeless(part / name) == timeless(whole / name)


def timeless(path: Path) -> list[list[str]]:
    """The rows without the columns that say how long something took."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    keep = [place for place, name in enumerate(rows[0]) if "second" not in name]
    return [[row[place] for place in keep] for row in rows]


def test_resume_of_a_finished_run_says_so(without_pictures: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("dqn", "--steps", "100", "--name", "a") == 0
    assert cli.main(["train", "--resume", "runs/a"]) == 0
    assert (
        "already finished at step 100; a larger --steps, --minutes or --stop-... goes on"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "option",
    [("--seed", "1"), ("--gamma", "0.9"), ("--env", "Acrobot-v1"), ("--actors", "2"), ("--shards", "2")],
)
def test_resume_refuses_to_change_what_a_run_is(
    without_pictures: None, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert train("dqn", "--steps", "50", "--name", "a") == 0
    capsys.readouterr()
    assert "cannot change when a run is resumed" in error_of(capsys, "train", "--resume", "runs/a", *option)
    assert "preset: cannot change" in error_of(capsys, "train", "double", "--resume", "runs/a")


@pytest.mark.parametrize("option", [("--workers", "processes"), ("--address", "auto")])
def test_resume_of_a_run_of_one_process_refuses_to_say_where_its_workers_are(
    without_pictures: None, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert train("dqn", "--steps", "50", "--name", "a") == 0
    capsys.readouterr()
    assert "this run has one process" in error_of(capsys, "train", "--resume", "runs/a", *option)


def test_interrupt_leaves_a_checkpoint_that_resumes(
    tmp_path: Path,
    without_pictures: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(self: Display, progress: Any, row: Any) -> None:
        if progress.step == 60:
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Display, "show", interrupt)
        assert train("dqn", "--steps", "100", "--name", "a") == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert last_line(capsys) == "interrupted; to go on: mujigae train --resume runs/a"
    assert checkpoint.latest(tmp_path / "runs" / "a").name == "checkpoint-62"
    assert cli.main(["train", "--resume", "runs/a"]) == 0
    assert checkpoint.latest(tmp_path / "runs" / "a").name == "checkpoint-100"


def test_record_films_and_plot_draws(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--steps", "200", "--name", "a") == 0
    assert train("dqn", "--steps", "200", "--name", "b") == 0
    assert cli.main(["record", "runs/a", "--max-steps", "5"]) == 0
    assert cli.main(["plot", "runs/a"]) == 0
    assert cli.main(["plot", "runs/a", "runs/b"]) == 0
    assert cli.main(["plot", "runs/a", "runs/b", "--out", "both.png"]) == 0
    of_run = [f"runs/a/{name}" for name in ("play.gif", "play.mp4", "q_values.png", "curve.png")]
    for name in (*of_run, "curves.png", "both.png"):
        assert (tmp_path / name).stat().st_size > 100, name
    assert not list(tmp_path.glob("runs/a/*distributions*"))


def test_record_draws_the_distributions_of_a_categorical_agent(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("c51", "--steps", "200", "--name", "a") == 0
    capsys.readouterr()
    assert cli.main(["record", "runs/a", "--max-steps", "5"]) == 0
    names = [
        "play.gif",
        "play.mp4",
        "q_values.png",
        "distributions.png",
        "distributions.gif",
        "distributions.mp4",
    ]
    assert capsys.readouterr().out.splitlines() == [f"runs/a/{name}" for name in names]
    assert cli.main(["record", "runs/a", "--max-steps", "5", "--untrained"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"runs/a/untrained_{name}" for name in names]
    for name in ("q_values.png", "distributions.png"):
        trained, untrained = (tmp_path / "runs/a" / f"{prefix}{name}" for prefix in ("", "untrained_"))
        assert trained.read_bytes() != untrained.read_bytes(), name


def test_film_that_cannot_take_its_name_is_one_line(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--steps", "60", "--name", "a") == 0
    capsys.readouterr()
    (tmp_path / "runs" / "a" / "play.gif").mkdir()
    line = error_of(capsys, "record", "a", "--max-steps", "5")
    assert line == "mujigae: runs/a/play.gif: cannot be written: Is a directory"


def test_interrupt_of_the_pictures_leaves_a_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **options: object) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "record_run", interrupted)
    assert train("dqn", "--steps", "200", "--name", "a") == 0
    assert last_line(capsys).startswith("film: none (interrupted); the run is whole")
    assert (tmp_path / "runs" / "a" / "curve.png").exists()


def test_an_environment_alone_is_learned_by_dqn(
    tmp_path: Path, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--env", "mujigae/Chain-v0", "--steps", "40") == 0
    assert read_config(tmp_path / "runs" / "dqn-mujigae-Chain-v0-0").preset == "dqn"
    assert train("--env", "mujigae/Chain-v0", "rainbow", "--steps", "40") == 0
    assert read_config(tmp_path / "runs" / "rainbow-mujigae-Chain-v0-0").agent.categorical  # type: ignore[attr-defined]


def test_run_without_a_finished_game_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("dqn", "--env", "mujigae/Chain-v0", "--steps", "4") == 0
    assert "curve: none (" in capsys.readouterr().out


def test_info_names_versions_build_presets_and_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    for part in (
        "numpy ",
        "torch ",
        "engine: ",
        "devices: cpu",
        "preset rainbow: double=True",
        "family atari: ",
    ):
        assert part in out


@pytest.mark.parametrize(
    "command", [["--help"], [], ["train", "--help"], ["evaluate", "-h"], ["info", "--help"]]
)
def test_help_is_no_error(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = cli.main(command)
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert status == 0
    assert "usage" in capsys.readouterr().out


def test_help_of_train_shows_what_this_preset_and_environment_would_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "rainbow", "--env", "ALE/Pong-v5", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert (
        "--n-step INT Rewards summed before bootstrapping, in steps (Sutton 1988; Rainbow takes 3). (default: 3)"
        in text
    )
    assert "(default: 6.25e-05)" in text
    assert "--env STR, --env-id STR" in text


def test_parts_on_the_command_line_bring_their_values_and_keep_what_is_said(
    without_pictures: None, tmp_path: Path
) -> None:
    small = ["train", "dqn", "--noisy", "--steps", "60", *SMALL]
    for name, more in (("a", []), ("b", ["--target-update-period-updates", "32"])):
        assert cli.main([*small, "--name", name, *more]) == 0
    configs = [json.loads((tmp_path / "runs" / name / "config.json").read_text()) for name in "ab"]
    assert [config["agent"]["target_update_period_updates"] for config in configs] == [64, 32]
    assert all(config["agent"]["noisy"] for config in configs)


@pytest.mark.parametrize("env_id", ["mujigae/Loop-v0", "mujigae/Chain-v0"])
def test_return_distributions_over_unknown_rewards_say_their_bounds(
    env_id: str, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("c51", "--env", env_id, "--steps", "60") == 0
    assert "--v-min and --v-max move it" in capsys.readouterr().out
    assert train("dqn", "--env", env_id, "--steps", "60") == 0
    assert train("c51", "--steps", "60") == 0  # CartPole's rewards are known
    assert "--v-min" not in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"compile": True}, {"cuda_graphs": True, "device": "cuda"}])
def test_run_of_a_faster_machine_is_evaluated_without_its_switches(
    change: dict[str, Any], without_pictures: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("dqn", "--steps", "60", "--name", "a") == 0
    path = tmp_path / "runs" / "a" / "config.json"
    config = json.loads(path.read_text())
    config["hardware"] |= change
    path.write_text(json.dumps(config))
    monkeypatch.setattr("mujigae.agents.dqn.agent.compiled", None)
    assert cli.main(["evaluate", "runs/a", "--episodes", "1", "--device", "cpu"]) == 0


@pytest.mark.parametrize("args", [["info"], ["train", "dqn", "--help"]])
def test_reader_that_leaves_early_is_no_error(args: list[str]) -> None:
    command = [sys.executable, "-m", "mujigae", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == cli.EXIT_BROKEN_PIPE


def test_help_of_evaluate_explains_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "return MEAN +- ERROR over N episodes" in text
    assert "standard error of the mean" in text
