"""Snapshots: the loaded buffer continues bit for bit; a damaged file is a SnapshotError and nothing else."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, Space, Stream, add_episode, assert_same_batch, vector_buffer

import mujigae


def used_buffer(cls: Any) -> Any:
    rng = np.random.default_rng(0)
    space = {"image": Space((4, 2), np.uint8), "x": Space((1,), np.uint8)}
    buffer = cls(37, space, ACTION, num_envs=3, frame_stack={"image": 4}, n_step=3, seed=5)
    streams = [Stream(rng, 4) for _ in range(3)]
    play(buffer, streams, rng, 60)
    return buffer


def play(buffer: Any, streams: list[Stream], rng: np.random.Generator, num_steps: int) -> None:
    for t in range(num_steps):
        steps = [stream.step() for stream in streams]
        obs = {"image": np.stack([o for o, _ in steps]), "x": np.stack([o[-1, :1] for o, _ in steps])}
        next_obs = {"image": np.stack([n for _, n in steps]), "x": np.stack([n[-1, :1] for _, n in steps])}
        terminated, truncated = rng.random(3) < 0.1, rng.random(3) < 0.1
        buffer.add(obs, np.full(3, t), rng.normal(size=3), next_obs, terminated, truncated)
        for e in np.flatnonzero(terminated | truncated):
            streams[e].reset("repeat")


@pytest.mark.parametrize("cls", [mujigae.ReplayBuffer, mujigae.PrioritizedReplayBuffer])
def test_a_loaded_buffer_continues_bit_for_bit(tmp_path: Path, cls: Any) -> None:
    buffer = used_buffer(cls)
    if cls is mujigae.PrioritizedReplayBuffer:
        batch = buffer.sample(16)
        buffer.update_priorities(batch.key, np.linspace(0.1, 7.0, 16))
        buffer.beta = 0.7
        buffer.alpha = 0.9
    buffer.n_step = 4
    buffer.gamma = 0.5
    buffer.save(tmp_path / "buffer")
    loaded = mujigae.load(tmp_path / "buffer")
    assert type(loaded) is cls
    assert loaded.check_valid()
    assert (len(loaded), loaded.n_step, loaded.gamma, loaded.capacity) == (len(buffer), 4, 0.5, 37)
    for _ in range(20):
        a, b = buffer.sample(9), loaded.sample(9)
        assert_same_batch(a, b)
        if cls is mujigae.PrioritizedReplayBuffer:
            priorities = np.random.default_rng(1).random(9)
            assert buffer.update_priorities(a.key, priorities) == loaded.update_priorities(b.key, priorities)


def test_both_buffers_stay_equal_while_more_is_added(tmp_path: Path) -> None:
    buffer = mujigae.PrioritizedReplayBuffer(
        20, Space((4, 2), np.uint8), ACTION, frame_stack=4, n_step=2, seed=0
    )
    stream = Stream(np.random.default_rng(0), 4)
    for t in range(30):
        obs, next_obs = stream.step()
        buffer.add(obs, t, 1.0, next_obs, False, False)
    buffer.save(tmp_path / "buffer")
    loaded = mujigae.load(tmp_path / "buffer")
    for t in range(30):
        obs, next_obs = stream.step()
        for one in (buffer, loaded):
            one.add(obs, t, 1.0, next_obs, False, t % 7 == 6)
        assert_same_batch(buffer.sample(5), loaded.sample(5))
    assert loaded.num_silent_boundaries == buffer.num_silent_boundaries == 0


def test_only_filled_rows_are_written(tmp_path: Path) -> None:
    buffer = mujigae.PrioritizedReplayBuffer(
        100_000, Space((4, 84, 84), np.uint8), ACTION, frame_stack=4, seed=0
    )
    buffer.save(tmp_path / "empty")
    assert (tmp_path / "empty").stat().st_size < 2000
    stream = Stream(np.random.default_rng(0), 4, frame=(84, 84))
    for t in range(20):
        obs, next_obs = stream.step()
        buffer.add(obs, t, 1.0, next_obs, False, False)
    buffer.save(tmp_path / "some")
    assert (tmp_path / "some").stat().st_size < 21 * 84 * 84 + 5000


def test_an_empty_buffer_is_saved_and_loaded(tmp_path: Path) -> None:
    buffer = mujigae.ReplayBuffer(10, VECTOR, ACTION, seed=0)
    buffer.save(tmp_path / "buffer")
    loaded = mujigae.load(tmp_path / "buffer")
    assert len(loaded) == 0
    add_episode(loaded, [0.0] * 3, terminated=True)
    assert len(loaded) == 3


def small_file(tmp_path: Path) -> tuple[Path, bytes]:
    buffer = mujigae.PrioritizedReplayBuffer(4, VECTOR, ACTION, seed=0)
    add_episode(buffer, [1.0, 2.0], terminated=True)
    path = tmp_path / "buffer"
    buffer.save(path)
    return path, path.read_bytes()


def test_every_truncation_is_detected(tmp_path: Path) -> None:
    path, content = small_file(tmp_path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(mujigae.SnapshotError):
            mujigae.load(path)
    path.write_bytes(content + b"x")
    with pytest.raises(mujigae.SnapshotError, match="bytes after the end"):
        mujigae.load(path)


def test_foreign_files_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "foreign").write_bytes(b"PK\x03\x04" * 100)
    with pytest.raises(mujigae.SnapshotError, match="not a mujigae snapshot"):
        mujigae.load(tmp_path / "foreign")
    with pytest.raises(FileNotFoundError):
        mujigae.load(tmp_path / "missing")
    with pytest.raises(mujigae.SnapshotError, match="not a regular file"):
        mujigae.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path, content = small_file(tmp_path)
    buffer = mujigae.load(path)
    with pytest.raises(OSError, match="cannot create"):
        buffer.save(tmp_path / "no such folder" / "buffer")
    (tmp_path / "folder" / "child").mkdir(parents=True)
    with pytest.raises(OSError, match="expected a regular file"):
        buffer.save(tmp_path / "folder")
    assert path.read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir()) == ["buffer", "folder"]


SAVE_FOR_EVER = """
import sys, numpy as np, mujigae
buffer = mujigae.ReplayBuffer(4000, ((256,), np.float64), ((), np.int64), seed=0)
for version in range(10**9):
    obs = np.full(256, float(version))
    for _ in range(2000 if version == 0 else 1):
        buffer.add(obs, version, 0.0, obs, False, True)
    buffer.save(sys.argv[1])
    print(version, flush=True)
"""


def test_a_killed_save_leaves_a_whole_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    path = tmp_path / "buffer"
    rng = random.Random(0)
    num_left_behind = 0
    for _ in range(6):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 4)):
            version = int(process.stdout.readline())
        time.sleep(rng.random() * 0.02)
        process.kill()
        version = max([version, *map(int, process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        saved = mujigae.load(path)
        assert saved.check_valid()
        newest = max(saved.sample(20_000).action)
        assert newest in (version, version + 1)  # the file may be there before its announcement
        left_behind = set(tmp_path.iterdir()) - {path}
        assert len(left_behind) <= 1
        num_left_behind += len(left_behind)
        saved.save(path)
        assert list(tmp_path.iterdir()) == [path]
    assert num_left_behind > 0, "no save was killed: this shows nothing"


@pytest.mark.parametrize("target", ["file", "folder/file"])
def test_link_to_a_file_that_is_not_there_yet_stays_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(target)
    buffer = vector_buffer(mujigae)
    for name in ("a", "a", "b"):
        buffer.save(tmp_path / name)
        assert (tmp_path / "a").is_symlink()
        assert (tmp_path / "b").is_symlink()
        assert len(mujigae.load(tmp_path / target)) == len(buffer)


def test_files_of_others_that_look_like_ours_are_left_alone(tmp_path: Path) -> None:
    buffer = mujigae.ReplayBuffer(10, VECTOR, ACTION, seed=0)
    names = ["buffer.tmp", "buffer.1-x.tmp", "buffer2.1-1.tmp", "buffer.12.tmp", "buffer.1-1.tmp2"]
    names += ["buffer.2024-05-01.tmp", "buffer.2024-05.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    (tmp_path / "buffer.1-1.tmp").write_bytes(b"MUJIGAE\n, left behind")
    buffer.save(tmp_path / "buffer")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "buffer"])


def test_files_hold_no_pickle(tmp_path: Path) -> None:
    _, content = small_file(tmp_path)
    start = content.index(b'{"arguments"')
    meta = json.JSONDecoder().raw_decode(content[start:].decode("latin-1"))[0]
    assert meta["sampler"]["name"] == "proportional"
