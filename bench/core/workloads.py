"""What is timed. A workload holds a filled structure; its operations are run many times, and what they answer is checked."""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.stream import AtariStream, VectorStream, array
from bench.core.subject import NotOffered, Replay, Rows, Subject, Tree

# By one pass of an update's prepared indices: more than a cache of the second level holds.
NUM_LEAVES_TOUCHED = 2**17
# By environments; added over and over, so that they lie in the cache, as what an environment returns does.
SEGMENT_STEPS = {1: 200, 8: 60}


class Operation:
    """What is timed, and the look at its answer."""

    num_parts = 1  # a run's time is divided by these
    min_times = 1  # in a round
    waited: float | None = None  # seconds of the last run, where not all of it counts

    def lead_in(self) -> None:
        """Off the clock, right before a round: what was made ready meanwhile must not be counted as fast."""

    def run(self, times: int) -> None:
        """The work itself, so many times."""
        raise NotImplementedError

    def check(self) -> None:
        """Asserts what the last run answered; after each round."""
        raise NotImplementedError

    def conclude(self) -> None:
        """Asserts what takes longer; once a visit."""


class TreeWork:
    """A tree of lognormal leaves, every hundredth of them zero."""

    def __init__(self, subject: Subject, num_leaves: int) -> None:
        self.leaves = np.random.default_rng(3).lognormal(-3.0, 2.0, num_leaves)
        self.leaves[::100] = 0.0
        self.tolerance = subject.tolerance
        self.tree: Tree = subject.tree(self.leaves)
        self.check_total()

    def check_total(self) -> None:
        expected, found = math.fsum(self.leaves), self.tree.total()
        assert math.isclose(found, expected, rel_tol=self.tolerance), f"total {found}, expected {expected}"

    def operation(self, name: str, batch_size: int) -> Operation:
        operations = {"draw": TreeDraw, "update": TreeUpdate, "update drawn": TreeUpdateDrawn}
        return operations[name](self, batch_size)


class TreeDraw(Operation):
    """Indices in proportion to the leaves."""

    def __init__(self, work: TreeWork, batch_size: int) -> None:
        self.work, self.batch_size = work, batch_size

    def run(self, times: int) -> None:
        draw, batch_size = self.work.tree.draw, self.batch_size
        for _ in range(times):
            self.answer = draw(batch_size)

    def check(self) -> None:
        indices = array(self.answer)
        assert indices.shape == (self.batch_size,)
        num_zero = int((self.work.leaves[indices] <= 0).sum())
        # A tree of 32-bit floats rounds its targets onto a zero now and then.
        limit = 0 if self.work.tolerance < 1e-9 else max(2, self.batch_size // 50)
        assert num_zero <= limit, f"{num_zero} of {self.batch_size} draws hit a zero"


class TreeUpdate(Operation):
    """New values of leaves at random, every time other ones."""

    def __init__(self, work: TreeWork, batch_size: int) -> None:
        self.work = work
        rng = np.random.default_rng(4)
        self.num_sets = max(4, NUM_LEAVES_TOUCHED // batch_size)
        self.indices = rng.integers(len(work.leaves), size=(self.num_sets, batch_size))
        self.values = rng.lognormal(-3.0, 2.0, self.indices.shape)
        self.sets = list(zip(self.indices, self.values, strict=True))
        self.num_run = self.num_checked = 0

    def run(self, times: int) -> None:
        update = self.work.tree.update
        for i in range(self.num_run, self.num_run + times):
            update(*self.sets[i % self.num_sets])
        self.num_run += times

    def check(self) -> None:
        leaves = self.work.leaves
        for i in range(max(self.num_checked, self.num_run - self.num_sets), self.num_run):
            leaves[self.indices[i % self.num_sets]] = self.values[i % self.num_sets]
        self.num_checked = self.num_run
        assert math.isclose(self.work.tree.total(), leaves.sum(), rel_tol=self.work.tolerance)

    def conclude(self) -> None:
        self.work.check_total()


class TreeUpdateDrawn(Operation):
    """New values of the leaves just drawn, as a training loop gives them; only `update` is on the clock."""

    def __init__(self, work: TreeWork, batch_size: int) -> None:
        self.work, self.batch_size = work, batch_size
        self.values = np.random.default_rng(5).lognormal(-3.0, 2.0, (64, batch_size))
        self.num_run = 0
        self.unchecked: list[tuple[Any, Any]] = []

    def run(self, times: int) -> None:
        draw, update, batch_size = self.work.tree.draw, self.work.tree.update, self.batch_size
        self.waited = 0.0
        for i in range(self.num_run, self.num_run + times):
            indices, values = draw(batch_size), self.values[i % len(self.values)]
            began = time.perf_counter()
            update(indices, values)
            self.waited += time.perf_counter() - began
            self.unchecked.append((indices, values))
        self.num_run += times

    def check(self) -> None:
        for indices, values in self.unchecked:
            self.work.leaves[array(indices)] = values
        self.unchecked.clear()
        assert math.isclose(self.work.tree.total(), self.work.leaves.sum(), rel_tol=self.work.tolerance)

    def conclude(self) -> None:
        self.work.check_total()


class ReplayWork:
    """A replay buffer filled with a stream."""

    def __init__(self, subject: Subject, stream: Any, make: Callable[[int], Replay], num_rows: int) -> None:
        self.subject, self.stream, self.num_rows = subject, stream, num_rows
        before = resident_bytes()
        self.replay = make(num_rows)
        for rows in stream.chunks(num_rows):
            self.replay.extend(rows)
            del rows  # would count as memory of the buffer
        self.resident_bytes = resident_bytes() - before

    def operation(self, name: str, batch_size: int) -> Operation:
        return {"cycle": Cycle, "sample": Sample, "wait": Wait}[name](self, batch_size)

    def new_priorities(self, batch_size: int) -> Any:
        import torch

        rng = np.random.default_rng(5)
        return [torch.from_numpy(rng.random(batch_size, np.float32)) for _ in range(8)]


class Sample(Operation):
    """Batches alone."""

    def __init__(self, work: ReplayWork, batch_size: int) -> None:
        self.work, self.batch_size = work, batch_size

    def run(self, times: int) -> None:
        sample, batch_size = self.work.replay.sample, self.batch_size
        for _ in range(times):
            self.drawn = sample(batch_size)

    def check(self) -> None:
        assert len(self.drawn.obs) == self.batch_size
        self.work.stream.check(self.drawn)


class Cycle(Sample):
    """A batch, then new priorities of its rows. The last batch is alive while the next is drawn, as in a training loop."""

    def __init__(self, work: ReplayWork, batch_size: int) -> None:
        super().__init__(work, batch_size)
        # Batches that are ready when a round begins are a small part of it.
        self.min_times = max(16 * work.subject.batches_ahead, 1)
        self.priorities = itertools.cycle(work.new_priorities(batch_size))
        if work.subject.is_prioritized:
            self._check_update()

    def _check_update(self) -> None:
        """A row that becomes the only one of weight is drawn more than any other, and no more once that is undone."""
        import torch

        replay = self.work.replay
        drawn = replay.sample(self.batch_size)
        row, key = array(drawn.action).reshape(self.batch_size, -1)[0, 0], drawn.key[:1]
        replay.update(key, torch.full((1,), 1e12))
        for _ in range(4):  # batches drawn ahead come first
            drawn = replay.sample(self.batch_size)
        share = (array(drawn.action).reshape(self.batch_size, -1)[:, 0] == row).mean()
        replay.update(key, torch.ones(1))
        assert share > 0.5, f"after its update a row of nearly all the weight is {share:.0%} of the batch"

    def lead_in(self) -> None:
        self.run(3 * self.work.subject.batches_ahead)

    def run(self, times: int) -> None:
        sample, update, batch_size = self.work.replay.sample, self.work.replay.update, self.batch_size
        for _ in range(times):
            self.drawn = sample(batch_size)
            update(self.drawn.key, next(self.priorities))


class Wait(Cycle):
    """What an actor's thread waits for a batch while another thread trains: only `sample` is on the clock."""

    BETWEEN_SECONDS = 0.004  # an update on such a batch takes longer than that

    def lead_in(self) -> None:
        """Nothing: batches are meant to be made between the draws."""

    def run(self, times: int) -> None:
        is_over = threading.Event()
        training = threading.Thread(target=_train, args=(is_over,))
        training.start()
        self.waited = 0.0
        for _ in range(times):
            time.sleep(self.BETWEEN_SECONDS)
            began = time.perf_counter()
            self.drawn = self.work.replay.sample(self.batch_size)
            self.waited += time.perf_counter() - began
            self.work.replay.update(self.drawn.key, next(self.priorities))
        is_over.set()
        training.join()


def _train(is_over: threading.Event) -> None:
    """Matrix products, which leave the GIL to others."""
    import torch

    weights = torch.rand(512, 512)
    while not is_over.is_set():
        weights @ weights


class AddWork:
    """A full buffer that gets more steps, of one environment or several, and at times the end of an episode.

    `kind`: "add", or "add env_ids", where the environments are named, or "add dict", where an observation is a dict of one entry.
    """

    def __init__(
        self, subject: Subject, stream: AtariStream, capacity: int, num_envs: int, kind: str = "add"
    ) -> None:
        self.in_dict = kind == "add dict"
        self.replay = (subject.atari_dict if self.in_dict else subject.atari)(capacity, num_envs)
        self.arguments = (np.arange(num_envs),) if kind == "add env_ids" else ()
        self.num_envs = num_envs
        length = SEGMENT_STEPS[num_envs]
        firsts = np.flatnonzero(stream.position == stream.start[stream.position])
        long = [first for first in firsts.tolist() if _inner_steps(stream, first) > length][:num_envs]
        assert len(long) == num_envs, "the recording has too few long episodes"
        at = stream.position[long] + np.arange(length + 1)[:, None]
        self.obs = stream.stacks(at.reshape(-1)).reshape(length + 1, num_envs, 4, 84, 84)
        self.steps = [self._step(t, length) for t in range(length)]
        self.added = 0
        Add(self, 0).run(capacity // num_envs + length)

    def _step(self, t: int, length: int) -> Rows:
        no, end = np.zeros(self.num_envs, bool), np.full(self.num_envs, t == length - 1)
        action = t * self.num_envs + np.arange(self.num_envs)
        obs, next_obs = ({"image": self.obs[at]} if self.in_dict else self.obs[at] for at in (t, t + 1))
        return Rows(obs, action, np.ones(self.num_envs), next_obs, no, end)

    def operation(self, name: str, batch_size: int) -> Operation:
        assert name == "add"
        return Add(self, batch_size)


def _inner_steps(stream: AtariStream, first: int) -> int:
    """Steps from here to the end of the episode."""
    later = (stream.terminated | stream.truncated)[first:]
    return int(later.argmax()) if later.any() else len(later)


class Add(Operation):
    """A step of every environment; the time is that of one environment's step."""

    def __init__(self, work: AddWork, batch_size: int) -> None:
        self.work, self.batch_size, self.num_parts = work, batch_size, work.num_envs

    def run(self, times: int) -> None:
        add, steps, begin = self.work.replay.add, self.work.steps, self.work.added
        arguments = self.work.arguments
        for i in range(begin, begin + times):
            add(steps[i % len(steps)], *arguments)
        self.work.added += times

    def check(self) -> None:
        drawn = self.work.replay.sample(self.batch_size)
        t, env = np.divmod(array(drawn.action).reshape(-1).astype(np.int64), self.work.num_envs)
        obs = drawn.obs["image"] if self.work.in_dict else drawn.obs
        assert np.array_equal(array(obs), self.work.obs[t, env]), "obs of another step"


class FloorWork:
    """The copies alone."""

    def __init__(self, subject: Any, num_bytes: int) -> None:
        self.floor = subject.floor(num_bytes)

    def operation(self, name: str, batch_size: int) -> Operation:
        if name != "cycle":
            raise NotOffered("more than the copies")
        return Copies(self.floor, batch_size)


class Copies(Operation):
    """A batch's two stacks for each of its samples, from random places, by the kernel that is faster for this batch."""

    def __init__(self, floor: Any, batch_size: int) -> None:
        self.floor, self.batch_size = floor, batch_size
        self.is_streamed = self._seconds(True) < self._seconds(False)

    def _seconds(self, is_streamed: bool) -> float:
        self.is_streamed = is_streamed
        return min(_round(self, 4)[1] for _ in range(10))

    def run(self, times: int) -> None:
        self.floor.copy(self.batch_size, times, self.is_streamed)

    def check(self) -> None:
        self.floor.check()


def measured(operation: Operation, seconds: float, min_rounds: int = 5) -> dict[str, Any]:
    """One visit: median and fastest round in seconds an operation, rounds, and operations in each.

    A round runs the operation for a millisecond or more; after each the answer is checked, off the clock.
    """
    times = operation.min_times
    wall, _ = _round(operation, times)  # warms up
    while wall < 1e-3 and times < 10_000:
        times *= 2
        wall, _ = _round(operation, times)
    rounds: list[float] = []
    total = 0.0
    while total < seconds or len(rounds) < min_rounds:
        wall, each = _round(operation, times)
        rounds.append(each)
        total += wall
    operation.conclude()
    return {"median": float(np.median(rounds)), "fastest": min(rounds), "rounds": len(rounds), "times": times}


def _round(operation: Operation, times: int) -> tuple[float, float]:
    """Seconds of the whole round, and of one operation."""
    operation.lead_in()
    began = time.perf_counter()
    operation.run(times)
    wall = time.perf_counter() - began
    operation.check()
    counted = wall if operation.waited is None else operation.waited
    return wall, counted / (times * operation.num_parts)


def resident_bytes() -> int:
    """Memory of the process that is no file's, without what the allocator only keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * resource.getpagesize()


def atari(subject: Subject, stream: AtariStream, num_rows: int) -> ReplayWork:
    return ReplayWork(subject, stream, subject.atari, num_rows)


def vector(subject: Subject, num_rows: int, is_prioritized: bool) -> ReplayWork:
    make = functools.partial(subject.vector, is_prioritized=is_prioritized)
    return ReplayWork(subject, VectorStream(num_rows, 17, 6), make, num_rows)


def uniform(subject: Subject, num_rows: int) -> ReplayWork:
    return ReplayWork(subject, VectorStream(num_rows, 4, None), subject.uniform, num_rows)
