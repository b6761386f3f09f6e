"""Runs that are pushed and pulled: what goes, that it plays as before, and that nothing of a foreign one is believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, error_of, last_line

from mujigae import cli
from mujigae.errors import MujigaeError
from mujigae.runs import session, shared


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 200 steps with a best snapshot, and what else a run folder has."""
    root = tmp_path_factory.mktemp("trained")
    options = ["--steps", "200", "--best-episodes", "2", "--runs", str(root), "--name", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_draw", lambda folder, say: None)
        assert cli.main(["train", "dqn", *SMALL[:-4], *options]) == 0
    (root / "run" / "tracking.json").write_text("{}")
    (root / "run" / "imports.hmac").write_text("0")
    (root / "run" / "notes.txt").write_text("mine")
    (root / "run" / "curve.png").write_bytes(b"png")
    return root / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path, in_a_folder_of_its_own: None) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / "run")).relative_to(tmp_path)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def everything() -> set[str]:
    return names_in(Path())


PUSHED = {
    *(
        "README.md",
        "config.json",
        "protocol.txt",
        "progress.csv",
        "episodes.csv",
        "evaluations.csv",
        "curve.png",
    ),
    *(
        f"{place}/{file}"
        for place in ("checkpoint-200", "best")
        for file in ("agent.safetensors", "state.json")
    ),
}


def test_a_pushed_folder_has_networks_configuration_and_card_and_nothing_else(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["push", "run", "out"]) == 0
    assert last_line(capsys) == "out"
    assert names_in(Path("out")) == PUSHED
    for name in PUSHED - {"README.md"}:
        assert Path("out", name).read_bytes() == (run / name).read_bytes()


def test_the_card_says_what_it_is_and_what_it_scored(run: Path) -> None:
    assert cli.main(["push", "run", "out"]) == 0
    card = Path("out/README.md").read_text()
    _, head, text = card.split("---\n", 2)
    metadata = {line.partition(": ")[0]: line.partition(": ")[2] for line in head.splitlines()}
    assert metadata["library_name"] == "mujigae"
    assert {"reinforcement-learning", "mujigae", "dqn", "CartPole-v1"} <= set(json.loads(metadata["tags"]))
    (model,) = json.loads(metadata["model-index"])
    (result,) = model["results"]
    evaluation = json.loads((run / "best/state.json").read_text())["evaluation"]
    assert result["dataset"] == {"type": "CartPole-v1", "name": "CartPole-v1"}
    assert result["metrics"][0]["value"] == round(evaluation["mean_return"], 2)
    assert text.startswith("\n# `dqn` on `CartPole-v1`\n")
    assert "for 200 steps, seed 0" in text
    assert "![Learning curve](curve.png)" in text
    assert "mujigae evaluate run --best\n" in text
    assert (run / "protocol.txt").read_text().strip() in text


def test_what_was_pulled_is_evaluated_and_filmed_as_the_run_itself(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["push", "run", "out"]) == 0
    assert cli.main(["pull", "out", "--name", "again"]) == 0
    assert last_line(capsys) == "runs/again"
    assert names_in(Path("runs/again")) == PUSHED
    for options in ((), ("--best",)):
        lines = []
        for name in ("run", "again"):
            assert cli.main(["evaluate", name, "--episodes", "3", *options]) == 0
            lines.append(last_line(capsys))
        assert lines[0] == lines[1]
    assert cli.main(["record", "again", "--max-steps", "20"]) == 0
    assert Path("runs/again/play.mp4").exists()
    assert "replay.mujigae" in error_of(capsys, "train", "--resume", "again", "--steps", "300")


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("dqn", SMALL[:-4]),
        ("rainbow", SMALL[:-4]),
        ("td3", ("--env", "Pendulum-v1", "--hidden-sizes", "8", "8", "--min-replay-steps", "100")),
    ],
)
def test_a_policy_alone_plays_as_the_run_itself_and_cannot_be_trained_on(
    preset: str,
    options: tuple[str, ...],
    in_a_folder_of_its_own: None,
    without_pictures: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lengths = ("--steps", "200", "--best-episodes", "2", "--checkpoint-period-steps", "150")
    assert cli.main(["train", preset, *options, *lengths, "--name", "run"]) == 0
    assert cli.main(["push", "run", "out", "--policy-only"]) == 0
    assert {name for name in names_in(Path("out")) if "safetensors" in name} == {
        f"{place}/policy.safetensors" for place in ("checkpoint-200", "best")
    }
    assert cli.main(["pull", "out", "--name", "again"]) == 0
    assert cli.main(["push", "again", "handed-on", "--policy-only"]) == 0
    for source in ("out", "handed-on"):
        assert cli.main(["pull", source, "--name", f"of-{source}"]) == 0
    for best in ((), ("--best",)):
        lines = []
        for name in ("run", "again", "of-handed-on"):
            assert cli.main(["evaluate", name, "--episodes", "2", *best]) == 0
            lines.append(last_line(capsys))
        assert len(set(lines)) == 1
    assert "replay.mujigae" in error_of(capsys, "train", "--resume", "again", "--steps", "300")


def test_a_policy_that_was_changed_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", "run", "out", "--policy-only"]) == 0
    path = Path("out/best/policy.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "policy.safetensors: its checksum does not match" in error_of(capsys, "pull", "out")
    path.unlink()
    assert "policy.safetensors: No such file" in error_of(capsys, "pull", "out")
    assert not Path("runs/out").exists()


def test_policies_alone_have_far_fewer_bytes(run: Path) -> None:
    for name, options in (("whole", ()), ("small", ("--policy-only",))):
        assert cli.main(["push", "run", name, *options]) == 0
    sizes = [
        Path(folder, "best", file).stat().st_size
        for folder, file in (("whole", "agent.safetensors"), ("small", "policy.safetensors"))
    ]
    assert sizes[1] < 0.4 * sizes[0]


def test_a_checkpoint_that_a_kill_left_aside_goes_under_its_own_name(run: Path) -> None:
    (run / "checkpoint-200").rename(run / "checkpoint-200.old")
    assert cli.main(["push", "run", "out"]) == 0
    assert names_in(Path("out")) == PUSHED


def test_nothing_is_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", "run", "out"]) == 0
    capsys.readouterr()
    assert "out: expected a new folder, it exists" in error_of(capsys, "push", "run", "out")
    for expected in ("runs/out", "runs/out-2"):
        assert cli.main(["pull", "out"]) == 0
        assert last_line(capsys) == expected
    assert "name: expected the name of a folder, got '../x'" in error_of(
        capsys, "pull", "out", "--name", "../x"
    )


def test_a_run_that_cannot_go_is_one_line_and_nothing_is_written(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, "runs/empty")
    shutil.rmtree("runs/empty/checkpoint-200")
    shutil.rmtree("runs/empty/best")
    before = everything()
    assert "expected a checkpoint or a best snapshot" in error_of(capsys, "push", "empty", "out")
    assert "no config.json" in error_of(capsys, "push", "missing", "out")
    assert "no config.json" in error_of(capsys, "pull", "missing")
    assert "cannot be written" in error_of(capsys, "push", "run", "runs/run/config.json/folder")
    assert "without a revision" in error_of(capsys, "push", "run", "hf://a/b@main")
    for place in ("hf://", "hf://a", "hf://a/b/c", "hf://a/b@", "hf://a b/c"):
        assert "expected hf://user/name" in error_of(capsys, "pull", place)
    assert everything() == before


def a_link_to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def larger_than_allowed(path: Path) -> None:
    os.truncate(path, 2**33)


def one_byte_else(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["config.json", "checkpoint-200/agent.safetensors", "best/state.json"])
@pytest.mark.parametrize("damage", [a_link_to_a_device, a_pipe, larger_than_allowed, one_byte_else])
def test_a_foreign_run_that_is_not_what_was_written_is_one_line_and_nothing_is_written(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Any
) -> None:
    assert cli.main(["push", "run", "out"]) == 0
    capsys.readouterr()
    damage(Path("out", name))
    if name == "config.json" and damage is one_byte_else:
        Path("out", name).write_text("[]")
    before = everything()
    said = error_of(capsys, "pull", "out")
    assert said.startswith("mujigae: out")
    assert name in said
    assert everything() == before


def test_files_of_other_names_do_not_come_along(run: Path) -> None:
    assert cli.main(["push", "run", "out"]) == 0
    for name in (
        "imports.hmac",
        "evil.py",
        "checkpoint-200/evil.pkl",
        "checkpoint-200/replay.mujigae",
        "best.old",
    ):
        Path("out", name).write_bytes(b"x")
    Path("out/checkpoint-7x").mkdir()
    Path("out/checkpoint-7x/state.json").write_text("{}")
    assert cli.main(["pull", "out", "--name", "again"]) == 0
    assert names_in(Path("runs/again")) == PUSHED


def test_modules_that_a_pulled_run_names_are_imported_with_consent_only(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("evil_wrapper.py").write_text(
        "open('was_imported', 'w').close()\n\n\ndef wrap(env):\n    return env\n"
    )
    assert cli.main(["push", "run", "out"]) == 0
    config = json.loads(Path("out/config.json").read_text())
    config["env"]["wrapper"] = ["evil_wrapper:wrap"]
    Path("out/config.json").write_text(json.dumps(config))
    assert cli.main(["pull", "out", "--name", "again"]) == 0
    capsys.readouterr()
    for command in (("evaluate", "again"), ("record", "again"), ("push", "again", "further")):
        assert "--trust-modules" in error_of(capsys, *command)
    assert not Path("was_imported").exists()
    assert cli.main(["evaluate", "again", "--episodes", "1", "--trust-modules"]) == 0
    assert Path("was_imported").exists()


def test_folders_on_the_way_are_made(run: Path) -> None:
    shared.push_run(run, "shared/with/others")
    assert Path("shared/with/others/config.json").is_file()


def test_a_place_that_cannot_be_written_leaves_nothing_behind(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    before = everything()
    with pytest.raises(MujigaeError, match="No space left on device"):
        shared.push_run(run, "out")
    assert everything() == before
    assert not list(Path().glob(".mujigae-*"))


@pytest.mark.parametrize("name", ["curve.png", "best/agent.safetensors"])
def test_a_link_in_a_run_folder_takes_no_other_file_along(
    run: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Path("secret").write_bytes((run / name).read_bytes())
    (run / name).unlink()
    (run / name).symlink_to(Path("secret").resolve())
    before = everything()
    assert f"runs/run/{name}: expected a file, got a link" in error_of(capsys, "push", "run", "out")
    assert everything() == before


def test_a_best_snapshot_that_is_a_link_stays_where_it_is(run: Path) -> None:
    (run / "best").rename("elsewhere")
    (run / "best").symlink_to(Path("elsewhere").resolve())
    assert cli.main(["push", "run", "out"]) == 0
    assert names_in(Path("out")) == {name for name in PUSHED if not name.startswith("best/")}


def test_a_folder_cannot_be_made_private(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "private: expected hf://user/name" in error_of(capsys, "push", "run", "out", "--private")
    assert not Path("out").exists()


def test_names_in_a_configuration_are_only_text_on_the_card(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["preset"] = "x`\n---\n# [evil](javascript:1)\ud800"
    (run / "config.json").write_text(json.dumps(config))
    assert cli.main(["push", "run", "out"]) == 0
    lines = Path("out/README.md").read_text().splitlines()
    assert lines.count("---") == 2
    assert "# `x' --- # [evil](javascript:1)?` on `CartPole-v1`" in lines
