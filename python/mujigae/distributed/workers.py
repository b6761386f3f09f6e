"""A training run whose rows come from other processes: the learner's loop.

    actors      collect without end, and say now and then what they did
    shards      hold the rows, and keep samples per insert where one process would have it
    this one    learns from batches as they come, hands priorities back and the newest network out, and does all that a run
                of one process does beside: logs, checkpoints, evaluation

A step of the run is a row that a shard has stored. As many updates are made for as many steps as in one process: the shards
let neither side run ahead by more than `slack`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mujigae.agents.agent import Update
from mujigae.config.run import WITH_ACTORS, Run, refuse_unless
from mujigae.distributed.actor_calls import ActorCalls
from mujigae.distributed.actor_server import Report
from mujigae.distributed.calls import Processes
from mujigae.distributed.carriers import Carrier
from mujigae.distributed.cluster import Cluster
from mujigae.distributed.plan import Plan
from mujigae.distributed.puller import Puller
from mujigae.distributed.replay import ShardedReplay
from mujigae.distributed.shard import Pulled
from mujigae.envs.steps import Episode
from mujigae.errors import CheckpointError
from mujigae.replay.batch import Batch
from mujigae.runs.files import write_whole
from mujigae.runs.own_folders import SHARDS
from mujigae.runs.reading import read_json
from mujigae.seeds import child_seed
from mujigae.structures import map_arrays
from mujigae.training import loop
from mujigae.training.loop import Progress, Training
from mujigae.training.schedules import beta_at

__all__ = ["FILE", "ClusterWorkers", "Totals", "saved_workers"]

FILE = "cluster.json"  # in the run's folder: how many actors and shards, and what they did


@dataclass
class Totals:
    """What happened since the processes were started, for the run's folder and for measurements."""

    seconds: float = 0.0
    wait_seconds: float = 0.0  # of the learner, for batches, once it had begun to learn
    learn_seconds: float = 0.0  # since its first batch
    updates: int = 0
    rows_sampled: int = 0
    policies: int = 0
    actor_seconds: float = 0.0
    actor_wait_seconds: float = 0.0
    actor_failures: int = 0
    shard_failures: int = 0
    actor_processes: dict[int, int] = field(default_factory=dict)
    shard_processes: dict[int, int] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)


def saved_workers(
    folder: Path, carrier: str | None = None, address: str | None = None
) -> ClusterWorkers | None:
    """Those that the run in `folder` had, by the carrier it had or by this one; None: it ran in one process.

    Raises CheckpointError for a file that is none of ours.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    values = read_json(path, CheckpointError)
    counts = values.get("actors"), values.get("shards")
    if not all(type(count) is int and 1 <= count <= 10**6 for count in counts):
        raise CheckpointError(f"{path}: expected numbers of actors and shards, got {counts}")
    saved = values.get("carrier", "ray")  # files of before had none, and Ray
    if saved not in ("processes", "ray"):
        raise CheckpointError(f"{path}: carrier: expected processes or ray, got {saved}")
    if carrier is None and address is None:
        carrier = saved
    return ClusterWorkers(int(str(counts[0])), int(str(counts[1])), Carrier.of(carrier, address))


class ClusterWorkers:
    """The `Workers` of a run: see the module. `build` makes the run that they work for."""

    def __init__(self, num_actors: int, num_shards: int, carrier: Carrier) -> None:
        for name, value in (("actors", num_actors), ("shards", num_shards)):
            refuse_unless(value >= 1, name, "at least 1", value)
        refuse_unless(
            num_shards <= num_actors, "shards", f"at most one for each actor ({num_actors})", num_shards
        )
        self.num_actors, self.num_shards, self.carrier = num_actors, num_shards, carrier
        self.totals = Totals()
        self._acting: dict[int, dict[str, float | None]] = {}  # by actor
        self._cluster: Cluster
        self._puller: Puller
        self._processes: Processes

    def build(self, config: Run) -> Training:
        """A new run with these workers, as `mujigae.training.loop.build`."""
        self.carrier.require()
        self._check(config)
        training = loop.build(config)
        owners = ", ".join(training.environment.state_owners)
        refuse_unless(not owners, "wrapper", "none that keeps statistics over resets, with actors", owners)
        self._plan = Plan.of(training, self.num_actors, self.num_shards)
        self._replay = ShardedReplay()
        training.buffer, training.workers = self._replay, self
        self._scalars_of_acting = training.agent.scalars_of_acting
        training.notes = (*training.notes, self._plan.note(self.carrier))
        return training

    def _check(self, config: Run) -> None:
        """Raises ConfigError for what needs the rows, or the environments, in this process."""
        replay, several = config.replay, self.num_shards > 1
        for name, wanted in WITH_ACTORS.items():
            value = config.flat()[name]
            refuse_unless(value == wanted, name, f"{wanted} with actors", value)
        refuse_unless(
            replay.sampler_name != "rank_based" or not several,
            "sampler",
            "proportional with shards",
            "rank_based",
        )
        is_whole = replay.uniform_share == 0 or not several
        refuse_unless(is_whole, "uniform_share", "0 with several shards", replay.uniform_share)

    @contextmanager
    def started(self, training: Training, folder: Path) -> Iterator[None]:
        """Shards reopen their files in `folder/replay`, or make new ones. Raises MujigaeError where anything fails."""
        plan = self._plan
        self._write(folder)
        run = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
        with self.carrier.processes(run, plan.num_processes, plan.store_bytes) as processes:
            self._processes = processes
            self._cluster = cluster = Cluster(processes, plan.shards(folder / SHARDS), plan.actors())
            try:
                cluster.wait_until_started()
                seed = child_seed(training.config.seed, "replay", 1 + training.counters.checkpoints)
                self._puller = Puller(processes, cluster.shards, training.config.replay.batch_size, seed)
                self._replay.cluster, self._replay.puller = cluster, self._puller
                yield
            finally:
                cluster.close()
                self._write(folder)

    def _write(self, folder: Path) -> None:
        counts = {"actors": self.num_actors, "shards": self.num_shards, "carrier": self.carrier.name}
        values = {**counts, "totals": vars(self.totals)}
        write_whole(folder / FILE, json.dumps(values, indent=1) + "\n")

    def run(self, training: Training, should_stop: Callable[[], bool]) -> Iterator[Progress]:
        """As `mujigae.training.loop.run`, but a Progress comes after every update, or when something else happened."""
        counters = training.counters
        started = time.monotonic() - counters.seconds

        def is_over() -> bool:
            counters.seconds = time.monotonic() - started
            has_steps_only = (
                counters.steps >= training.config.budget.steps and self._updates_left(training) > 0
            )
            return should_stop() or (loop.is_finished(training) and not has_steps_only)

        if loop.is_finished(training):
            return
        calls = ActorCalls(self._processes, self._cluster.actors)
        learner = _Learner(training, self._puller, self.totals)
        base, stored, is_filled = None, 0, True
        while True:
            before = counters.steps
            # A shard that was killed may lack rows that were counted: its actors have to send them again.
            is_complete = loop.is_finished(training) and stored + (base or 0) >= counters.steps and is_filled
            reports = [] if is_complete else calls.renew(training)
            episodes = self._note(reports, calls)
            self._puller.look(counters.updates * training.config.replay.batch_size)
            beta = beta_at(training.config, counters.steps, counters.seconds)
            updates = learner.learn(beta) if self._updates_left(training) else learner.rest()
            stored = sum(self._puller.num_added)
            if base is None:  # files that were lost begin at 0 again
                base = max(counters.steps - stored, 0) if all(self._puller.looks) else None
            is_filled = not base or stored >= training.config.replay.first_update_steps
            # Till there are enough rows again, the shards wait as they do before the first update.
            self._puller.num_lost = base if base and is_filled else 0
            counters.steps = max(counters.steps, stored + (base or 0))
            loop.count_episodes(counters, episodes)
            self._refresh(calls, counters.seconds)
            progress = _progress(training, before, beta, episodes, updates, is_over())
            if updates or episodes or progress.is_checkpoint or progress.is_last:
                yield progress
            if progress.is_last:
                return

    def _updates_left(self, training: Training) -> int:
        """Those that one process makes in all its steps, less those made."""
        replay, steps = training.config.replay, training.config.budget.steps
        first, period = replay.first_update_steps, replay.learn_period_steps
        due = max(steps // period - first // period + 1, 0) * replay.num_updates
        return max(due - training.counters.updates, 0)

    def _note(self, reports: list[tuple[int, Report]], calls: ActorCalls) -> tuple[Episode, ...]:
        totals = self.totals
        for actor, report in reports:
            totals.actor_seconds += report.seconds
            totals.actor_wait_seconds += report.wait_seconds
            totals.actor_processes[actor] = report.process
            if report.num_rows:
                self._acting[actor] = report.scalars
        totals.actor_failures, totals.policies = calls.num_failures, calls.version + 1
        return tuple(episode for _, report in reports for episode in report.episodes)

    def scalars(self) -> dict[str, float | None]:
        """Means over the actors, of what each said last."""
        means: dict[str, float | None] = {}
        for name in self._scalars_of_acting:
            values = [scalars[name] for scalars in self._acting.values()]
            known = [value for value in values if value is not None]
            means[name] = sum(known) / len(known) if known else None
        return means

    def _refresh(self, calls: ActorCalls, seconds: float) -> None:
        self.totals.seconds, self.totals.shard_failures = seconds, self._puller.num_failures
        looks = [(s, look) for s, look in enumerate(self._puller.looks) if look is not None]
        self.totals.shard_processes = {s: look.process for s, look in looks}
        self.totals.shards = [look.counts._asdict() for _, look in looks]


def _progress(
    training: Training,
    before: int,
    beta: float,
    episodes: tuple[Episode, ...],
    updates: tuple[Update, ...],
    is_last: bool,
) -> Progress:
    budget, counters = training.config.budget, training.counters
    is_checkpoint = is_last or loop.periods(before, counters.steps, budget.checkpoint_period_steps) > 0
    counters.checkpoints += is_checkpoint
    if is_checkpoint or loop.periods(before, counters.steps, budget.log_period_steps) > 0:
        loop.check_finite(training)
    frames = counters.steps * training.environment.frames_per_step
    return Progress(counters.steps, frames, counters.seconds, beta, episodes, updates, is_checkpoint, is_last)


class _Learner:
    """Updates from batches as they come."""

    def __init__(self, training: Training, puller: Puller, totals: Totals) -> None:
        self._training, self._puller, self._totals = training, puller, totals
        self._batch_size = training.config.replay.batch_size
        self._began: float | None = None

    def learn(self, beta: float) -> tuple[Update, ...]:
        """One update, where a batch comes within a moment."""
        counters, totals = self._training.counters, self._totals
        asked_at = time.monotonic()
        self._puller.ask(counters.updates * self._batch_size)
        found = self._puller.take(0.02)
        now = time.monotonic()
        if self._began is not None:
            totals.wait_seconds += now - asked_at
            totals.learn_seconds = now - self._began
        if found is None:
            return ()
        if self._began is None:
            self._began = now
        self._puller.ask((counters.updates + 1) * self._batch_size)  # the next is drawn beside the update
        update = self._update(*found, beta)
        counters.updates += 1
        totals.updates += 1
        totals.rows_sampled += self._batch_size
        self._training.metrics = update.metrics
        return (update,)

    def rest(self) -> tuple[Update, ...]:
        """All updates are made; the last rows are still to come."""
        time.sleep(0.01)
        return ()

    def _update(self, shard: int, pulled: Pulled, beta: float) -> Update:
        training, batch = self._training, pulled.batch
        weight = batch.weight
        if training.config.replay.prioritized:
            weight = self._puller.shares.weights(shard, batch.probability, beta)
        moved: Any = _on_device((*batch[:6], weight), training.config.hardware.device)
        placed = Batch._make((*moved, *batch[7:]))
        with training.pace:
            update = training.agent.learn(placed)
        if training.config.replay.prioritized and update.priorities is not None:
            priorities = update.priorities
            priorities = priorities.cpu().numpy() if hasattr(priorities, "cpu") else np.asarray(priorities)
            if not np.isfinite(priorities).all():
                raise loop.diverged(training, "loss", math.nan)
            self._puller.send(shard, pulled.incarnation, batch.key, priorities)
        return update


def _on_device(value: Any, device: str) -> Any:
    """Arrays, or dicts and tuples of them, as tensors; on the CPU they share the memory that the batch lies in, which may be read-only."""
    import torch

    def moved(array: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.from_numpy(array)
        return tensor if device == "cpu" else tensor.to(device)

    return map_arrays(moved, value)
