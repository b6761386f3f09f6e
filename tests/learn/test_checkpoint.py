"""Checkpoints: what is in one, what is refused and why, and that a failed save costs nothing."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from mujigae.agents.presets import resolve
from mujigae.errors import CheckpointError
from mujigae.runs import checkpoint, own_folders
from mujigae.training.loop import Training, build, run

FILES = ("agent.safetensors", "state.json", "replay.mujigae")

SMALL: dict[str, Any] = {
    "num_envs": 3,
    "hidden_sizes": (8,),
    "head_size": 0,
    "batch_size": 4,
    "capacity": 300,
    "min_replay_steps": 12,
    "learn_period_steps": 3,
    "num_updates": 1,
    "steps": 30,
    "num_threads": 1,
}


def trained(preset: str = "prioritized", **changes: Any) -> Training:
    training = build(resolve(preset, "CartPole-v1", {**SMALL, **changes}))
    list(run(training))
    return training


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return checkpoint.save(trained(), tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_checkpoint_is_a_folder_of_three_files_named_after_the_step(tmp_path: Path, saved: Path) -> None:
    assert names(tmp_path) == ["checkpoint-30"]
    assert names(saved) == sorted(FILES)


def test_no_file_is_a_pickle(saved: Path) -> None:
    for name in FILES:
        assert not (saved / name).read_bytes().startswith(b"\x80")


def test_older_checkpoints_and_leftovers_go_once_the_new_one_is_there(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "checkpoint-20.tmp").mkdir()
    new = checkpoint.save(trained(steps=60), tmp_path)
    assert names(tmp_path) == [new.name] == ["checkpoint-60"]


def test_latest_is_the_largest_step_and_never_an_unfinished_one(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-11.tmp", "checkpoint-x"):
        (tmp_path / name).mkdir()
    assert checkpoint.latest(tmp_path).name == "checkpoint-10"


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint-20-good",
        "checkpoint-20.bak",
        "checkpoint-20 (copy)",
        "checkpoint-020",
        "checkpoint-\u0662",
        "checkpoint-best",
        "Checkpoint-20",
        "my-checkpoint-20",
    ],
)
def test_folder_that_is_not_named_exactly_as_ours_stays(tmp_path: Path, saved: Path, name: str) -> None:
    shutil.copytree(saved, tmp_path / name)
    assert checkpoint.latest(tmp_path) == saved
    checkpoint.save(trained(steps=60), tmp_path)
    assert names(tmp_path / name) == sorted(FILES)


@pytest.mark.parametrize("name", ["checkpoint-20", "checkpoint-20.tmp", "checkpoint-20.old"])
def test_folder_of_our_name_that_holds_something_else_stays(tmp_path: Path, saved: Path, name: str) -> None:
    (tmp_path / name / "thesis").mkdir(parents=True)
    (tmp_path / name / "state.json").write_text("notes")
    checkpoint.save(trained(steps=60), tmp_path)
    assert names(tmp_path / name) == ["state.json", "thesis"]


def test_link_of_our_name_stays_and_so_does_what_it_points_to(tmp_path: Path, saved: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(saved, elsewhere)
    for name in ("checkpoint-20", "checkpoint-20.tmp"):
        (tmp_path / name).symlink_to(elsewhere)
    (tmp_path / "checkpoint-10").write_text("a file")
    checkpoint.save(trained(steps=60), tmp_path)
    assert names(elsewhere) == sorted(FILES)
    assert {"checkpoint-10", "checkpoint-20", "checkpoint-20.tmp"} < set(names(tmp_path))


def test_foreign_folder_where_the_new_checkpoint_is_written_is_named_and_stays(
    tmp_path: Path, saved: Path
) -> None:
    (tmp_path / "checkpoint-60.tmp").mkdir()
    (tmp_path / "checkpoint-60.tmp" / "thesis.tex").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoint-60.tmp: in the way.*checkpoint-30, is intact"):
        checkpoint.save(trained(steps=60), tmp_path)
    assert names(tmp_path / "checkpoint-60.tmp") == ["thesis.tex"]


def test_kill_between_two_names_of_one_step_leaves_a_checkpoint(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(trained(), tmp_path)
    monkeypatch.undo()
    checkpoint.restore(trained(steps=3), checkpoint.latest(tmp_path))
    assert checkpoint.step_of(checkpoint.latest(tmp_path)) == 30
    checkpoint.save(trained(steps=60), tmp_path)
    assert names(tmp_path) == ["checkpoint-60"]


def test_folder_without_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        checkpoint.latest(tmp_path)


def test_same_step_can_be_saved_again(tmp_path: Path, saved: Path) -> None:
    checkpoint.save(trained(), tmp_path)
    assert names(tmp_path) == ["checkpoint-30"]
    checkpoint.restore(trained(steps=3), saved)


def test_counters_come_back(saved: Path) -> None:
    training, fresh = trained(), build(resolve("prioritized", "CartPole-v1", SMALL))
    checkpoint.restore(fresh, saved)
    assert (fresh.counters.steps, fresh.counters.checkpoints) == (30, 1)
    assert fresh.counters.episodes == training.counters.episodes
    assert fresh.counters.recent_scores == training.counters.recent_scores
    assert fresh.counters.recent_scores.maxlen == 100
    assert len(fresh.buffer) == 30


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.9])
def test_one_changed_byte_anywhere_is_found(saved: Path, name: str, place: float) -> None:
    data = bytearray((saved / name).read_bytes())
    data[int(place * len(data))] ^= 0x01
    (saved / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        checkpoint.restore(trained(steps=3), saved)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 10, -1])
def test_truncated_file_is_named(saved: Path, name: str, keep: int) -> None:
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[:keep] if keep >= 0 else data[: len(data) - 2])
    with pytest.raises(CheckpointError, match=name):
        checkpoint.restore(trained(steps=3), saved)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named_with_the_systems_words(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: No such file or directory"):
        checkpoint.restore(trained(steps=3), saved)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[]", "not a mujigae checkpoint"),
        ('{"format": "pytorch"}', "not a mujigae checkpoint"),
        ('{"format": "mujigae checkpoint", "version": 99}', "expected format version 2, got 99"),
        ('{"format": "mujigae checkpoint", "version": 2}', "its checksum does not match"),
    ],
)
def test_foreign_state_is_refused_with_the_reason(saved: Path, text: str, reason: str) -> None:
    (saved / "state.json").write_text(text)
    with pytest.raises(CheckpointError, match=f"state.json: .*{reason}"):
        checkpoint.restore(trained(steps=3), saved)


def test_checkpoint_of_another_network_is_refused(saved: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"agent.safetensors: tensor .*expected .*\[9, 4\], got .*\[8, 4\]"
    ):
        checkpoint.restore(trained(steps=3, hidden_sizes=(9,)), saved)


@pytest.mark.parametrize(
    ("preset", "changes", "reason"),
    [
        ("dqn", {}, "expected the sampler uniform, got proportional"),
        ("prioritized", {"capacity": 303}, "expected capacity 303, got 300"),
    ],
)
def test_replay_of_another_kind_is_refused(
    saved: Path, preset: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=f"replay.mujigae: {reason}"):
        checkpoint.restore(trained(preset, steps=3, **changes), saved)


def test_agent_can_be_restored_without_its_replay(saved: Path) -> None:
    (saved / "replay.mujigae").unlink()
    training = build(resolve("prioritized", "CartPole-v1", SMALL))
    assert checkpoint.restore_agent(training.agent, saved) == 30
    assert training.agent.num_updates_done == trained().agent.num_updates_done


@pytest.mark.parametrize("failing_call", range(5))
def test_full_disk_leaves_the_previous_checkpoint_usable(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    training = trained(steps=60)
    calls = {"left": failing_call}

    def fails(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if calls["left"] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            calls["left"] -= 1
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(checkpoint, "_write", fails(checkpoint._write))
    monkeypatch.setattr(own_folders, "sync_folder", fails(own_folders.sync_folder))
    monkeypatch.setattr(training.buffer, "save", fails(training.buffer.save))
    if failing_call == 4:  # the new one is complete and in place; only the folder could not be synced
        with pytest.raises(CheckpointError, match="No space left on device"):
            checkpoint.save(training, tmp_path)
        assert names(tmp_path) == ["checkpoint-30", "checkpoint-60"]
        return
    with pytest.raises(CheckpointError, match=r"No space left on device.*checkpoint-30, is intact"):
        checkpoint.save(training, tmp_path)
    assert names(tmp_path) == ["checkpoint-30"]
    checkpoint.restore(trained(steps=3), saved)


def test_file_that_the_system_refuses_to_grow_leaves_the_previous_checkpoint_usable(
    tmp_path: Path, saved: Path
) -> None:
    training = trained(steps=60)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (1_000, hard)
    )  # Python ignores the signal; writes fail with EFBIG
    try:
        with pytest.raises(
            CheckpointError, match=r"checkpoint-60: could not be written \(.*checkpoint-30, is intact"
        ):
            checkpoint.save(training, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["checkpoint-30"]
    checkpoint.restore(trained(steps=3), saved)


def test_first_save_that_fails_says_that_there_is_no_earlier_one(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(CheckpointError, match="there is no earlier one"):
        checkpoint.save(trained(), blocked)


def test_state_can_be_read_by_a_person(saved: Path) -> None:
    state = json.loads((saved / "state.json").read_text())
    assert (state["format"], state["version"]) == ("mujigae checkpoint", 2)
    assert state["counters"]["steps"] == 30
    assert set(state["sha256"]) == {"agent.safetensors", "replay.mujigae"}
