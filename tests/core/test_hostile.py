"""Input made to break things: each is refused in words, and nothing crashes."""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, add_episode

import mujigae


@pytest.mark.parametrize("dtype", [object, "S", "S3", "M8[s]", ">f4"])
def test_frames_of_no_plain_dtype_are_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match="dtype: expected a native numeric dtype"):
        mujigae.FrameRing(4, (2,), 2, dtype=dtype)


@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**40, 2**24), (2**62,)])
def test_frames_larger_than_any_memory_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="frame_shape: expected positive extents and at most 2\\^40 bytes"):
        mujigae.FrameRing(4, shape, 2)


@pytest.mark.parametrize("capacity", [2**63 - 1, 2**62, 2**41])
def test_trees_larger_than_any_memory_are_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity: expected 1 to 2\\^40"):
        mujigae.SumTree(capacity)


@pytest.mark.parametrize("shape", [(2**40, 2**24), (6148914691236517206, 3), (1,) * 70])
def test_rows_larger_than_any_memory_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected at most"):
        mujigae.ReplayBuffer(8, VECTOR, (shape, "u1"))
    with pytest.raises(ValueError, match="expected at most"):
        mujigae.ReplayBuffer(8, (shape, "u1"), ACTION)


def test_numbers_beyond_64_bits_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="capacity: expected a 64-bit integer"):
        mujigae.ReplayBuffer(2**70, VECTOR, ACTION)
    with pytest.raises(ValueError, match="gamma: expected a number that a float64 holds"):
        mujigae.ReplayBuffer(8, VECTOR, ACTION, gamma=10**400)
    with pytest.raises(ValueError, match="capacity: expected at least num_envs"):
        mujigae.ReplayBuffer(8, VECTOR, ACTION, num_envs=10**11)


def filled() -> Any:
    buffer = mujigae.ReplayBuffer(64, {"a": ((8,), np.int64)}, ACTION, seed=0)
    for t in range(9):
        buffer.add({"a": np.full(8, 2**60 + t)}, t, 0.0, {"a": np.full(8, 2**60 + t + 1)}, False, False)
    return buffer


@pytest.mark.parametrize("field", ["key", "next_obs", "reward"])
def test_an_out_with_fields_that_overlap_is_refused(field: str) -> None:
    buffer = filled()
    batch = buffer.sample(16)
    same = {"key": batch.obs["a"].reshape(-1)[:16], "next_obs": batch.obs, "reward": batch.discount}[field]
    with pytest.raises(ValueError, match="out: expected fields that do not overlap"):
        buffer.sample(16, out=batch._replace(**{field: same}))


def test_slots_may_lie_in_the_memory_that_their_stacks_overwrite() -> None:
    ring = mujigae.FrameRing(8, (), 3, dtype=np.int64)
    ring.start(np.array([1, 2, 3]))
    memory = np.zeros(24, np.int64)
    assert (ring.stacks(memory[:8], out=memory.reshape(8, 3)) == [1, 2, 3]).all()


def test_actions_that_overflow_their_dtype_are_refused() -> None:
    buffer = mujigae.ReplayBuffer(8, VECTOR, ((), np.float32))
    with pytest.raises(ValueError, match="action: expected values that fit float32"):
        buffer.add(np.zeros(1, np.float32), 1e300, 0.0, np.zeros(1, np.float32), False, False)
    assert len(buffer) == 0


@pytest.mark.parametrize("name", ["compress", "validate", "stratified"])
def test_switches_are_true_or_false(name: str) -> None:
    switches: dict[str, Any] = {name: 1}
    with pytest.raises(TypeError, match=f"{name}: expected True or False, got 1"):
        mujigae.PrioritizedReplayBuffer(8, VECTOR, ACTION, **switches)


def test_names_with_nul_do_not_reach_another_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ValueError, match="path: expected a name without NUL"):
        filled().save(f"{tmp_path}/x\0y")
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Any) -> None:
    """A pipe would keep whoever opens it until somebody writes."""
    path = tmp_path / "buffer"
    make(path)
    for options in ({}, {"copy_on_write": True}):
        with pytest.raises((mujigae.SnapshotError, OSError)):
            mujigae.load(path, **options)


def test_accumulators_are_shared_by_threads_without_a_standstill() -> None:
    accumulator = mujigae.NStepAccumulator(3, 0.9)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        works = [lambda: accumulator.push([1.0], [False], [False]), accumulator.check_valid]
        threads = [
            threading.Thread(target=lambda work=work: [work() for _ in range(3000)], daemon=True)
            for work in works
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)


# --- files whose checksums are right and whose contents are not


def sections(content: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 16, []
    while at < len(content):
        tag, length = struct.unpack_from("<4sQ", content, at)
        found.append((tag, content[at + 16 : at + 16 + length]))
        at += 16 + length + 4
    return found


def rebuilt(content: bytes, changes: dict[bytes, bytes]) -> bytes:
    out = content[:16]
    for tag, payload in sections(content):
        payload = changes.get(tag, payload)
        head = struct.pack("<4sQ", tag, len(payload))
        out += head + struct.pack("<I", zlib.crc32(head)) + payload + struct.pack("<I", zlib.crc32(payload))
    return out


def snapshot(tmp_path: Path) -> tuple[Path, dict[bytes, bytes]]:
    buffer = mujigae.ReplayBuffer(8, VECTOR, ACTION, seed=0)
    add_episode(buffer, [1.0, 2.0], terminated=False)
    path = tmp_path / "buffer"
    buffer.save(path)
    content = path.read_bytes()
    assert rebuilt(content, {}) == content
    return path, dict(sections(content))


def edited(meta: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(meta), **changes}).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: b"\xff\xfe",
        lambda meta: b"[" * 100_000,
        lambda meta: edited(meta, obs=[{"name": "x", "shape": [10**30], "dtype": "<f4", "stack": 1}]),
        lambda meta: edited(meta, obs=[{"name": "x", "shape": [2**45], "dtype": "<f4", "stack": 1}]),
        lambda meta: edited(meta, obs=[{"name": "x", "shape": [1], "dtype": "M8[s/0]", "stack": 1}]),
        lambda meta: edited(meta, obs=[{"name": "x", "shape": [1], "dtype": "i4, (10", "stack": 1}]),
        lambda meta: edited(meta, obs=[{"name": "x", "shape": [1], "dtype": "<f4", "stack": 3}]),
        lambda meta: edited(meta, tree={"dict": [["a", 0], ["b", 0]]}),
        lambda meta: edited(meta, arguments={**json.loads(meta)["arguments"], "num_envs": 10**10}),
        lambda meta: edited(meta, arguments={**json.loads(meta)["arguments"], "gamma": "0.9"}),
        lambda meta: edited(meta, **{"class": "SumTree"}),
        lambda meta: edited(meta, sampler={"name": "SumTree"}),
        lambda meta: edited(meta, sampler={"name": "proportional", "alpha": 0.6}),
        lambda meta: edited(meta, sampler={**json.loads(meta)["sampler"], "eps": "0.1"}),
    ],
)
def test_descriptions_that_make_no_buffer_are_snapshot_errors(tmp_path: Path, change: Any) -> None:
    path, parts = snapshot(tmp_path)
    path.write_bytes(rebuilt(path.read_bytes(), {b"META": change(parts[b"META"])}))
    with pytest.raises(mujigae.SnapshotError, match="buffer: "):
        mujigae.load(path)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (7, 2**59),  # first: the key of its rows would overflow
        (8, 2**40),  # next
        (9, 0),  # episode_start before the truncation
        (10, 2**50),  # first frame held
        (12, 10**6),  # newest frame of the current stack
        (2, 0),  # n_step
    ],
)
def test_counters_that_contradict_each_other_are_snapshot_errors(
    tmp_path: Path, word: int, value: int
) -> None:
    path, parts = snapshot(tmp_path)
    head = bytearray(parts[b"HEAD"])
    struct.pack_into("<q", head, 8 * word, value)
    path.write_bytes(rebuilt(path.read_bytes(), {b"HEAD": bytes(head)}))
    with pytest.raises(mujigae.SnapshotError, match="buffer: "):
        mujigae.load(path)


def test_an_open_episode_without_rows_is_a_snapshot_error(tmp_path: Path) -> None:
    path = tmp_path / "buffer"
    mujigae.ReplayBuffer(8, VECTOR, ACTION, seed=0).save(path)
    head = bytearray(dict(sections(path.read_bytes()))[b"HEAD"])
    struct.pack_into("<3q", head, 8 * 7, 5, 5, 0)
    path.write_bytes(rebuilt(path.read_bytes(), {b"HEAD": bytes(head)}))
    with pytest.raises(mujigae.SnapshotError, match="open episode without rows"):
        mujigae.load(path)


def test_a_largest_priority_below_one_is_a_snapshot_error(tmp_path: Path) -> None:
    """It is 1 at first and only grows; below 1 an alpha of any size would pass for sane."""
    path = tmp_path / "buffer"
    buffer = mujigae.PrioritizedReplayBuffer(8, VECTOR, ACTION, seed=0)
    add_episode(buffer, [1.0, 2.0], terminated=False)
    buffer.save(path)
    state = struct.pack("<5d", 1e71, 0.4, 0.5, 0.5, 0.5)
    path.write_bytes(rebuilt(path.read_bytes(), {b"PRIO": state}))
    with pytest.raises(mujigae.SnapshotError, match="largest priority that is out of range"):
        mujigae.load(path)


# --- sizes that do not fit


@pytest.mark.parametrize("capacity", [2**31, 2**30])
def test_capacities_beyond_memory_are_refused_with_both_sizes(tmp_path: Path, capacity: int) -> None:
    match = (
        r"capacity: expected a size that fits into memory, got one that needs \d+ bytes of the \d+ available"
    )
    with pytest.raises(ValueError, match=match):
        mujigae.ReplayBuffer(capacity, ((2**20,), np.uint8), ACTION)
    with pytest.raises(ValueError, match="capacity: expected a size that fits onto the disk"):
        mujigae.ReplayBuffer(capacity, ((2**20,), np.uint8), ACTION, path=tmp_path / "buffer")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="capacity: expected a size that fits into memory"):
        mujigae.SumTree(2**40)
    with pytest.raises(ValueError, match="capacity: expected a size that fits into memory"):
        mujigae.FrameRing(2**40, (84, 84), 4)


def test_a_large_capacity_takes_no_memory_before_it_is_used(tmp_path: Path) -> None:
    """Nor does a snapshot that asks for it: the columns would be 100 MB. A touched one may have a page of 2 MB."""
    buffer = mujigae.PrioritizedReplayBuffer(2**21, ((1000,), np.uint8), ACTION, seed=0)
    before = resident_bytes()
    buffer.save(tmp_path / "buffer")
    loaded = mujigae.load(tmp_path / "buffer")
    loaded.add(np.zeros(1000, np.uint8), 0, 0.0, np.zeros(1000, np.uint8), False, True)
    assert len(loaded.sample(4).key) == 4
    assert resident_bytes() - before < 16_000_000
    assert (tmp_path / "buffer").stat().st_size < 2000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_snapshot_of_more_environments_than_it_describes_is_refused(tmp_path: Path) -> None:
    path, parts = snapshot(tmp_path)
    arguments = {**json.loads(parts[b"META"])["arguments"], "num_envs": 100_000, "capacity": 100_000}
    path.write_bytes(rebuilt(path.read_bytes(), {b"META": edited(parts[b"META"], arguments=arguments)}))
    with pytest.raises(mujigae.SnapshotError, match="100000 environments, more than"):
        mujigae.load(path)


def test_keys_of_rows_that_were_never_drawn_are_unknown(impl: Any) -> None:
    buffer = impl.PrioritizedReplayBuffer(8, VECTOR, ACTION, n_step=3, seed=0)
    add_open(buffer, 4)  # rows 0 and 1 can be drawn, 2 and 3 wait
    with pytest.raises(IndexError, match=r"key\[0\]: expected a key that was issued, got 2"):
        buffer.update_priorities([2], [1.0])
    buffer.n_step = 1
    assert buffer.update_priorities([0, 3], [1.0, 1.0]) == 2
    buffer.n_step = 5  # they wait again, but their keys may be known
    assert buffer.update_priorities([0, 3], [1.0, 1.0]) == 2


def add_open(buffer: Any, num_steps: int) -> None:
    for t in range(num_steps):
        obs = np.full(1, t, np.float32)
        buffer.add(obs, t, 0.0, obs + 1, False, False)
