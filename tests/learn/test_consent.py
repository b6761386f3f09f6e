"""Modules that a run folder names are imported without a question only if the run was begun under this account."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import SMALL, error_of

from mujigae import cli
from mujigae.runs import consent

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own", "without_pictures")

MODULE = """
import numpy as np, gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from mujigae.agents import Agent, Update
print("code of theirs runs")

class Theirs(Agent):
    def __init__(self, run, observation_space, action_space): pass
    def act(self, obs, step): return np.zeros(len(obs), np.int64)
    def act_for_evaluation(self, obs, rng): return np.zeros(len(obs), np.int64)
    def learn(self, batch): return Update()

class Wrapper(gymnasium.Wrapper): pass

if "Theirs-v0" not in gymnasium.registry:
    gymnasium.register("Theirs-v0", CartPoleEnv, max_episode_steps=20)
"""
NAMED = {
    "agent": ["theirs:Theirs", *SMALL[:2], *SMALL[SMALL.index("--capacity") :]],
    "environment": ["dqn", "--env", "theirs:Theirs-v0", *SMALL],
    "wrapper": ["dqn", "--wrapper", "theirs:Wrapper", *SMALL],
}
COMMANDS = {
    "evaluate": ["evaluate", "run", "--episodes", "1", "--max-steps", "20"],
    "record": ["record", "run", "--max-steps", "5"],
    "resume": ["train", "--resume", "run", "--steps", "120"],
    "help": ["train", "--resume", "run", "--help"],
}


@pytest.fixture(autouse=True)
def _module(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "theirs.py").write_text(MODULE)
    yield
    sys.modules.pop("theirs", None)


def train(what: str) -> Path:
    assert cli.main(["train", *NAMED[what], "--steps", "100", "--name", "run"]) == 0
    return Path("runs/run")


def as_another_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new process of an account that has not made the run."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    sys.modules.pop("theirs", None)


@pytest.mark.parametrize("what", NAMED)
def test_runs_of_ones_own_need_no_consent(what: str) -> None:
    train(what)
    assert cli.main(COMMANDS["evaluate"]) == 0
    assert cli.main(COMMANDS["resume"]) == 0


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_module_of_somebody_elses_run_is_imported_without_consent(
    what: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(what)
    as_another_account(monkeypatch, tmp_path)
    capsys.readouterr()
    line = error_of(capsys, *COMMANDS[command])
    assert (
        "config.json: expected consent to import theirs, as this run was not begun under this account" in line
    )
    assert "--trust-modules" in line
    assert "theirs" not in sys.modules


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_consent_is_an_option(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("agent")
    as_another_account(monkeypatch, tmp_path)
    assert cli.main([*COMMANDS[command], "--trust-modules"]) == 0
    if command == "resume":  # whoever resumes a run has it from now on
        assert cli.main(COMMANDS["evaluate"]) == 0


def test_consent_is_to_the_modules_that_were_named(capsys: pytest.CaptureFixture[str]) -> None:
    folder = train("environment")
    config = json.loads((folder / "config.json").read_text())
    config["env"]["wrapper"] = ["os.path:join"]
    (folder / "config.json").write_text(json.dumps(config))
    assert "to import os.path, theirs, as" in error_of(capsys, *COMMANDS["evaluate"])


@pytest.mark.parametrize("mark", ["", "0" * 64, "é", "x" * 5_000])
def test_a_mark_that_is_not_ours_is_none(mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    (train("agent") / consent.MARK).write_text(mark)
    assert "config.json: " in error_of(capsys, *COMMANDS["evaluate"]) or len(mark) > 1024


def test_runs_of_registered_names_and_of_gymnasium_need_neither_mark_nor_consent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrapper = "gymnasium.wrappers:NormalizeObservation"
    assert cli.main(["train", "dqn", "--wrapper", wrapper, *SMALL, "--steps", "100", "--name", "run"]) == 0
    assert not Path("runs/run", consent.MARK).exists()
    as_another_account(monkeypatch, tmp_path)
    assert cli.main(COMMANDS["evaluate"]) == 0


def test_the_key_is_the_accounts_own() -> None:
    train("agent")
    key = Path(os.environ["XDG_STATE_HOME"], "mujigae", "key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32


def test_without_a_place_for_the_key_a_run_is_whole_and_asks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not (train("agent") / consent.MARK).exists()
    assert "--trust-modules" in error_of(capsys, *COMMANDS["evaluate"])
