"""Which calls the learner's side of the shards makes, and what becomes of their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from calls import FakeCalls, Server

import mujigae
from mujigae.distributed.puller import MAX_BATCHES, MAX_IN_FLIGHT, Puller
from mujigae.distributed.shard import Elsewhere, Pulled, Share

BATCH_SIZE = 4


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mujigae.distributed.puller.REST_SECONDS", 0.0)


def batch_of_rows() -> mujigae.Batch:
    buffer = mujigae.ReplayBuffer(10, ((3,), np.float32), ((), np.int64))
    for t in range(10):
        buffer.add(np.zeros(3, np.float32), t, float(t), np.zeros(3, np.float32), False, False)
    return buffer.sample(BATCH_SIZE)


class Shard:
    """Hands out as many batches as `allows` says at each call, and notes what it was asked."""

    def __init__(self, total: float = 1.0, allows: Callable[[], int] = lambda: 100) -> None:
        self.share, self.allows, self.batch = Share(10, total), allows, batch_of_rows()
        self.asked: list[int] = []
        self.handed_out = 0
        self.heard: list[int] = []

    def pull(self, batch_size: int, elsewhere: Elsewhere, places: tuple[Any, ...]) -> tuple[Pulled, ...]:
        self.asked.append(len(places))
        self.heard.append(elsewhere.num_sampled)
        count = min(len(places), self.allows())
        self.handed_out += count
        return tuple(Pulled(self.batch, 1, self.share, 10) for _ in range(count))


def taken(shards: list[Shard], count: int) -> tuple[Puller, Counter[int]]:
    """What a learner took: how many batches of each shard."""
    puller = Puller(FakeCalls(), [Server(lambda shard=shard: shard) for shard in shards], BATCH_SIZE, seed=0)
    puller.shares.known = [shard.share for shard in shards]
    found: Counter[int] = Counter()
    while found.total() < count:
        puller.ask(found.total() * BATCH_SIZE)
        one = puller.take(0.1)
        if one is not None:
            found[one[0]] += 1
    return puller, found


def test_call_brings_several_batches_once_their_size_is_known() -> None:
    shard = Shard()
    taken([shard], 200)
    assert shard.asked[0] == 1
    assert len(shard.asked) <= 200 / MAX_BATCHES + 5
    assert max(shard.asked) == MAX_BATCHES


def test_large_batches_come_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mujigae.distributed.puller.MAX_CALL_BYTES", 1)
    shard = Shard()
    taken([shard], 50)
    assert set(shard.asked) == {1}


@pytest.mark.parametrize(("num_shards", "most"), [(1, 8), (3, 2), (8, 1), (20, 1)])
def test_shards_share_what_is_drawn_ahead(num_shards: int, most: int) -> None:
    shards = [Shard() for _ in range(num_shards)]
    taken(shards, 50 * num_shards)
    assert max(count for shard in shards for count in shard.asked) == most


def test_no_more_is_drawn_ahead_than_two_calls_bring() -> None:
    shard = Shard()
    taken([shard], 101)
    assert 101 <= shard.handed_out <= 101 + MAX_IN_FLIGHT * MAX_BATCHES


def test_shard_that_makes_some_batches_wait_is_asked_for_them_again() -> None:
    rng = np.random.default_rng(0)
    shards = [Shard(allows=lambda: int(rng.integers(3))), Shard()]
    puller, found = taken(shards, 2000)
    assert found.total() == 2000
    assert abs(found[0] - 1000) < 120  # five standard deviations: they are not lost
    assert puller.num_failures == 0


@pytest.mark.parametrize("totals", [(3.0, 1.0), (1.0, 1.0, 6.0)])
def test_shards_are_drawn_by_what_they_hold(totals: tuple[float, ...]) -> None:
    shards = [Shard(total) for total in totals]
    count = 4000
    _, found = taken(shards, count)
    for s, total in enumerate(totals):
        chance = total / sum(totals)
        assert abs(found[s] - count * chance) < 5 * (count * chance * (1 - chance)) ** 0.5


def test_shard_hears_of_every_batch_that_was_asked_for() -> None:
    """The limiter counts what the learner got, what lies ready, and what is on its way."""
    shard = Shard()
    taken([shard], 100)
    first_to_last = np.argsort(shard.heard)
    asked, heard = np.array(shard.asked)[first_to_last], np.array(shard.heard)[first_to_last]
    made = len(heard) - MAX_IN_FLIGHT  # the last ones may be under way still, in any order
    assert np.array_equal(heard[1:made], (heard + asked * BATCH_SIZE)[: made - 1])
