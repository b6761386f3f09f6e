"""Buffers in a file: equal to those in memory, reopened where they were closed, open in one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import ACTION, Space, add_stacks, assert_same_batch, stacked_buffer, vector_buffer

import mujigae


def filled(path: Path | None, num_steps: int = 80) -> Any:
    buffer = stacked_buffer(mujigae, capacity=50, n_step=3, path=path)
    add_stacks(buffer, num_steps)
    return buffer


def continues_alike(buffer: Any, other: Any) -> None:
    for seed in range(3):
        a, b = buffer.sample(16), other.sample(16)
        assert_same_batch(a, b)
        priorities = np.random.default_rng(seed).random(16)
        assert buffer.update_priorities(a.key, priorities) == other.update_priorities(b.key, priorities)
        for one in (buffer, other):
            add_stacks(one, 20, seed)
    for one in (buffer, other):
        assert one.check_valid(), one.check_valid().reason


def test_a_closed_file_is_reopened_and_continues_bit_for_bit(tmp_path: Path) -> None:
    memory = filled(None)
    filled(tmp_path / "buffer")
    buffer = mujigae.load(tmp_path / "buffer")
    continues_alike(buffer, memory)
    del buffer
    continues_alike(mujigae.load(tmp_path / "buffer"), memory)


@pytest.mark.parametrize("cls", [mujigae.ReplayBuffer, mujigae.PrioritizedReplayBuffer])
def test_dict_observations_and_changed_settings_come_back(tmp_path: Path, cls: Any) -> None:
    space = {"image": Space((4, 2), np.uint8), "x": Space((1,), np.float32)}
    buffer = cls(9, space, ACTION, num_envs=2, frame_stack={"image": 4}, seed=1, path=tmp_path / "buffer")
    zeros = {"image": np.zeros((2, 4, 2), np.uint8), "x": np.zeros((2, 1), np.float32)}
    for t in range(20):
        buffer.add(zeros, [t, t], [1.0, 2.0], zeros, [False, t % 3 == 0], [False, False])
    buffer.n_step, buffer.gamma = 2, 0.5
    snapshot = mujigae.load(copy_of(buffer, tmp_path))
    expected = (2, 0.5, 9, len(buffer))
    del buffer
    loaded = mujigae.load(tmp_path / "buffer")
    assert type(loaded) is cls
    assert (loaded.n_step, loaded.gamma, loaded.capacity, len(loaded)) == expected
    assert_same_batch(loaded.sample(8), snapshot.sample(8))
    assert loaded.check_valid()


def test_an_empty_and_a_cleared_buffer_are_reopened_empty(tmp_path: Path) -> None:
    vector_buffer(mujigae, path=tmp_path / "empty")
    assert len(mujigae.load(tmp_path / "empty")) == 0
    buffer = filled(tmp_path / "cleared")
    key = buffer.sample(4).key
    buffer.clear()
    del buffer
    loaded = mujigae.load(tmp_path / "cleared")
    assert len(loaded) == 0
    assert loaded.update_priorities(key, np.ones(4)) == 0
    other = mujigae.load(copy_of(loaded, tmp_path))
    for one in (loaded, other):
        add_stacks(one, 30)
    continues_alike(loaded, other)


def copy_of(buffer: Any, tmp_path: Path) -> Path:
    buffer.save(tmp_path / "copy")
    return tmp_path / "copy"


def test_a_snapshot_of_a_file_is_a_buffer_in_memory(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    snapshot = mujigae.load(copy_of(buffer, tmp_path))
    before = (tmp_path / "copy").read_bytes()
    continues_alike(buffer, snapshot)
    assert (tmp_path / "copy").read_bytes() == before


def test_an_existing_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "buffer").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="path: expected a new file"):
        filled(tmp_path / "buffer")
    assert (tmp_path / "buffer").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["buffer"]


def test_a_file_is_open_once_at_a_time(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    with pytest.raises(
        BlockingIOError, match="path: expected a file that no other buffer or process has open"
    ):
        mujigae.load(tmp_path / "buffer")
    command = f"import mujigae; mujigae.load({str(tmp_path / 'buffer')!r})"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert "BlockingIOError" in result.stderr
    del buffer
    assert len(mujigae.load(tmp_path / "buffer")) == 50


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_copy_on_write_reads_the_file_and_leaves_it_alone(tmp_path: Path, is_closed: bool) -> None:
    buffer = filled(tmp_path / "closed")
    buffer.flush()
    (tmp_path / "killed").write_bytes((tmp_path / "closed").read_bytes())
    del buffer
    path = tmp_path / ("closed" if is_closed else "killed")
    path.chmod(0o444)
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_blocks
    one, other = (mujigae.load(path, copy_on_write=True) for _ in range(2))
    for seed in range(3):
        add_stacks(one, 20, seed)
        one.update_priorities(one.sample(8).key, np.ones(8))
    one.flush()
    assert one.check_valid(), one.check_valid().reason
    one.clear()
    assert len(other) == 50
    assert other.check_valid(), other.check_valid().reason
    other.save(tmp_path / "copy")
    del one, other
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_blocks) == before
    path.chmod(0o644)
    assert_same_batch(mujigae.load(tmp_path / "copy").sample(16), mujigae.load(path).sample(16))


def test_a_copy_on_write_of_a_closed_file_continues_as_the_file_would(tmp_path: Path) -> None:
    filled(tmp_path / "buffer")
    continues_alike(mujigae.load(tmp_path / "buffer", copy_on_write=True), filled(None))
    continues_alike(mujigae.load(tmp_path / "buffer"), filled(None))


def test_a_file_is_copied_on_write_or_in_use_but_not_both(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    with pytest.raises(BlockingIOError, match="path: expected a file that no other buffer"):
        mujigae.load(tmp_path / "buffer", copy_on_write=True)
    del buffer
    copy = mujigae.load(tmp_path / "buffer", copy_on_write=True)
    with pytest.raises(BlockingIOError, match="path: expected a file that no other buffer"):
        mujigae.load(tmp_path / "buffer")
    del copy
    assert len(mujigae.load(tmp_path / "buffer")) == 50


def test_saving_onto_its_own_file_is_refused(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    (tmp_path / "same").symlink_to(tmp_path / "buffer")
    for name in ("buffer", "same"):
        with pytest.raises(ValueError, match="path: expected another file than the buffer's own"):
            buffer.save(tmp_path / name)
    buffer.save(tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["buffer", "other", "same"]


def test_a_folder_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cannot create"):
        filled(tmp_path / "missing" / "buffer")


def test_a_fork_may_not_touch_the_file(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (lambda: buffer.sample(4), buffer.clear, buffer.flush, lambda: add_stacks(buffer, 1)):
            try:
                call()
            except RuntimeError:
                refused += 1
        del buffer  # must not flush, punch or unlock
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    with pytest.raises(BlockingIOError):
        mujigae.load(tmp_path / "buffer")
    continues_alike(buffer, filled(None))


def test_a_fork_that_lives_on_does_not_keep_the_file_from_others(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    del buffer
    assert len(mujigae.load(tmp_path / "buffer")) == 50
    os.close(write)
    os.waitpid(child, 0)


def test_another_buffers_file_is_not_saved_over_while_it_is_open(tmp_path: Path) -> None:
    buffer = filled(tmp_path / "buffer")
    with pytest.raises(
        BlockingIOError, match="path: expected another file than that of a buffer that is open"
    ):
        filled(None).save(tmp_path / "buffer")
    continues_alike(buffer, filled(None))
    del buffer
    filled(None, num_steps=10).save(tmp_path / "buffer")
    assert os.listdir(tmp_path) == ["buffer"]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_flushing_into_a_file_that_is_gone_is_an_error_and_loses_no_row(tmp_path: Path, how: str) -> None:
    buffer = filled(tmp_path / "buffer")
    if how == "removed":
        os.unlink(tmp_path / "buffer")
    else:
        filled(None).save(tmp_path / "other")
        os.rename(tmp_path / "other", tmp_path / "buffer")
    with pytest.raises(FileNotFoundError, match="the buffer's file was removed or replaced"):
        buffer.flush()
    buffer.save(tmp_path / "rows")
    continues_alike(mujigae.load(tmp_path / "rows"), filled(None))


def test_disk_space_follows_what_is_held(tmp_path: Path) -> None:
    path = tmp_path / "buffer"
    space = Space((4, 84, 84), np.uint8)
    buffer = mujigae.ReplayBuffer(400, space, ACTION, frame_stack=4, path=path, seed=0)
    stack = np.random.default_rng(0).integers(0, 256, (4, 84, 84), dtype=np.uint8)
    for _ in range(1500):
        following = np.concatenate([stack[1:], stack[:1]])
        buffer.add(stack, 0, 0.0, following, False, False)
        stack = following
    assert len(buffer) == 400
    assert path.stat().st_blocks * 512 < 1.3 * 400 * 84 * 84
