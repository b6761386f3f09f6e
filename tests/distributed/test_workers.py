"""The learner's loop with processes that die all the time, all of them in this one: no row is lost, every count is right."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calls import FakeCalls, Server

import mujigae
from bench.distributed.numbered import faults_in
from mujigae.agents.presets import resolve
from mujigae.distributed import actor_calls
from mujigae.distributed.actor_server import ActorServer
from mujigae.distributed.carriers import Carrier
from mujigae.distributed.collector import spread
from mujigae.distributed.plan import Plan
from mujigae.distributed.puller import Puller
from mujigae.distributed.shard_server import ShardServer
from mujigae.distributed.workers import ClusterWorkers
from mujigae.errors import MujigaeError
from mujigae.runs.log import Window, make_row

STEPS = 1200
VALUES = {
    **{"num_envs": 2, "prioritized": True, "capacity": 100_000, "min_replay_steps": 200, "steps": STEPS},
    **{
        "learn_period_steps": 4,
        "batch_size": 16,
        "checkpoint_period_steps": 500,
        "log_period_steps": 500,
        "num_updates": 1,
    },
}


class Killed:
    """Makes a shard again from what a kill would have left of its files."""

    def __init__(self, plan: Any) -> None:
        self.plan, self.number, self.shard = plan, 0, None

    def __call__(self) -> Any:
        if self.shard is not None:
            path = Path(self.plan.path)
            self.number += 1
            left = path.with_name(f"{path.name.partition('-of-')[0]}-of-{self.number}")
            for end in ("", ".ledger"):
                shutil.copyfile(f"{path}{end}", f"{left}{end}")
            self.plan = self.plan._replace(path=str(left))
        self.shard = ShardServer(self.plan)
        return self.shard


class Processes:
    """What `Cluster` is, of handles that die now and then."""

    def __init__(
        self,
        calls: FakeCalls,
        plan: Plan,
        folder: Path,
        dies: Callable[[str], Callable[[], str]],
        flush_rows: int,
    ) -> None:
        plans = [each._replace(flush_rows=flush_rows) for each in plan.shards(folder)]
        self.shards = [Server(Killed(each), dies("shard")) for each in plans]
        self.actors = [
            Server(lambda each=each: self._actor(calls, each), dies("actor")) for each in plan.actors()
        ]

    def _actor(self, calls: FakeCalls, plan: Any) -> ActorServer:
        return ActorServer(plan, self.shards[plan.actor % len(self.shards)], calls)

    def close(self) -> None:
        for handle in self.shards:
            handle.server.close()


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    num_shards: int,
    dies: Callable[[str], Callable[[], str]],
    flush_rows: int = 100,
    preset: str = "bench.distributed.numbered:Checker",
    env_id: str = "bench.distributed.numbered:Numbered-v0",
    counts: tuple[int, int] = (0, 0),
) -> tuple[Any, Any, Processes, list[Any]]:
    calls = FakeCalls()
    monkeypatch.setattr(actor_calls, "WORK_SECONDS", 0.01)
    monkeypatch.setattr("mujigae.distributed.puller.LOOK_PERIOD_SECONDS", 0.01)
    group = ClusterWorkers(2, num_shards, Carrier())
    training = group.build(resolve(preset, env_id, VALUES))
    group._processes = calls  # type: ignore[assignment]
    group._cluster = Processes(calls, group._plan, folder, dies, flush_rows)  # type: ignore[assignment]
    group._puller = Puller(calls, group._cluster.shards, 16, seed=0)
    group._replay.puller = group._puller
    training.counters.steps, training.counters.updates = counts
    give_up_at = time.monotonic() + 60.0
    progress = [*group.run(training, lambda: time.monotonic() > give_up_at)]
    assert time.monotonic() < give_up_at, "expected the run to end by itself"
    return group, training, group._cluster, progress  # type: ignore[return-value]


def never(kind: str) -> Callable[[], str]:
    return lambda: ""


@pytest.mark.parametrize("num_shards", [1, 2])
def test_updates_steps_and_checkpoints_are_those_of_one_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, num_shards: int
) -> None:
    group, training, _, progress = run(monkeypatch, tmp_path, num_shards, never)
    assert training.counters.updates == STEPS // 4 - 200 // 4 + 1
    assert STEPS <= training.counters.steps <= STEPS + group._plan.slack
    assert training.counters.checkpoints == sum(each.is_checkpoint for each in progress) == 3
    assert sum(len(each.updates) for each in progress) == training.counters.updates
    assert training.counters.episodes == sum(len(each.episodes) for each in progress) > 50
    assert {episode.env_id for each in progress for episode in each.episodes} == {0, 1, 2, 3}
    assert group.totals.rows_sampled == 16 * training.counters.updates


def test_samples_per_insert_are_kept_all_the_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    group, _, _, progress = run(monkeypatch, tmp_path, 1, never)
    updates = 0
    for each in progress:
        updates += len(each.updates)
        lead = (each.step - 200) * group._plan.samples_per_insert - 16 * updates
        assert abs(lead) <= group._plan.slack + 64 * 4 * group._plan.samples_per_insert


@pytest.mark.parametrize(("num_shards", "seed"), [(1, 1), (2, 2), (2, 13)])
def test_no_death_loses_a_row_stores_one_twice_or_gives_one_anothers_priority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, num_shards: int, seed: int
) -> None:
    def dies(kind: str) -> Callable[[], str]:
        rng = random.Random(f"{kind} {seed}")
        chance = 0.02
        return lambda: rng.choice(["before", "after"]) if rng.random() < chance else ""

    monkeypatch.setattr("mujigae.distributed.workers.time.sleep", lambda seconds: None)
    _, training, processes, _ = run(monkeypatch, tmp_path, num_shards, dies)
    assert training.counters.updates == STEPS // 4 - 200 // 4 + 1
    assert sum(handle.num_deaths for handle in processes.shards) > 0
    for handle in processes.shards:
        faults = faults_in(handle.server.shard.buffer)
        assert (faults["missing"], faults["twice"], faults["wrong_priorities"]) == (0, 0, 0)
        assert faults["rows"] > 200
        assert isinstance(handle.server.shard.buffer, mujigae.PrioritizedReplayBuffer)
    processes.close()


def test_rows_lost_with_a_shard_once_all_steps_are_stored_are_sent_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    servers: list[ShardServer] = []
    calls: list[int] = []

    class Watched(ShardServer):
        def __init__(self, plan: Any) -> None:
            super().__init__(plan)
            servers.append(self)

    def dies_once_complete() -> str:
        """Some calls later, when the learner has seen that all steps are stored."""
        if not servers or servers[0].shard.num_added < STEPS:
            return ""
        calls.append(len(calls))
        return "before" if len(calls) == 5 else ""

    def dies(kind: str) -> Callable[[], str]:
        return dies_once_complete if kind == "shard" else lambda: ""

    monkeypatch.setitem(globals(), "ShardServer", Watched)
    _, training, processes, _ = run(monkeypatch, tmp_path, 1, dies, flush_rows=10**6)
    assert len(servers) == 2
    assert training.counters.updates == STEPS // 4 - 200 // 4 + 1
    assert faults_in(processes.shards[0].server.shard.buffer)["missing"] == 0
    processes.close()


@pytest.mark.parametrize("num_steps", [400, 1_100])
@pytest.mark.parametrize("num_shards", [1, 2])
def test_resumed_run_whose_files_are_gone_makes_the_updates_that_are_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, num_shards: int, num_steps: int
) -> None:
    """Rows that went with their files were added and sampled; as many as a first update needs come before the next one."""
    _, training, processes, progress = run(
        monkeypatch, tmp_path, num_shards, never, counts=(num_steps, (num_steps - 200) // 4)
    )
    assert training.counters.updates == STEPS // 4 - 200 // 4 + 1
    first = next(each for each in progress if each.updates)
    assert (
        first.step >= num_steps + 200 - 50
    )  # some rows are there before anybody sees that the others are gone
    processes.close()


def test_actor_that_dies_again_and_again_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def dies(kind: str) -> Callable[[], str]:
        return lambda: "before" if kind == "actor" else ""

    with pytest.raises(MujigaeError, match=r"actor [01]: its process dies again and again"):
        run(monkeypatch, tmp_path, 1, dies)


def test_the_log_has_the_exploration_of_the_actors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, training, processes, progress = run(
        monkeypatch, tmp_path, 2, never, preset="dqn", env_id="CartPole-v1"
    )
    row = make_row(training, progress[-1], Window(0, 0.0))
    assert row["epsilon"] == pytest.approx(float(np.mean(spread(4))))
    assert row["learning_rate"] == training.agent.scalars()["learning_rate"]
    processes.close()


def test_before_anybody_has_acted_the_log_says_nothing_of_exploration() -> None:
    group = ClusterWorkers(2, 1, Carrier())
    training = group.build(resolve("dqn", "CartPole-v1", {"num_envs": 2}))
    assert training.scalars()["epsilon"] is None
    assert set(training.scalars()) == set(training.agent.scalars())
