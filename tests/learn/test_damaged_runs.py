"""Run folders that are not what was written: one line and exit status 2, or the command works; never a traceback."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import SMALL

from mujigae import cli
from mujigae.runs import session

TABLES = ("progress.csv", "episodes.csv", "evaluations.csv")
OBJECTS = ("config.json", "checkpoint-200/state.json", "best/state.json")
OTHERS = ("checkpoint-200/agent.safetensors", "checkpoint-200/replay.mujigae", "best/agent.safetensors")
COMMANDS = {
    "evaluate": ["evaluate", "w", "--episodes", "1", "--max-steps", "20"],
    "evaluate the best": ["evaluate", "w", "--episodes", "1", "--max-steps", "20", "--best"],
    "plot": ["plot", "w"],
    "resume": ["train", "--resume", "w", "--steps", "220"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 200 steps with everything in it."""
    root = tmp_path_factory.mktemp("runs")
    options = ["--steps", "200", "--best-episodes", "1", "--runs", str(root), "--name", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_draw", lambda folder, say: None)
        assert cli.main(["train", "dqn", *SMALL, *options]) == 0
    return root / "run"


@pytest.fixture
def damaged(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_pictures: None) -> Path:
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(whole, tmp_path / "w")


def run_all(capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, str]:
    """The line on stderr of each command that failed; another kind of failure fails the test."""
    said = {}
    for name in names or COMMANDS:
        capsys.readouterr()
        status = cli.main(COMMANDS[name])
        err = capsys.readouterr().err
        assert status in (0, 2), name
        if status == 2:
            (line,) = err.splitlines()
            assert line.startswith("mujigae: ")
            said[name] = line
    return said


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def a_link_to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def huge_and_sparse(path: Path) -> None:
    os.truncate(path, 2**36)


ANYTHING: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),  # type: ignore[dict-item,return-value]
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a folder": a_folder,
    "a pipe without a writer": a_pipe,
    "a link to itself": a_link_to_itself,
    "a link to a device": a_link_to_a_device,
    "64 GB of nothing": huge_and_sparse,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),  # type: ignore[dict-item,return-value]
    "brackets": lambda path: path.write_bytes(b"[" * 100_000),  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("what", ANYTHING)
@pytest.mark.parametrize("name", [*TABLES, *OBJECTS])
def test_file_that_is_something_else_is_one_line(
    damaged: Path, capsys: pytest.CaptureFixture[str], name: str, what: str
) -> None:
    ANYTHING[what](damaged / name)
    said = run_all(capsys)
    assert all(damaged.name in line for line in said.values())
    assert said or name in TABLES


@pytest.mark.parametrize("what", ["missing", "cut in the middle", "a folder", "a pipe without a writer"])
@pytest.mark.parametrize("name", OTHERS)
def test_file_of_a_checkpoint_that_is_something_else_is_named(
    damaged: Path, capsys: pytest.CaptureFixture[str], name: str, what: str
) -> None:
    ANYTHING[what](damaged / name)
    said = run_all(capsys, "evaluate", "evaluate the best", "resume")
    assert said
    assert all(name in line for line in said.values())


VALUES = [None, True, "x", -1, 0, 1e300, 10**30, 10**19, "9" * 5_000, [], {}, [[[]]], "\u0000", 0.5, "\ud800"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_config_with_another_value_anywhere_is_one_line(
    damaged: Path, capsys: pytest.CaptureFixture[str], value: object
) -> None:
    """In a few fields of each part; memory is asked for by some, and machines may grant what no run can use."""
    path = damaged / "config.json"
    config = json.loads(path.read_text())
    for part, name in (
        *((None, "seed"), (None, "agent_name"), ("env", "env_id"), ("env", "num_envs"), ("replay", "n_step")),
        *(("budget", "steps"), ("hardware", "device"), ("hardware", "num_threads"), ("replay", "gamma")),
    ):
        changed = json.loads(json.dumps(config))
        (changed if part is None else changed[part])[name] = value
        path.write_text(json.dumps(changed))
        run_all(capsys, "evaluate", "resume")


@pytest.mark.parametrize(
    "line",
    [
        "200,200,1.0,0,1e999,10",
        "200,200,1.0,0,1e308,10\n201,200,1.0,0,-1e308,10",
        "200,200,1.0,0,nan,10",
        '200,"200,1.0,0,1,10',
        "200," + "1" * 140_000 + ",0,0,0,0",
        "2\x0000,1,0,0,0,0",
        "200,1,0,0,0,0\r200,1,0,0,0,0",
        "9" * 5_000 + ",1,0,0,0,0",
        "-5,1,0,0,0,0",
        "\u0662,1,0,0,0,0",
        "200,1",
        "",
        "\ufeff200,1,0,0,0,0",
    ],
    ids=lambda line: repr(line)[:24],
)
@pytest.mark.parametrize("name", TABLES)
def test_table_with_a_strange_line_is_one_line(
    damaged: Path, capsys: pytest.CaptureFixture[str], name: str, line: str
) -> None:
    path = damaged / name
    path.write_text(path.read_text() + line + "\n", newline="")
    run_all(capsys, "plot", "resume")


def test_best_snapshot_that_is_a_checkpoint_is_named(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(damaged / "checkpoint-200" / "state.json", damaged / "best" / "state.json")
    (line,) = run_all(capsys, "resume").values()
    assert "best/state.json: not a best snapshot, it has no evaluation" in line


def test_random_damage_is_one_line(damaged: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(0)
    for _ in range(40):
        name = rng.choice([*TABLES, *OBJECTS, *OTHERS])
        data = bytearray((whole / name).read_bytes())
        for _ in range(rng.choice([1, 1, 4, 40])):
            place = rng.randrange(len(data))
            data[place : place + rng.choice([1, 1, 9])] = rng.randbytes(rng.choice([0, 1, 1, 9]))
        (damaged / name).write_bytes(data)
        run_all(capsys, rng.choice(["evaluate", "evaluate the best", "plot", "resume"]))
        shutil.rmtree(damaged)
        shutil.copytree(whole, damaged)
