"""Kills a process that fills a file-backed buffer, again and again, and checks what is found:
python kills.py FOLDER NUM_KILLS SEED [compress]

Rows name themselves, and the process tells over a pipe what it is about to do, so what has to be found is known without asking
the buffer. Prints, as JSON, what was survived.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from streams import ACTION, Space

import mujigae

NUM_ENVS, LANE_ROWS, STACK, EPISODE_STEPS = 2, 40, 3, 7
FRAME = (5, 208)  # large enough to be compressed
ARGUMENTS: dict[str, Any] = {"num_envs": NUM_ENVS, "frame_stack": STACK, "alpha": 0.0, "seed": 0}


def new_buffer(path: Path | None, *, compress: bool = False) -> Any:
    space = Space((STACK, *FRAME), np.uint8)
    size = NUM_ENVS * LANE_ROWS
    return mujigae.PrioritizedReplayBuffer(size, space, ACTION, path=path, compress=compress, **ARGUMENTS)


def frame(env: int, row: int, is_last: bool = False) -> Any:
    """What environment `env` shows before row `row`, or after it as the last of its episode; unlike any other."""
    out = np.full(FRAME, env * 2 + is_last + 1, np.uint8)
    out.reshape(-1)[-8:] = np.frombuffer(np.int64(row).tobytes(), np.uint8)
    return out


def stacks(env: int, row: int) -> tuple[Any, Any]:
    """(obs, next_obs) of a row; its place in the episode is row % EPISODE_STEPS, and what is before the episode is zeros."""
    place = row % EPISODE_STEPS
    frames = [frame(env, row - age) if age <= place else np.zeros(FRAME, np.uint8) for age in range(STACK)][
        ::-1
    ]
    is_last = place == EPISODE_STEPS - 1
    newest = frame(env, row, is_last=True) if is_last else frame(env, row + 1)
    return np.stack(frames), np.stack([*frames[1:], newest])


def next_episode(row: int) -> int:
    return row + EPISODE_STEPS - row % EPISODE_STEPS


def add(buffer: Any, rows: list[int]) -> None:
    """One row of each environment."""
    obs, next_obs = (np.stack(part) for part in zip(*map(stacks, range(NUM_ENVS), rows), strict=True))
    ends = np.array([row % EPISODE_STEPS == EPISODE_STEPS - 1 for row in rows])
    buffer.add(obs, rows, np.array(rows, float), next_obs, ends, np.zeros(NUM_ENVS, bool))


def rows_held(buffer: Any) -> list[list[int]]:
    """The rows that can be drawn, of each environment in order, every byte of them checked."""
    assert buffer.check_valid(), buffer.check_valid().reason
    found: set[tuple[int, int]] = set()
    for _ in range(100):
        if len(found) == len(buffer):
            return [sorted(row for e, row in found if e == env) for env in range(NUM_ENVS)]
        batch = buffer.sample(8 * NUM_ENVS * LANE_ROWS)
        for i, row in enumerate(batch.action.tolist()):
            env = (int(batch.obs[i, -1, 0, 0]) - 1) // 2
            if (env, row) in found:
                continue
            obs, next_obs = stacks(env, row)
            assert np.array_equal(batch.obs[i], obs)
            assert np.array_equal(batch.next_obs[i], next_obs)
            assert batch.reward[i] == row
            assert batch.terminated[i] == (row % EPISODE_STEPS == EPISODE_STEPS - 1)
            found.add((env, row))
    raise AssertionError(f"{len(found)} of {len(buffer)} rows found")


class Lane:
    """What one environment has been told: its rows in order, and how many there were at the flushes that may be found."""

    def __init__(self, held: list[int]) -> None:
        self.rows, self.flushed = list(held), {len(held)}

    def check(self, found: list[int]) -> None:
        """`found` are neighbours that end at a flush, and nothing is missing that was flushed and not evicted."""
        num_evicted = max(len(self.rows) - LANE_ROWS, 0)
        assert any(
            self.rows[max(end - len(found), 0) : end] == found and end - len(found) <= num_evicted
            for end in self.flushed
        ), (found, self.rows, self.flushed)


class Child:
    """A process that adds and flushes until it is killed, and says before each step what it is."""

    def __init__(self, path: Path, first_row: int, seed: int) -> None:
        self.reader, writer = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                self.work(mujigae.load(path), first_row, random.Random(seed), writer)
            finally:
                os._exit(1)
        os.close(writer)

    def work(self, buffer: Any, row: int, rng: random.Random, writer: int) -> None:
        os.write(writer, b"o")  # opened: what is held is flushed
        while True:
            for _ in range(rng.choice([0, 1, 5, 30])):
                os.write(writer, b"a")
                add(buffer, [row] * NUM_ENVS)
                row += 1
            if rng.random() < 0.1:  # reset behind the buffer's back
                row = next_episode(row)
                os.write(writer, b"r")
            if len(buffer) and rng.random() < 0.5:
                batch = buffer.sample(16)
                buffer.update_priorities(batch.key, np.arange(16.0))
            if rng.random() < 0.5:
                os.write(writer, b"f")
                buffer.flush()
                os.write(writer, b"F")

    def kill_after(self, seconds: float, *, has_opened: bool) -> str:
        """Kills it so long after the start, or after it has opened the file; returns what it did."""
        steps = os.read(self.reader, 1) if has_opened else b""
        time.sleep(seconds)
        os.kill(self.process, signal.SIGKILL)
        assert os.waitpid(self.process, 0)[1] == signal.SIGKILL, "the child died by itself"
        while part := os.read(self.reader, 1 << 16):
            steps += part
        os.close(self.reader)
        return steps.decode()


def follow(steps: str, row: int, lanes: list[Lane]) -> int:
    """What the child did; returns the row after its last."""
    for step in steps:
        if step == "r":
            row = next_episode(row)
        for lane in lanes:
            if step == "a":
                lane.rows.append(row)
            elif step == "f":  # begun: it may have come to its end
                lane.flushed.add(len(lane.rows))
            elif step == "F":
                lane.flushed = {len(lane.rows)}
        row += step == "a"
    return row


def survive_kills(folder: Path, num_kills: int, seed: int, *, compress: bool) -> dict[str, int]:
    rng = random.Random(seed)
    path, copy = folder / "buffer", folder / "copy"
    new_buffer(path, compress=compress)  # and closed
    found: list[list[int]] = [[] for _ in range(NUM_ENVS)]
    row, done = 0, ""
    for kill in range(num_kills):
        child = Child(path, row, seed=seed + kill)
        steps = child.kill_after(rng.random() ** 2 * 0.05, has_opened=rng.random() < 0.9)
        lanes = [Lane(held) for held in found]
        row = next_episode(follow(steps, row, lanes))
        shutil.copyfile(path, copy)
        found = rows_held(mujigae.load(copy))
        for lane, held in zip(lanes, found, strict=True):
            lane.check(held)
        if rng.random() < 0.3:
            shutil.copyfile(copy, path)  # go on from one that was closed in good order
        done += steps
    return {"kills": num_kills, "rows": NUM_ENVS * done.count("a"), "flushes": done.count("F")}


if __name__ == "__main__":
    folder, num_kills, seed, *options = sys.argv[1:]
    print(json.dumps(survive_kills(Path(folder), int(num_kills), int(seed), compress="compress" in options)))
