"""Several shards are one buffer: the same chances, the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rows

from mujigae.distributed.ledger import Standing
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Shard, Share
from mujigae.distributed.shares import Shares, weights_of

NUM_STEPS, BETA = 60, 0.7


def priorities_of(actions: Any, lane: int) -> Any:
    return (actions % 11 + 0.1) * (1 + 9 * lane)  # the shards hold very different shares


@pytest.fixture
def one_and_two(tmp_path: Path) -> tuple[Any, list[Shard]]:
    """A buffer of two lanes, and two shards of one lane each with the same rows and priorities."""
    whole = rows.make_buffer(None, alpha=0.6)
    shards = [
        Shard.open(tmp_path / str(e), lambda path: rows.make_buffer(path, num_envs=1, alpha=0.6))
        for e in range(2)
    ]
    for row in range(NUM_STEPS):
        whole.add(*rows.step_of(row)[1:7])
        for lane, shard in enumerate(shards):
            step = rows.step_of(row, lanes=(lane,))._replace(env_ids=np.array([0]))
            sender = Sender(0, 1, shard.standing(0) if row else Standing())
            sender.put(rows.encode([step], whole._spec.obs))
            rows.send_all(sender, shard)
    for episode in whole.episodes():
        whole.update_priorities(episode.key, priorities_of(episode.action, episode.env_id))
    for lane, shard in enumerate(shards):
        for episode in shard.buffer.episodes():
            shard.update(shard.incarnation, episode.key, priorities_of(episode.action, lane))
    return whole, shards


def keys(buffer: Any, lane: int) -> Any:
    return np.concatenate([episode.key for episode in buffer.episodes() if episode.env_id == lane])


def test_chances_over_all_shards_are_those_of_one_buffer(one_and_two: tuple[Any, list[Shard]]) -> None:
    whole, shards = one_and_two
    shares = Shares(2)
    shares.known = [shard.share() for shard in shards]
    for lane, shard in enumerate(shards):
        expected = whole.gather(keys(whole, lane)).probability
        within = shard.buffer.gather(keys(shard.buffer, 0)).probability
        np.testing.assert_allclose(shares.probability(lane, within), expected, rtol=1e-12)


def test_weights_of_rows_of_all_shards_are_those_of_one_buffer(one_and_two: tuple[Any, list[Shard]]) -> None:
    whole, shards = one_and_two
    shares = Shares(2)
    shares.known = [shard.share() for shard in shards]
    expected = whole.gather(np.concatenate([keys(whole, 0), keys(whole, 1)]), beta=BETA).weight
    within = [shard.buffer.gather(keys(shard.buffer, 0)).probability for shard in shards]
    probability = np.concatenate([shares.probability(lane, part) for lane, part in enumerate(within)])
    np.testing.assert_allclose(weights_of(probability, BETA), expected, rtol=2e-7)
    for lane in (0, 1):  # in batches of one shard each: scaled as they would be together
        shares.weights(lane, within[lane], BETA)
    apart = np.concatenate([shares.weights(lane, within[lane], BETA) for lane in (0, 1)])
    np.testing.assert_allclose(apart, expected, rtol=2e-7)


def test_weights_of_a_single_shard_are_the_engines_bit_for_bit(one_and_two: tuple[Any, list[Shard]]) -> None:
    whole, _ = one_and_two
    batch = whole.sample(64, beta=BETA)
    shares = Shares(1)
    shares.known = [Share(2 * NUM_STEPS, 12.5)]
    assert np.array_equal(shares.weights(0, batch.probability, BETA), batch.weight)


def test_shards_are_chosen_by_the_priorities_that_they_hold() -> None:
    shares = Shares(3)
    shares.known = [Share(10, 1.0), Share(10, 6.0), Share(10, 3.0)]
    rng = np.random.default_rng(0)
    counts = np.bincount([shares.choose(rng) for _ in range(10_000)], minlength=3) / 10_000
    np.testing.assert_allclose(counts, [0.1, 0.6, 0.3], atol=0.02)


def test_the_total_of_a_shard_comes_out_of_any_of_its_rows(one_and_two: tuple[Any, list[Shard]]) -> None:
    _, shards = one_and_two
    for lane, shard in enumerate(shards):
        total = ((priorities_of(np.arange(NUM_STEPS), lane) + 1e-6) ** 0.6).sum()
        for _ in range(10):
            assert shard.share().total == pytest.approx(total, rel=1e-9)


def test_an_empty_shard_holds_nothing(tmp_path: Path) -> None:
    assert Shard.open(tmp_path / "empty", rows.make_buffer).share() == Share(0, 0.0)
