"""Batches that a shard draws into memory of the learner's."""

from __future__ import annotations

import gc
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mujigae
from mujigae.distributed import shared_batches
from mujigae.distributed.puller import MAX_BATCHES, MAX_IN_FLIGHT, NUM_IN_USE, Puller
from mujigae.distributed.shard_server import ShardPlan, ShardServer
from mujigae.distributed.shared_batches import Place, PlaceOpener, SharedBatches
from tests.distributed.calls import FakeCalls, Server

if not hasattr(os, "memfd_create"):
    pytest.skip("the system has no memory without a name", allow_module_level=True)

OBS = {"image": ((2, 3, 5), np.uint8), "speed": ((), np.float32)}
FIELDS = ("action", "reward", "discount", "terminated", "weight", "key", "probability")


def filled(seed: int = 0) -> mujigae.PrioritizedReplayBuffer:
    """Rows of a dict of observations, with an extra."""
    options: dict[str, Any] = {
        "n_step": 2,
        "frame_stack": {"image": 2},
        "extras": {"cost": ((3,), np.float32)},
    }
    buffer = mujigae.PrioritizedReplayBuffer(100, OBS, ((), np.int64), seed=seed, **options)
    rng = np.random.default_rng(1)
    image = np.zeros((2, 3, 5), np.uint8)
    for t in range(120):
        newest = rng.integers(0, 255, (1, 3, 5), dtype=np.uint8)
        following = np.concatenate([image[1:], newest])
        obs, after = ({"image": one, "speed": np.float32(s)} for one, s in ((image, t), (following, t + 1)))
        cost = np.full(3, t, np.float32)
        buffer.add(obs, t % 4, float(t), after, False, t % 30 == 29, extras={"cost": cost})
        image = following if t % 30 != 29 else np.zeros_like(image)
    return buffer


def assert_equal(batch: Any, other: Any) -> None:
    for name in FIELDS:
        assert np.array_equal(getattr(batch, name), getattr(other, name)), name
    for part in ("obs", "next_obs"):
        for name in OBS:
            assert np.array_equal(getattr(batch, part)[name], getattr(other, part)[name]), (part, name)
    assert np.array_equal(batch.extras["cost"], other.extras["cost"])


def draw_into(place: Place, seed: int, answers: Any) -> None:
    out = PlaceOpener().batch(place)
    assert out is not None
    filled(seed).sample(8, out=out)
    answers.put("drawn")


def shared(count: int = 3) -> SharedBatches:
    made = SharedBatches.like(filled().sample(8), count)
    assert made is not None
    return made


def test_batch_that_another_process_draws_is_read_where_it_lies() -> None:
    memory, context = shared(), multiprocessing.get_context("spawn")
    answers = context.Queue()
    for seed in (3, 4):
        place = memory.take()
        assert place is not None
        process = context.Process(target=draw_into, args=(place, seed, answers))
        process.start()
        assert answers.get(timeout=60) == "drawn"
        process.join(60)
        assert_equal(memory.batch(place), filled(seed).sample(8))


def test_place_is_free_again_when_the_last_array_of_its_batch_is_gone() -> None:
    memory = shared(count=2)
    first, second = memory.take(), memory.take()
    assert first is not None
    assert second is not None
    assert memory.take() is None
    batch = memory.batch(first)
    view = batch.next_obs["image"][2:4, 0]
    del batch
    gc.collect()
    assert memory.take() is None  # the view is of it
    del view
    gc.collect()
    again = memory.take()
    assert again is not None
    assert again.number == first.number
    memory.give_back(second)
    assert memory.take() == second


def test_arrays_outlive_the_memory_object_and_its_descriptor() -> None:
    memory = shared()
    place = memory.take()
    assert place is not None
    opener = PlaceOpener()
    filled(5).sample(8, out=opener.batch(place))
    batch = memory.batch(place)
    del memory
    gc.collect()
    assert not os.path.exists(f"/proc/{place.memory.process}/fd/{place.memory.descriptor}")
    assert_equal(batch, filled(5).sample(8))


@pytest.mark.parametrize("other", [{"process": 2**22 + 1}, {"name": "mujigae-of-another"}, {"descriptor": 0}])
def test_memory_of_another_machine_is_not_opened(other: dict[str, Any]) -> None:
    """Its numbers may be those of another file here."""
    memory = shared()
    place = memory.take()
    assert place is not None
    assert PlaceOpener().batch(place._replace(memory=place.memory._replace(**other))) is None


@pytest.mark.parametrize("lacking", ["memfd_create", "posix_fallocate"])
def test_system_without_such_memory_has_none(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, lacking, fails)
    num_open = len(os.listdir("/proc/self/fd"))
    assert SharedBatches.like(filled().sample(8), 3) is None
    assert len(os.listdir("/proc/self/fd")) == num_open


class Pulls:
    """A puller of one shard in this process, and what it took."""

    def __init__(self, tmp_path: Path) -> None:
        spec = filled()._spec
        plan = ShardPlan(str(tmp_path / "shard"), spec, 0, 1e9, 1, 1e9)
        self.handle = Server(lambda: ShardServer(plan))
        rows = filled()
        for episode in rows.episodes():
            num_rows = len(episode.action)
            for t in range(num_rows):
                obs, after = ({name: part[t + k] for name, part in episode.obs.items()} for k in (0, 1))
                step = obs, episode.action[t], episode.reward[t], after, False, t == num_rows - 1
                self.handle.server.shard.buffer.add(*step, extras={"cost": np.zeros(3, np.float32)})
        self.puller = Puller(FakeCalls(), [self.handle], 8, seed=0)
        self.puller.shares.known = [self.handle.server.shard.share()]

    def take(self) -> Any:
        while True:
            self.puller.ask(0)
            found = self.puller.take(0.1)
            if found is not None:
                return found[1].batch

    def lies_in_shared_memory(self, batch: Any) -> bool:
        base = batch.reward
        while isinstance(base, np.ndarray):
            base = base.base
        return isinstance(base, shared_batches._Held)


def test_learner_that_holds_more_batches_than_there_is_room_for_gets_others_all_the_same(
    tmp_path: Path,
) -> None:
    pulls = Pulls(tmp_path)
    batches = [pulls.take() for _ in range(300)]
    kept = [(batch.key.copy(), batch.reward.copy()) for batch in batches]
    where = [pulls.lies_in_shared_memory(batch) for batch in batches]
    assert sum(where) == MAX_IN_FLIGHT * MAX_BATCHES + NUM_IN_USE
    for batch, (key, reward) in zip(batches, kept, strict=True):
        assert np.array_equal(batch.key, key)
        assert np.array_equal(batch.reward, reward)


def test_learner_that_lets_go_of_its_batches_gets_nearly_all_in_shared_memory(tmp_path: Path) -> None:
    pulls = Pulls(tmp_path)
    where = [pulls.lies_in_shared_memory(pulls.take()) for _ in range(30)]
    assert not where[0]  # it tells how large a batch is
    assert where.count(False) <= MAX_IN_FLIGHT


def test_shard_of_another_machine_sends_its_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_batches, "opened", lambda where: None)
    pulls = Pulls(tmp_path)
    assert not any(pulls.lies_in_shared_memory(pulls.take()) for _ in range(10))


def test_shard_that_died_draws_into_new_memory(tmp_path: Path) -> None:
    """What it was drawing into before is left alone: it may only have been late."""
    pulls = Pulls(tmp_path)
    for _ in range(5):
        pulls.take()
    memory = pulls.puller._memories[0]
    pulls.handle.server.flush()
    pulls.handle.server.close()
    pulls.handle.dies = iter(["before", *[""] * 1000]).__next__
    batches = [pulls.take() for _ in range(3)]
    del batches
    for _ in range(8):
        last = pulls.take()
    assert pulls.lies_in_shared_memory(last)
    assert pulls.puller._memories[0] is not memory
