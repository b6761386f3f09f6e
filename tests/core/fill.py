"""Fills a prioritized buffer with Atari-like transitions and prints, as JSON, what that cost: python fill.py NUM_ROWS

84 x 84 frames of noise, stacks of 4, n = 3, episodes of 500 steps, NumPy batches. Every drawn stack is checked.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from streams import ACTION, Space

import mujigae

EPISODE_STEPS = 500


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def episode_stacks() -> Any:
    """[501, 4, 84, 84] rolling stacks of one episode, the first one padded with zeros."""
    frames = np.random.default_rng(0).integers(0, 256, (EPISODE_STEPS + 1, 84, 84), dtype=np.uint8)
    padded = np.concatenate([np.zeros((3, 84, 84), np.uint8), frames])
    return np.lib.stride_tricks.sliding_window_view(padded, 4, axis=0).transpose(0, 3, 1, 2)


def filled(num_rows: int, stacks: Any = None) -> mujigae.PrioritizedReplayBuffer:
    """A full buffer of so many rows of that episode, again and again."""
    stacks = episode_stacks() if stacks is None else stacks
    buffer = mujigae.PrioritizedReplayBuffer(
        num_rows, Space((4, 84, 84), np.uint8), ACTION, frame_stack=4, n_step=3, seed=0
    )
    for row in range(num_rows + 10):
        t = row % EPISODE_STEPS
        buffer.add(stacks[t], t, 1.0, stacks[t + 1], False, t == EPISODE_STEPS - 1)
    return buffer


def fill(num_rows: int) -> dict[str, int]:
    stacks = episode_stacks()
    before = resident_bytes()
    buffer = filled(num_rows, stacks)
    batch = buffer.sample(256)
    buffer.update_priorities(batch.key, np.ones(256))
    assert len(buffer) == num_rows
    assert all(np.array_equal(obs, stacks[t]) for obs, t in zip(batch.obs, batch.action, strict=True))
    return {"num_rows": num_rows, "resident_bytes": resident_bytes() - before, "counted_bytes": buffer.nbytes}


if __name__ == "__main__":
    print(json.dumps(fill(int(sys.argv[1]))))
