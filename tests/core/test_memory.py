"""What a million Atari transitions cost the process, all included: the claim that the engine is bought for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_BYTES = 7_200_000_000  # 7056 of them are the frame itself

MILLION = """
import os, resource, sys
import numpy as np
import mujigae

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

class Space:
    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, dtype

num_rows, episode = int(sys.argv[1]), 500
frames = np.random.default_rng(0).integers(0, 256, (episode + 1, 84, 84), dtype=np.uint8)
padded = np.concatenate([np.zeros((3, 84, 84), np.uint8), frames])
stacks = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=0).transpose(0, 3, 1, 2)  # [episode + 1, 4, 84, 84]
before = resident_bytes()
buffer = mujigae.PrioritizedReplayBuffer(
    num_rows, Space((4, 84, 84), np.uint8), Space((), np.int64), frame_stack=4, n_step=3, seed=0
)
for row in range(num_rows + 10):
    t = row % episode
    buffer.add(stacks[t], t, 1.0, stacks[t + 1], False, t == episode - 1)
batch = buffer.sample(256)
buffer.update_priorities(batch.key, np.ones(256))
assert len(buffer) >= num_rows - 2, len(buffer)
for i, t in enumerate(batch.action):
    assert np.array_equal(batch.obs[i], stacks[t])
print(resident_bytes() - before, buffer.nbytes)
"""


@pytest.mark.slow
def test_a_million_atari_transitions_fit_in_7_2_gigabytes() -> None:
    """84 x 84 frames, stacks of 4, n = 3, prioritized, episodes of 500 steps, NumPy batches."""
    grown, counted = measure(1_000_000)
    assert grown <= LIMIT_BYTES
    assert counted <= LIMIT_BYTES


def test_counted_bytes_are_the_bytes_that_the_process_grew_by() -> None:
    grown, counted = measure(20_000)
    assert counted <= 20_000 * 7200
    assert grown <= counted + 32_000_000  # a batch of 256 and what Python itself needs


def measure(num_rows: int) -> tuple[int, int]:
    """(growth of resident memory, buffer.nbytes) of a fresh process that fills a buffer of so many rows."""
    command = [sys.executable, "-c", MILLION, str(num_rows)]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths}
    )
    grown, counted = map(int, result.stdout.split())
    return grown, counted
