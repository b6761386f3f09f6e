"""A fork at any moment leaves both processes able to use what lies in memory."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mujigae

NUM_FORKS = 6
CALLS: dict[str, Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]] = {}


def subject(make: Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]) -> None:
    """Names what is forked: `make` returns the call that another thread repeats, and what a child does with its copy."""
    CALLS[make.__name__] = make


@subject
def buffer() -> tuple[Callable[[], Any], Callable[[], Any]]:
    buffer = filled()
    return lambda: buffer.sample(256), lambda: use(buffer)


@subject
def prefetched() -> tuple[Callable[[], Any], Callable[[], Any]]:
    buffer = filled(prefetch=2)
    return lambda: buffer.sample(256), lambda: use(buffer, 256)


@subject
def saved() -> tuple[Callable[[], Any], Callable[[], Any]]:
    buffer = filled()
    return lambda: buffer.__reduce_ex__(5), lambda: use(buffer)


@subject
def batches() -> tuple[Callable[[], Any], Callable[[], Any]]:
    buffer = filled()
    buffer.sample(64)
    return lambda: [buffer.sample(4) for _ in range(8)], lambda: use(buffer)


@subject
def tree() -> tuple[Callable[[], Any], Callable[[], Any]]:
    tree = mujigae.SumTree(1 << 18, seed=0)
    indices, ones = np.arange(1 << 18), np.ones(1 << 18)
    tree.update(indices, ones)
    return lambda: tree.update(indices, ones), lambda: (
        tree.sample(4),
        tree.update([0], [2.0]),
        checked(tree),
    )


@subject
def ring() -> tuple[Callable[[], Any], Callable[[], Any]]:
    ring = mujigae.FrameRing(100, (512, 512), 2)
    ring.start(np.zeros((2, 512, 512), np.uint8))
    frame = np.ones((512, 512), np.uint8)
    return lambda: ring.append(frame), lambda: (ring.append(frame), ring.stacks([0]), checked(ring))


@subject
def stream() -> tuple[Callable[[], Any], Callable[[], Any]]:
    stream = mujigae.NStepAccumulator(3, 0.9, 1 << 14)
    step = np.ones(1 << 14), np.zeros(1 << 14, bool), np.zeros(1 << 14, bool)
    return lambda: stream.push(*step), lambda: (stream.push(*step), checked(stream))


def filled(**options: Any) -> mujigae.PrioritizedReplayBuffer:
    buffer = mujigae.PrioritizedReplayBuffer(1000, ((84, 84), np.uint8), ((), np.int64), seed=0, **options)
    obs = np.zeros((1000, 84, 84), np.uint8)
    flags = np.zeros(1000, bool)
    buffer.extend(obs, np.zeros(1000, np.int64), np.zeros(1000), obs, flags, flags)
    return buffer


def use(buffer: mujigae.PrioritizedReplayBuffer, batch_size: int = 4) -> None:
    obs = np.zeros((84, 84), np.uint8)
    buffer.add(obs, 0, 0.0, obs, False, False)
    batch = buffer.sample(batch_size)
    assert buffer.update_priorities(batch.key, np.ones(batch_size)) > 0
    checked(buffer)


def checked(structure: Any) -> None:
    assert structure.check_valid()


def status_of_child(work: Callable[[], Any]) -> int:
    """0 when `work` succeeds in a forked process; SIGALRM ends one that hangs."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("name", CALLS)
def test_a_fork_during_a_call_leaves_both_processes_at_work(name: str) -> None:
    call, work = CALLS[name]()
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            call()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        statuses = []
        for i in range(NUM_FORKS):
            time.sleep(0.003 * (i + 1))
            statuses.append(status_of_child(work))
    finally:
        stop.set()
        thread.join()
    assert statuses == [0] * NUM_FORKS
    work()
