"""Runs go to the Hugging Face hub and come back, through its own client, to a hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install 'mujigae[hub]'")

from fake_hub import TOKEN, FakeHub, serving

from mujigae import cli
from mujigae.runs import session

SMALL = [
    *(
        "--num-envs",
        "2",
        "--hidden-sizes",
        "8",
        "--head-size",
        "0",
        "--num-threads",
        "1",
        "--batch-size",
        "4",
    ),
    *("--capacity", "200", "--min-replay-steps", "20", "--best-episodes", "0", "--stop-evaluation", "None"),
]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/run, of 100 steps, and runs/longer, of 200."""
    root = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(session, "_draw", lambda folder, say: None)
        for name, steps in (("run", "100"), ("longer", "200")):
            assert cli.main(["train", "dqn", *SMALL, "--steps", steps, "--name", name]) == 0
    return root


@pytest.fixture
def hub() -> Iterator[tuple[str, FakeHub]]:
    with serving() as found:
        yield found


@pytest.fixture
def command(root: Path, hub: tuple[str, FakeHub], tmp_path: Path) -> Command:
    """Runs `mujigae` in a process of its own, as the hub's address is read when its client is imported."""

    def run(*args: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub[0], "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path), **variables}
        done = subprocess.run(
            [sys.executable, "-m", "mujigae", *args],
            cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    return run


def files_of(hub: FakeHub) -> dict[str, bytes]:
    return hub.commits["me/poles"][-1]


def test_a_run_goes_to_the_hub_and_comes_back(root: Path, hub: tuple[str, FakeHub], command: Command) -> None:
    address, served = hub
    done = command("push", "run", "hf://me/poles", "--private")
    assert done.stdout.splitlines()[-1] == f"{address}/me/poles"
    assert served.is_private == {"me/poles": True}
    names = {"README.md", "config.json", "protocol.txt", "progress.csv", "episodes.csv"}
    assert set(files_of(served)) == names | {
        f"checkpoint-100/{name}" for name in ("agent.safetensors", "state.json")
    }
    assert b"library_name: mujigae" in files_of(served)["README.md"]
    done = command("pull", "hf://me/poles")
    assert done.stdout == "runs/poles\n"
    for name, data in files_of(served).items():
        assert (root / "runs/poles" / name).read_bytes() == data
    scores = [
        command("evaluate", name, "--episodes", "2").stdout.splitlines()[-1] for name in ("run", "poles")
    ]
    assert scores[0] == scores[1]


def test_a_later_push_takes_the_place_of_the_checkpoint_before_and_a_revision_keeps_it(
    root: Path, hub: tuple[str, FakeHub], command: Command
) -> None:
    _, served = hub
    command("push", "run", "hf://me/poles")
    command("push", "longer", "hf://me/poles")
    assert {name.partition("/")[0] for name in files_of(served) if "/" in name} == {"checkpoint-200"}
    command("pull", "hf://me/poles", "--name", "newest")
    command("pull", f"hf://me/poles@{0:040x}", "--name", "first")
    assert (root / "runs/newest/checkpoint-200").is_dir()
    assert (root / "runs/first/checkpoint-100").is_dir()


def test_of_several_checkpoints_in_a_repository_the_latest_alone_is_fetched(
    root: Path, hub: tuple[str, FakeHub], command: Command
) -> None:
    _, served = hub
    command("push", "longer", "hf://me/poles")
    files = files_of(served)
    states = {name: data for name, data in files.items() if name.startswith("checkpoint-200/")}
    for step in ("0", "50", "100", "0200", "300.old", "1000.tmp"):
        files |= {name.replace("-200/", f"-{step}/"): b"old" for name in states}
    served.requests.clear()
    served.claimed_bytes = {"checkpoint-100/agent.safetensors": 2**40}
    command("pull", "hf://me/poles", "--name", "fetched")
    assert {path.name for path in (root / "runs/fetched").glob("*/")} == {"checkpoint-200"}
    fetched = {path.rpartition("checkpoint-")[2].partition("/")[0] for _, path in served.requests}
    assert fetched & {"0", "50", "100", "200"} == {"200"}


def test_a_private_push_to_a_public_repository_uploads_nothing(
    hub: tuple[str, FakeHub], command: Command
) -> None:
    _, served = hub
    command("push", "run", "hf://me/poles")
    done = command("push", "longer", "hf://me/poles", "--private", status=2)
    assert "private: expected a new or a private repository, got a public one" in done.stderr
    assert len(served.commits["me/poles"]) == 1


def test_what_is_not_there_or_not_allowed_is_one_line_and_nothing_is_written(
    root: Path, hub: tuple[str, FakeHub], command: Command
) -> None:
    before = sorted(path.name for path in (root / "runs").iterdir())
    for args, variables in (
        (("pull", "hf://me/nothing"), {}),
        (("push", "run", "hf://me/poles"), {"HF_TOKEN": "hf_wrong"}),
        (("pull", "hf://me/poles"), {"HF_ENDPOINT": "http://127.0.0.1:9"}),
    ):
        done = command(*args, status=2, **variables)
        assert done.stderr.splitlines()[-1].startswith(f"mujigae: {args[-1]}: ")
    assert sorted(path.name for path in (root / "runs").iterdir()) == before


def test_a_foreign_repository_is_not_believed(root: Path, hub: tuple[str, FakeHub], command: Command) -> None:
    _, served = hub
    command("push", "run", "hf://me/poles")
    before = sorted(path.name for path in (root / "runs").iterdir())
    good = dict(files_of(served))
    served.claimed_bytes = {"checkpoint-100/agent.safetensors": 2**40}
    assert "expected at most 4,294,967,296 bytes" in command("pull", "hf://me/poles", status=2).stderr
    served.claimed_bytes = {"checkpoint-100/agent.safetensors": None}
    assert "agent.safetensors: expected a size, got none" in command("pull", "hf://me/poles", status=2).stderr
    served.claimed_bytes = {}
    served.commits["me/poles"].append(good | {"checkpoint-100/agent.safetensors": b"x" * 100})
    assert "checksum does not match" in command("pull", "hf://me/poles", status=2).stderr
    served.commits["me/poles"].append(good | {"config.json": b"{"})
    assert "config.json" in command("pull", "hf://me/poles", status=2).stderr
    assert sorted(path.name for path in (root / "runs").iterdir()) == before
    served.requests.clear()
    evil = {
        "../../escaped": b"x",
        "evil.py": b"x",
        "checkpoint-100/replay.mujigae": b"x",
        "imports.hmac": b"x",
    }
    served.commits["me/poles"].append(good | evil)
    command("pull", "hf://me/poles", "--name", "careful")
    assert {path.name for path in (root / "runs/careful").iterdir()} == {
        name.partition("/")[0] for name in good
    }
    assert not [path for _, path in served.requests if any(name.rpartition("/")[2] in path for name in evil)]
    assert json.loads((root / "runs/careful/config.json").read_text())["preset"] == "dqn"
