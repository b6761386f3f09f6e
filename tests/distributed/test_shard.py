"""A shard stores each chunk once and in order, also after it was killed, and waits for nobody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rows

import mujigae
from mujigae.distributed.ledger import Standing
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Elsewhere, Shard


def open_shard(path: Path, **options: Any) -> Shard:
    return Shard.open(path, rows.make_buffer, **options)


def killed(path: Path, shard: Shard) -> Path:
    """What a kill leaves of a shard: copies of its files, in a new folder."""
    folder = path.parent / f"killed-{shard.incarnation}"
    folder.mkdir()
    for name in (path.name, f"{path.name}.ledger"):
        shutil.copyfile(path.parent / name, folder / name)
    return folder / path.name


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    return open_shard(tmp_path / "shard")


@pytest.fixture
def sender() -> Sender:
    return Sender(0, 1, Standing())


def numbers(num_steps: int) -> list[list[int]]:
    return [list(range(num_steps))] * rows.NUM_LANES


def test_a_repeated_chunk_is_stored_once(shard: Shard, sender: Sender) -> None:
    sender.put(rows.rows_of(0, 4))
    chunk = sender.next()
    assert chunk is not None
    assert [shard.add(chunk).status for _ in range(3)] == ["stored", "repeated", "repeated"]
    assert rows.stored(shard.buffer) == numbers(4)
    assert shard.counts().chunks_repeated == 2


def test_a_chunk_that_comes_before_its_predecessor_is_sent_again(shard: Shard, sender: Sender) -> None:
    sender.put(rows.rows_of(0, 4))
    sender.put(rows.rows_of(4, 4))
    first, second = sender.next(), sender.next()
    assert first is not None
    assert second is not None
    late = shard.add(second)
    assert late.status == "missing"
    sender.answered(second.sequence, late)
    sender.answered(first.sequence, shard.add(first))
    rows.send_all(sender, shard)
    assert rows.stored(shard.buffer) == numbers(8)


def test_chunks_that_were_not_flushed_are_sent_again_and_others_are_not(
    tmp_path: Path, shard: Shard, sender: Sender
) -> None:
    for first in (0, 4):
        sender.put(rows.rows_of(first, 4))
        rows.send_all(sender, shard)
    shard.flush()
    for first in (8, 12):
        sender.put(rows.rows_of(first, 4))
        rows.send_all(sender, shard)
    again = open_shard(killed(tmp_path / "shard", shard))
    assert rows.stored(again.buffer) == numbers(8)
    assert again.incarnation > shard.incarnation
    sender.put(rows.rows_of(16, 4))
    rows.send_all(sender, again)
    assert rows.stored(again.buffer) == numbers(20)
    assert again.counts().rows_lost == 0


def test_rows_that_nobody_can_send_again_are_counted_and_join_no_episode(
    tmp_path: Path, shard: Shard
) -> None:
    sender = Sender(0, 1, Standing(), max_kept=1)
    for first in (0, 5, 10):
        sender.put(rows.rows_of(first, 5))
        rows.send_all(sender, shard)
    again = open_shard(killed(tmp_path / "shard", shard))  # nothing was flushed
    sender.put(rows.rows_of(15, 5))
    rows.send_all(sender, again)
    held = rows.stored(again.buffer)
    assert again.counts().rows_lost == rows.NUM_LANES * held[0][0]
    assert held == [list(range(held[0][0], 20))] * rows.NUM_LANES


@pytest.mark.parametrize("moment", ["between", "after"])
def test_a_kill_inside_of_a_flush_leaves_ledger_and_rows_of_one_moment(
    tmp_path: Path, shard: Shard, sender: Sender, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shard"
    sender.put(rows.rows_of(0, 4))
    rows.send_all(sender, shard)
    shard.flush()
    sender.put(rows.rows_of(4, 4))
    rows.send_all(sender, shard)
    left: list[Path] = []
    confirm = type(shard._ledger).confirm

    def stop(ledger: Any, record: Any) -> None:
        left.append(killed(path, shard))
        confirm(ledger, record)

    if moment == "after":  # the buffer is flushed, nobody knows yet
        monkeypatch.setattr(type(shard._ledger), "confirm", stop)
        shard.flush()
        monkeypatch.undo()
    else:  # the ledger is written, the buffer is not flushed
        shard._ledger.announce(type(shard._ledger.flushed)(shard.num_added, dict(shard._actors)))
        left.append(killed(path, shard))
    again = open_shard(left[0])
    sender.put(rows.rows_of(8, 4))
    rows.send_all(sender, again)
    assert rows.stored(again.buffer) == numbers(12)


def test_a_ledger_of_other_rows_is_refused(tmp_path: Path, shard: Shard, sender: Sender) -> None:
    path = tmp_path / "shard"
    early = tmp_path / "early"
    shutil.copyfile(f"{path}.ledger", early)
    for first in (0, 4):
        sender.put(rows.rows_of(first, 4))
        rows.send_all(sender, shard)
        shard.flush()
    shard.close()
    shutil.copyfile(early, f"{path}.ledger")
    with pytest.raises(mujigae.CheckpointError, match="expected the record of 16 added rows, got those of 0"):
        open_shard(path)


def test_a_shard_that_goes_is_flushed(tmp_path: Path, sender: Sender) -> None:
    shard = open_shard(tmp_path / "shard")
    sender.put(rows.rows_of(0, 4))
    rows.send_all(sender, shard)
    del shard
    again = open_shard(tmp_path / "shard")
    assert rows.stored(again.buffer) == numbers(4)
    assert again.standing(0) == Standing(1, 1, 4 * rows.NUM_LANES)


def test_a_flush_follows_so_many_rows_or_so_many_seconds(tmp_path: Path) -> None:
    by_rows = open_shard(tmp_path / "rows", flush_rows=16, flush_seconds=1e9)
    by_time = open_shard(tmp_path / "time", flush_rows=10**9, flush_seconds=0.0)
    for shard, expected in ((by_rows, [0, 2, 2, 4]), (by_time, [1, 2, 3, 4])):
        sender = Sender(0, 1, Standing())
        flushed = []
        for first in range(0, 16, 4):
            sender.put(rows.rows_of(first, 4))
            chunk = sender.next()
            assert chunk is not None
            answer = shard.add(chunk)
            sender.answered(chunk.sequence, answer)
            flushed.append(answer.flushed)
        assert flushed == expected


def test_a_new_process_of_an_actor_goes_on_and_the_old_one_is_refused(shard: Shard, sender: Sender) -> None:
    sender.put(rows.rows_of(0, 4))
    rows.send_all(sender, shard)
    sender.put(rows.rows_of(4, 3))
    late = sender.next()
    assert late is not None
    second = Sender(0, 2, shard.standing(0))
    second.put(rows.rows_of(7, 4))
    rows.send_all(second, shard)
    assert shard.add(late).status == "outdated"
    assert rows.stored(shard.buffer) == [[*range(4), *range(7, 11)]] * rows.NUM_LANES
    closed = [episode.is_open for episode in shard.buffer.episodes() if 3 in episode.action]
    assert closed == [False, False]
    with pytest.raises(mujigae.MujigaeError, match="actor 0: another process has taken its place"):
        sender.answered(late.sequence, shard.add(late))


@pytest.mark.parametrize("after", ["a new process", "lost rows"])
def test_only_the_lanes_of_the_actor_end_their_episodes(shard: Shard, after: str) -> None:
    layout = shard.buffer._spec.obs

    def send(sender: Sender, row: int) -> None:
        sender.put(rows.encode([rows.step_of(row, lanes=sender._lanes or ())], layout))
        rows.send_all(sender, shard)

    first, other = (Sender(actor, 1, Standing(), lanes=(actor,)) for actor in range(2))
    for row in range(3):
        for sender in (first, other):
            send(sender, row)
    if after == "a new process":
        send(Sender(0, 2, shard.standing(0), lanes=(0,)), 3)
    else:
        first.put(rows.encode([rows.step_of(3, lanes=(0,))], layout))
        chunk = first.next()
        assert chunk is not None
        later = chunk.sequence + 1  # the one before it was given up
        assert shard.add(chunk._replace(sequence=later, oldest=later)).status == "stored"
    send(other, 3)
    lengths = [(episode.env_id, len(episode.action)) for episode in shard.buffer.episodes()]
    assert sorted(lengths) == [(0, 1), (0, 3), (1, 4)]


def test_actors_do_not_disturb_each_other(tmp_path: Path, shard: Shard) -> None:
    layout = shard.buffer._spec.obs
    senders = [Sender(actor, 1, Standing()) for actor in range(2)]
    for row in range(10):
        for actor, sender in enumerate(senders):
            sender.put(rows.encode([rows.step_of(row, lanes=(actor,))], layout))
            rows.send_all(sender, shard)
    assert rows.stored(shard.buffer) == numbers(10)


def test_the_limiter_answers_wait_on_either_side(tmp_path: Path, sender: Sender) -> None:
    limiter = mujigae.RateLimiter(samples_per_insert=2.0, min_rows=8, slack=32)
    shard = open_shard(tmp_path / "shard", limiter=limiter)
    assert shard.pull(16) is None
    for first in (0, 4, 8, 12):
        sender.put(rows.rows_of(first, 4))
        chunk = sender.next()
        assert chunk is not None
        answer = shard.add(chunk)
        assert sender.answered(chunk.sequence, answer) == (answer.status == "wait")
    assert answer.status == "wait"  # 24 rows make 32 samples too few
    pulled = [shard.pull(16, Elsewhere(num_sampled=16 * i)) for i in range(6)]
    assert [one is None for one in pulled] == [False] * 4 + [True] * 2
    assert shard.pull(16, Elsewhere(num_added=8, num_sampled=64)) is not None
    rows.send_all(sender, shard)
    assert rows.stored(shard.buffer) == numbers(16)


def test_a_draw_that_finds_no_row_does_not_count_as_samples(tmp_path: Path, sender: Sender) -> None:
    limiter = mujigae.RateLimiter(samples_per_insert=2.0, min_rows=2, slack=32)
    shard = Shard.open(tmp_path / "shard", lambda path: rows.make_buffer(path, n_step=4), limiter=limiter)
    sender.put(rows.rows_of(0, 2))
    rows.send_all(sender, shard)
    assert shard.pull(8) is None  # no window is complete
    assert limiter.state()["num_sampled"] == 0


def test_a_batch_that_does_not_fit_is_an_error_and_not_a_wait(shard: Shard, sender: Sender) -> None:
    sender.put(rows.rows_of(0, 12))
    rows.send_all(sender, shard)
    of_four, of_eight = (shard.buffer.sample(batch_size) for batch_size in (4, 8))
    with pytest.raises(ValueError, match="out"):
        shard.pull(8, out=of_four)
    assert shard.pull(8, out=of_eight) is not None


def test_a_killed_shard_takes_rows_again_once_it_hears_how_far_the_learner_is(
    tmp_path: Path, shard: Shard, sender: Sender
) -> None:
    sender.put(rows.rows_of(0, 24))
    rows.send_all(sender, shard)
    shard.flush()
    limiter = mujigae.RateLimiter(samples_per_insert=2.0, min_rows=8, slack=32)
    again = open_shard(killed(tmp_path / "shard", shard), limiter=limiter)
    sender.put(rows.rows_of(24, 4))
    chunk = sender.next()
    assert chunk is not None
    assert again.add(chunk).status == "wait"  # it knows of no batch
    again.hear(Elsewhere(num_sampled=64))
    assert again.add(chunk).status == "stored"


def test_priorities_of_another_incarnation_are_dropped_and_counted(shard: Shard, sender: Sender) -> None:
    sender.put(rows.rows_of(0, 8))
    rows.send_all(sender, shard)
    pulled = shard.pull(4)
    assert pulled is not None
    key = pulled.batch.key
    before = shard.buffer.priorities(key)
    assert shard.update(pulled.incarnation + 1, key, np.full(4, 99.0)) == 0
    assert np.array_equal(shard.buffer.priorities(key), before)
    assert shard.update(pulled.incarnation, key, np.full(4, 99.0)) == 4
    assert shard.counts().priorities_of_other_incarnations == 4


def test_first_priorities_are_those_of_the_chunk(shard: Shard, sender: Sender) -> None:
    sender.put(rows.rows_of(0, 10))
    rows.send_all(sender, shard)
    batch = shard.buffer.sample(64)
    assert np.array_equal(shard.buffer.priorities(batch.key), 1.0 + batch.action % 5)


def test_refused_rows_are_not_asked_for_again(shard: Shard, sender: Sender) -> None:
    good = rows.rows_of(0, 2)
    sender.put(good._replace(reward=np.full(4, np.nan)))
    bad = sender.next()
    assert bad is not None
    with pytest.raises(ValueError, match="reward"):
        shard.add(bad)
    sender.answered(bad.sequence, None)
    sender.put(good)
    rows.send_all(sender, shard)
    assert rows.stored(shard.buffer) == numbers(2)


def test_a_shard_whose_file_is_lost_takes_what_its_actors_still_have(tmp_path: Path, shard: Shard) -> None:
    sender = Sender(0, 1, Standing())
    for first in (0, 5, 10):
        sender.put(rows.rows_of(first, 5))
        rows.send_all(sender, shard)
        shard.flush()
    elsewhere = open_shard(tmp_path / "elsewhere")
    sender.put(rows.rows_of(15, 5))
    rows.send_all(sender, elsewhere)
    held = rows.stored(elsewhere.buffer)
    assert held == [list(range(held[0][0], 20))] * rows.NUM_LANES
    assert elsewhere.counts().rows_lost == rows.NUM_LANES * held[0][0]
