"""Ctrl-C, SIGTERM and what else may end a run: nothing that was saved is lost, and a finished run is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, train

from mujigae import cli
from mujigae.envs.environment import Environment
from mujigae.envs.steps import StepStream
from mujigae.runs import checkpoint, session
from mujigae.runs.stopping import stop_on_signals

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

ENDLESS = [*("--steps", "100000000", "--checkpoint-period-steps", "100000000", "--name", "a")]


def started(*args: str) -> subprocess.Popen[str]:
    """A run in a process of its own, once it has trained a little."""
    command = [sys.executable, "-m", "mujigae", "train", "dqn", *SMALL, *ENDLESS, *args]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, start_new_session=True, **pipes)
    table = Path("runs/a/progress.csv")
    deadline = time.monotonic() + 60
    while not (table.exists() and table.read_text().count("\n") > 2):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_leaves_a_checkpoint_and_its_own_exit_status(number: signal.Signals, status: int) -> None:
    process = started()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "stopping with a checkpoint" in err
    assert "Traceback" not in err
    assert out.splitlines()[-1] == "interrupted; to go on: mujigae train --resume runs/a"
    step = checkpoint.step_of(checkpoint.latest(Path("runs/a")))
    assert cli.main(["train", "--resume", "runs/a", "--steps", str(step + 10)]) == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_to_the_whole_group_leaves_a_checkpoint_where_environments_are_processes(
    number: signal.Signals, status: int
) -> None:
    process = started("--env-processes")
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert err.strip() == "stopping with a checkpoint; Ctrl-C again stops without one"
    checkpoint.latest(Path("runs/a"))


def test_processes_of_environments_end_with_a_killed_run() -> None:
    process = started("--env-processes")
    process.kill()
    process.communicate(timeout=60)  # returns once the last of them has closed its end of the pipes
    assert process.returncode == -signal.SIGKILL


def test_exact_run_goes_on_from_its_last_periodic_checkpoint() -> None:
    process = started("--exact-resume", "--checkpoint-period-steps", "1000000")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "goes on from its last checkpoint" in err
    assert list(Path("runs/a").glob("checkpoint-*")) == []
    assert cli.main(["train", "--resume", "runs/a", "--steps", "100"]) == 0, "begins anew"


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_is_noted_and_a_second_ctrl_c_interrupts(first: signal.Signals) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    was_interrupted = False
    with stop_on_signals("stopping") as stop:
        os.kill(os.getpid(), first)
        assert stop()
        assert stop.signal is first
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            was_interrupted = True
    assert was_interrupted
    assert {
        number: signal.getsignal(number) for number in before
    } == before  # SIGINT may be ignored, in a shell's background


@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT"])
def test_second_sigterm_ends_the_process_at_once(first: str) -> None:
    script = (
        "import os, signal, time\n"
        "from mujigae.runs.stopping import stop_on_signals\n"
        "with stop_on_signals('stopping'):\n"
        f"    os.kill(os.getpid(), signal.{first})\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=30, capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM


def test_other_threads_than_the_main_one_have_no_handlers() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_on_signals("stopping") as stop:
            seen.append(stop())

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert signal.getsignal(signal.SIGTERM) is before


# --- a finished run whose end goes wrong ---


@pytest.mark.parametrize(
    "render", [RuntimeError("no display"), NotImplementedError(), OSError(5, "gone"), None], ids=repr
)
def test_film_that_cannot_be_drawn_leaves_a_whole_run_and_its_evaluation(
    render: Exception | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Any) -> Any:
        if render is not None:
            raise render
        return None

    monkeypatch.setattr("gymnasium.envs.classic_control.cartpole.CartPoleEnv.render", broken)
    assert train("dqn", "--steps", "200", "--name", "a", "--eval-episodes", "2") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert sum(line.startswith("film: none (") for line in lines) == 1
    assert lines[-1].endswith("over 2 episodes")
    assert "Traceback" not in captured.err
    assert checkpoint.latest(Path("runs/a")).name == "checkpoint-200"


def test_close_that_fails_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Any) -> None:
        raise ConnectionError("the simulator is gone")

    monkeypatch.setattr(StepStream, "close", broken)
    assert train("dqn", "--steps", "60", "--name", "a") == 0
    line = "mujigae: warning: the environment could not be closed (the simulator is gone)"
    assert capsys.readouterr().err.splitlines() == [line]
    assert cli.main(["evaluate", "a", "--episodes", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("over 1 episodes")


def test_error_of_the_run_is_not_hidden_by_one_of_close(
    monkeypatch: pytest.MonkeyPatch, without_pictures: None
) -> None:
    def lost(self: Any, action: Any) -> Any:
        raise ZeroDivisionError("the run's own")

    def broken(self: Any) -> None:
        raise ConnectionError("close")

    monkeypatch.setattr(StepStream, "step", lost)
    monkeypatch.setattr(Environment, "close", broken)
    with pytest.raises(ZeroDivisionError):
        train("dqn", "--steps", "60")


# --- games without an end ---


def test_minutes_end_an_evaluation_too(monkeypatch: pytest.MonkeyPatch, without_pictures: None) -> None:
    def step(chain: Any, action: Any) -> Any:
        return chain._observe(), 0.0, not Path("runs/a/best").exists(), False, {}

    monkeypatch.setattr("gymnasium.wrappers.TimeLimit.step", lambda self, action: self.env.step(action))
    monkeypatch.setattr("mujigae.envs.chain.Chain.step", step)
    began = time.monotonic()
    options = ["--best-episodes", "1", "--eval-max-steps", "100000000", "--minutes", "0.05"]
    small = [*SMALL[:-4]]
    assert cli.main(["train", "dqn", "--env", "mujigae/Chain-v0", "--name", "a", *small, *options]) == 0
    assert time.monotonic() - began < 30
    assert Path("runs/a/evaluations.csv").read_text().count("\n") == 2  # the names and the first


def test_minutes_leave_a_best_network(without_pictures: None) -> None:
    options = [*SMALL[:-4], "--best-episodes", "2", "--minutes", "1e-4", "--steps", "100000"]
    assert cli.main(["train", "dqn", "--env", "CartPole-v1", "--name", "a", *options]) == 0
    assert Path("runs/a/evaluations.csv").read_text().count("\n") == 2
    assert cli.main(["evaluate", "a", "--best", "--episodes", "1"]) == 0


def test_evaluation_of_endless_games_ends_and_says_that_it_cut_them(
    monkeypatch: pytest.MonkeyPatch, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--env", "mujigae/Chain-v0", "--steps", "60", "--name", "a") == 0
    monkeypatch.setattr("gymnasium.wrappers.TimeLimit.step", lambda self, action: self.env.step(action))
    monkeypatch.setattr(
        "mujigae.envs.chain.Chain.step", lambda self, action: (self._observe(), 1.0, False, False, {})
    )
    capsys.readouterr()
    assert cli.main(["evaluate", "a", "--episodes", "2", "--max-steps", "50"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "return 50.0 +- 0.0 over 2 episodes"
    assert captured.err == (
        "mujigae: warning: 2 games were cut after 50 steps and count with their scores so far\n"
    )


# --- exact_resume says what it costs ---


def test_exact_resume_says_what_it_costs_and_warns_of_games_that_it_cuts(
    without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [*SMALL, "--checkpoint-period-steps", "20"]
    assert cli.main(["train", "dqn", "--steps", "200", "--exact-resume", "--name", "a", *small]) == 0
    captured = capsys.readouterr()
    protocol = next(line for line in captured.out.splitlines() if line.startswith("protocol: "))
    assert "exact resume: every 20 steps all training games are cut as truncated" in protocol
    assert "longer than 10 steps" in protocol
    assert captured.err.count("are cut by exact_resume: checkpoint_period_steps 20 is 10 in each of 2") == 1
    assert cli.main(["train", "dqn", "--steps", "200", "--name", "b", *small]) == 0
    captured = capsys.readouterr()
    assert "exact" not in captured.out.replace("exact_resume=False", "")
    assert captured.err == ""


# --- another device ---


def test_run_of_a_machine_with_cuda_goes_on_without(
    without_pictures: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("rainbow", "--steps", "60", "--name", "a") == 0
    path = Path("runs/a/config.json")
    path.write_text(
        path.read_text()
        .replace('"device": "cpu"', '"device": "cuda"')
        .replace('"cuda_graphs": false', '"cuda_graphs": true')
    )
    assert cli.main(["train", "--resume", "a", "--steps", "120", "--device", "cpu"]) == 0
    assert checkpoint.latest(Path("runs/a")).name == "checkpoint-120"
    config = session.run_folder.read_config(Path("runs/a"))
    assert (config.hardware.device, config.hardware.cuda_graphs) == ("cpu", False)
