"""Any thread may call anything, and the GIL is released while C++ works."""

from __future__ import annotations

import itertools
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from streams import ACTION, Space, good_arguments, stacked_buffer

import mujigae

NUM_ENVS = 4


class Counting:
    """Environments that count up: a stack of env e is (t, t + 1) + 10^9 e, the action is its newest frame."""

    def __init__(self, capacity: int = 400, seed: int = 0) -> None:
        space = Space((2, 1), np.int64)
        self.buffer = mujigae.PrioritizedReplayBuffer(
            capacity, space, ACTION, num_envs=NUM_ENVS, frame_stack=2, n_step=3, seed=seed
        )
        self.next_steps = [0] * NUM_ENVS
        self.num_wrong = 0

    def write(self, env: int) -> None:
        """One step of an environment; only one thread writes one environment."""
        t = self.next_steps[env]
        obs = np.array([[[t], [t + 1]]]) + 10**9 * env
        self.buffer.add(obs, obs[:, 1, 0], [1.0], obs + 1, [t % 70 == 69], [t % 50 == 49], env_ids=[env])
        self.next_steps[env] = t + 1

    def read(self) -> Any:
        batch = self.buffer.sample(32)
        obs, next_obs = batch.obs[:, :, 0], batch.next_obs[:, :, 0]
        steps = next_obs[:, 1] - obs[:, 1]
        is_right = (obs[:, 1] == batch.action) & (obs[:, 0] + 1 == obs[:, 1]) & (steps >= 1) & (steps <= 3)
        self.num_wrong += int(np.sum(~is_right | (next_obs[:, 0] + 1 != next_obs[:, 1])))
        return batch

    def update(self) -> None:
        batch = self.read()
        assert self.buffer.update_priorities(batch.key, np.ones(32)) <= 32


def run_at_once(works: list[Callable[[], Any]], seconds: float) -> int:
    """Repeats each work in a thread of its own for so long; returns how many calls were made. Errors are raised."""
    errors: list[BaseException] = []
    counts = [0] * len(works)
    end = time.monotonic() + seconds

    def repeat(i: int) -> None:
        try:
            while time.monotonic() < end and not errors:
                works[i]()
                counts[i] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert min(counts) > 0
    return sum(counts)


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns often, so that more orders of their steps are tried."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("quick_switches")
def test_a_writer_for_each_environment_beside_samplers_updaters_and_a_saver(
    rounds: Any, tmp_path: Any
) -> None:
    for seed in rounds(few=1):
        world = Counting(seed=seed)
        for env in range(NUM_ENVS):
            for _ in range(5):
                world.write(env)
        writers = [partial(world.write, env) for env in range(NUM_ENVS)]
        works = [*writers, world.read, world.read, world.update, world.update]
        works += [partial(world.buffer.save, tmp_path / "saved"), world.buffer.check_valid]
        rounds.count("calls from threads", run_at_once(works, 10.0 if rounds.is_long else 1.0))
        rounds.count("races found", world.num_wrong)
        assert world.num_wrong == 0
        assert world.buffer.check_valid()
        assert world.buffer.num_silent_boundaries == 0
        assert mujigae.load(tmp_path / "saved").check_valid()


def test_settings_may_change_while_others_work() -> None:
    buffer = stacked_buffer(mujigae, capacity=200, num_envs=2)
    for _ in range(20):
        buffer.add(**good_arguments())

    def change(values: Any = itertools.cycle([1, 2, 3])) -> None:  # noqa: B008
        buffer.n_step = next(values)
        buffer.alpha = 0.1 * buffer.n_step
        buffer.beta = 0.5
        assert len(buffer) <= 200

    works = [lambda: buffer.add(**good_arguments()), lambda: buffer.sample(32), change, buffer.check_valid]
    assert run_at_once(works, 0.5) > 0
    assert buffer.check_valid()


# --- the body of each of these runs in several threads at once, on one buffer

WORLD = Counting()
for first_step in range(5 * NUM_ENVS):
    WORLD.write(first_step % NUM_ENVS)
TURNS = itertools.count()
TREE = mujigae.SumTree(1000, seed=0)
TREE.update(np.arange(100), np.ones(100))


@pytest.mark.force_parallel_threads(NUM_ENVS)
def test_a_batch_in_hand_never_changes_while_others_add() -> None:
    env = next(TURNS) % NUM_ENVS
    held = []
    for _ in range(60):
        WORLD.write(env)
        batch = WORLD.read()
        held.append((batch, [np.copy(field) for field in batch[:9]]))
        held = held[-5:]
        for one, copies in held:
            assert all(np.array_equal(a, b) for a, b in zip(one[:9], copies, strict=True))
    assert WORLD.num_wrong == 0


@pytest.mark.force_parallel_threads(NUM_ENVS)
def test_priorities_are_updated_from_many_threads() -> None:
    for _ in range(60):
        WORLD.update()
        assert WORLD.buffer.max_priority == 1.0
    assert WORLD.buffer.check_valid()


@pytest.mark.force_parallel_threads(4)
def test_a_tree_is_drawn_from_and_updated_by_many_threads() -> None:
    for _ in range(60):
        TREE.update(np.arange(100), np.ones(100))
        assert TREE.sample(50).max() < 100
        assert TREE.total == 100.0


# --- the GIL


@pytest.mark.usefixtures("quick_switches")
def test_other_threads_go_on_while_one_samples() -> None:
    """While a call into C++ lasts, Python elsewhere keeps its pace; with the GIL held it would take a thousandth of it."""
    buffer = mujigae.ReplayBuffer(2, Space((1,), np.uint8), ACTION, seed=0)
    obs = np.zeros(1, np.uint8)
    for _ in range(2):
        buffer.add(obs, 0, 0.0, obs, False, False)
    out = buffer.sample(500_000)  # lasts for many turns of a busy processor
    steps, sampling, sleeping, is_done = [0], [], [], threading.Event()

    def pace(work: Callable[[], Any]) -> float:
        """Steps of the other thread in a second of `work`."""
        before, began = steps[0], time.perf_counter()
        work()
        return (steps[0] - before) / (time.perf_counter() - began)

    def compare() -> None:
        try:
            for _ in range(9):
                sampling.append(pace(lambda: buffer.sample(500_000, out=out)))
                sleeping.append(pace(lambda: time.sleep(0.05)))
        finally:
            is_done.set()

    thread = threading.Thread(target=compare)
    thread.start()
    while not is_done.is_set():
        steps[0] += 1
    thread.join()
    assert statistics.median(sampling) > 0.1 * statistics.median(sleeping) > 0.0, (sampling, sleeping)
