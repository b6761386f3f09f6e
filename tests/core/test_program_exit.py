"""A program that ends while a daemon thread is inside a call ends with its own exit status."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading, time
import numpy as np, mujigae
frame, rows = np.zeros((84, 84), np.uint8), np.arange(64)
tree = mujigae.SumTree(1 << 16, seed=0)
tree.update(np.arange(1 << 16), np.ones(1 << 16))
ring = mujigae.FrameRing(2000, (84, 84), 2)
ring.start(np.zeros((2, 84, 84), np.uint8))
stream = mujigae.NStepAccumulator(3, 0.9, 64)
buffer = mujigae.PrioritizedReplayBuffer(2000, ((84, 84), np.uint8), ((), np.int64), seed=0)
for t in range(200):
    buffer.add(frame, 0, 0.0, frame, False, False)
calls = {
    "SumTree.find": lambda: tree.find(np.arange(1000.0)),
    "SumTree.update": lambda: tree.update(np.arange(1000), np.ones(1000)),
    "FrameRing.append": lambda: ring.append(frame),
    "FrameRing.stacks": lambda: ring.stacks(np.zeros(100, np.int64)),
    "NStepAccumulator.push": lambda: stream.push(np.zeros(64), np.zeros(64, bool), np.zeros(64, bool)),
    "sample": lambda: buffer.sample(256),
    "add": lambda: buffer.add(frame, 0, 0.0, frame, False, False),
    "update_priorities": lambda: buffer.update_priorities(np.zeros(1, np.int64), np.ones(1)),
    "len": lambda: len(buffer),
    "refused": lambda: refused(lambda: buffer.add(frame, 0, np.nan, frame, False, False)),
}

def refused(call):
    try:
        call()
    except ValueError:
        pass

def work(call):
    while True:
        call()

for _ in range(2):
    threading.Thread(target=work, args=(calls[sys.argv[1]],), daemon=True).start()
time.sleep(0.05)
sys.exit(7)
"""
CALLS = [
    "SumTree.find",
    "SumTree.update",
    "FrameRing.append",
    "FrameRing.stacks",
    "NStepAccumulator.push",
    "sample",
    "add",
    "update_priorities",
    "len",
    "refused",
]


@pytest.mark.parametrize("call", CALLS)
def test_the_exit_status_is_the_programs_own(call: str) -> None:
    command = [sys.executable, "-c", PROGRAM, call]
    programs = [subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) for _ in range(2)]
    assert [program.wait(timeout=60) for program in programs] == [7, 7]
