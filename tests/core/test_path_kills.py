"""Files that a kill, a crash of the machine or damage left: what was flushed is found, the rest is dropped or named."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kills
import numpy as np
import pytest
from streams import add_episode, vector_buffer

import mujigae

PAGE = 4096
NUM_KILLS = NUM_MIXES = 25  # in one round


def run_kills(folder: Path, num_kills: int, seed: int, compress: bool) -> dict[str, int]:
    command = [
        sys.executable,
        str(Path(__file__).with_name("kills.py")),
        str(folder),
        str(num_kills),
        str(seed),
        *(["compress"] if compress else []),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    survived: dict[str, int] = json.loads(result.stdout)
    return survived


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A kill of the process is the same in memory, where syncing costs nothing and more is done between kills."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.parametrize("compress", [False, True])
def test_a_killed_process_leaves_every_row_that_was_flushed(
    fast_folder: Path, rounds: Any, compress: bool
) -> None:
    for seed in rounds():
        with tempfile.TemporaryDirectory(dir=fast_folder) as folder:
            survived = run_kills(Path(folder), NUM_KILLS, seed, compress)
        assert survived["rows"] > NUM_KILLS  # far more, where the processor has nothing else to do
        assert survived["flushes"] > 0
        rounds.count("kills survived", survived["kills"])


@pytest.mark.parametrize("compress", [False, True])
def test_pages_written_in_any_order_leave_every_row_that_was_flushed(
    fast_folder: Path, rounds: Any, compress: bool
) -> None:
    """The machine stops: of the pages changed since the flush some have reached the disk, and some have not."""
    for seed in rounds():
        with tempfile.TemporaryDirectory(dir=fast_folder) as folder:
            mix_and_check(Path(folder), random.Random(seed), compress)
        rounds.count("crashes with lost pages survived", NUM_MIXES)


def mix_and_check(folder: Path, rng: random.Random, compress: bool) -> None:
    path, mixed = folder / "buffer", folder / "mixed"
    buffer = kills.new_buffer(path, compress=compress)
    lanes = [kills.Lane([]) for _ in range(kills.NUM_ENVS)]
    row = 0
    for mix in range(NUM_MIXES):
        if mix % 5 == 0:
            for _ in range(rng.randrange(60)):
                kills.add(buffer, [row] * kills.NUM_ENVS)
                row = kills.follow("a", row, lanes)
            buffer.flush()
            kills.follow("F", row, lanes)
            flushed = path.read_bytes()
            if rng.random() < 0.5:
                row = kills.next_episode(row)  # marks the newest row as interrupted
            for _ in range(rng.choice([1, 5, 30, 60])):
                kills.add(buffer, [row] * kills.NUM_ENVS)
                row = kills.follow("a", row, lanes)
            buffer.update_priorities(buffer.sample(64).key, np.full(64, 3.0))
            later = path.read_bytes()
        mixed.write_bytes(mix_pages(flushed, later, rng))
        found = kills.rows_held(mujigae.load(mixed))
        for lane, held in zip(lanes, found, strict=True):
            lane.check(held)


def mix_pages(flushed: bytes, later: bytes, rng: random.Random) -> bytes:
    share = rng.random()
    pages = bytearray(flushed)
    for at in range(0, len(flushed), PAGE):
        if rng.random() < share:
            pages[at : at + PAGE] = later[at : at + PAGE]
    return bytes(pages)


def test_priorities_that_are_none_become_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "buffer"
    buffer = vector_buffer(mujigae, path=path)
    add_episode(buffer, [0.0] * 20, terminated=True)
    buffer.update_priorities(buffer.sample(64, 0.0).key, np.full(64, 0.123))
    batch = buffer.sample(64)
    buffer.update_priorities(batch.key[:1], [7.0])
    buffer.flush()
    content = path.read_bytes()
    for damage in (np.nan, -1.0, np.inf):
        (tmp_path / "bad").write_bytes(
            content.replace(np.float64(0.123).tobytes(), np.float64(damage).tobytes())
        )
        loaded = mujigae.load(tmp_path / "bad")
        assert loaded.check_valid()
        assert (len(loaded), loaded.max_priority) == (20, 7.0)
        del loaded


# --- damage


def test_truncated_foreign_and_future_files_say_what_is_wrong(tmp_path: Path) -> None:
    vector_buffer(mujigae, path=tmp_path / "buffer")
    content = (tmp_path / "buffer").read_bytes()
    bad = tmp_path / "bad"
    for length in (0, 15, 16, 100, 700, 65536, len(content) - 65536, len(content) - 1):
        bad.write_bytes(content[:length])
        with pytest.raises(mujigae.SnapshotError, match=r"bad: .*\(at byte \d+\)"):
            mujigae.load(bad)
    bad.write_bytes(content + b"x")
    with pytest.raises(mujigae.SnapshotError, match=f"the file has {len(content) + 1} bytes, expected"):
        mujigae.load(bad)
    bad.write_bytes(b"x" + content[1:])
    with pytest.raises(mujigae.SnapshotError, match="not a mujigae snapshot"):
        mujigae.load(bad)
    head = content[:8] + struct.pack("<I", 9)  # a version is believed when its checksum is right
    bad.write_bytes(head + struct.pack("<I", zlib.crc32(head)) + content[16:])
    with pytest.raises(mujigae.SnapshotError, match="format version 9"):
        mujigae.load(bad)


@pytest.mark.parametrize("compress", [False, True])
def test_a_flipped_bit_in_a_closed_file_is_named_or_changes_no_row(fast_folder: Path, compress: bool) -> None:
    path, bad = fast_folder / "buffer", fast_folder / "bad"
    buffer = kills.new_buffer(path, compress=compress)
    for row in range(60):
        kills.add(buffer, [row] * kills.NUM_ENVS)
    rows = kills.rows_held(buffer)
    del buffer
    content = path.read_bytes()
    rng = random.Random(0)
    num_errors = 0
    for at in rng.sample([at for at, byte in enumerate(content) if byte], 100):
        damaged = bytearray(content)
        damaged[at] ^= 1 << rng.randrange(8)
        bad.write_bytes(damaged)
        try:
            loaded = mujigae.load(bad)
        except mujigae.SnapshotError as error:
            num_errors += str(error).startswith(f"{bad}: ")
        else:  # what is not held, one of two equal records of the state, or a priority
            assert kills.rows_held(loaded) == rows
            del loaded
    assert num_errors > 30


def test_a_damaged_row_costs_the_older_rows_of_its_lane_when_the_file_was_not_closed(tmp_path: Path) -> None:
    buffer = vector_buffer(mujigae, num_envs=2, path=tmp_path / "buffer")
    for t in range(20):
        obs = np.full((2, 1), t, np.float32)
        buffer.add(obs, [100 + t, 200 + t], [0.0, 0.0], obs + 1, [False] * 2, [False] * 2)
    buffer.flush()
    content = (tmp_path / "buffer").read_bytes()
    (tmp_path / "bad").write_bytes(content.replace(np.int64(107).tobytes(), np.int64(109).tobytes()))
    loaded = mujigae.load(tmp_path / "bad")
    assert loaded.check_valid()
    drawn = sorted({*loaded.sample(2000).action.tolist()})
    assert drawn == [*range(108, 120), *range(200, 220)]


KEYS_OF_A_KILLED_PROCESS = """
import os, signal, sys
import numpy as np, mujigae
buffer = mujigae.load(sys.argv[1])
number, num_flushed, num_lost = map(int, sys.argv[2:])
def add(tag):
    obs = np.full(2, tag, np.float32)
    buffer.add(np.stack([obs, obs]), [tag, tag], [tag, tag], np.stack([obs, obs]) + 1, [False, False], [True, True])
for i in range(num_flushed): add(1000 * number + i)
buffer.flush()
flushed = buffer.sample(512)
for i in range(num_lost): add(1000 * number + 500 + i)
batch = buffer.sample(512)
np.savez(sys.argv[1] + ".npz", flushed=flushed.key, tags=flushed.action, lost=batch.key[batch.action % 1000 >= 500])
os.kill(os.getpid(), signal.SIGKILL)
"""


def actions_of(buffer: Any, num_batches: int = 8) -> dict[int, int]:
    """The action of each key that is drawn."""
    pairs: dict[int, int] = {}
    for _ in range(
        num_batches if len(buffer) else 0
    ):  # rows that were lost may have taken the place of all others
        batch = buffer.sample(256)
        pairs.update(zip(batch.key.tolist(), batch.action.tolist(), strict=True))
    return pairs


@pytest.mark.parametrize(("num_flushed", "num_lost"), [(0, 3), (1, 1), (20, 10), (7, 60)])
def test_keys_of_rows_that_a_kill_lost_stay_dead(fast_folder: Path, num_flushed: int, num_lost: int) -> None:
    path = fast_folder / "buffer"
    options = {"num_envs": 2, "path": path, "seed": 0}
    mujigae.PrioritizedReplayBuffer(40, ((2,), np.float32), ((), np.int64), **options).flush()
    dead: set[int] = set()
    for number in range(1, 7):
        command = [sys.executable, "-c", KEYS_OF_A_KILLED_PROCESS, str(path)]
        subprocess.run([*command, str(number), str(num_flushed + (number == 1)), str(num_lost)], check=False)
        known = np.load(f"{path}.npz")
        dead |= set(known["lost"].tolist())
        buffer: Any = mujigae.load(path)
        assert buffer.check_valid()
        assert buffer.update_priorities(sorted(dead), np.ones(len(dead))) == 0
        now, before = (
            actions_of(buffer),
            dict(zip(known["flushed"].tolist(), known["tags"].tolist(), strict=True)),
        )
        assert all(before[key] == action for key, action in now.items() if key in before)
        assert not dead & set(now)
        del buffer
