"""Batches drawn ahead: the rows and priorities of the time when an earlier batch was handed out, whatever happens since."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, Space, Stream, add_episode, assert_same_batch, vector_buffer

import mujigae
from mujigae.replay import reference

SIZE = 16
FRAME = (40, 40)  # 16 of its stacks are large enough to be copied by threads


def image_buffer(module: ModuleType, capacity: int = 60, **arguments: Any) -> Any:
    space = Space((4, *FRAME), np.uint8)
    return module.PrioritizedReplayBuffer(
        capacity, space, ACTION, **{"frame_stack": 4, "n_step": 3, "seed": 0, **arguments}
    )


def test_sequences_without_memory_leave_the_batches_drawn_ahead() -> None:
    twins = [vector_buffer(mujigae, prefetch=1) for _ in range(2)]
    for buffer in twins:
        add_episode(buffer, [0.0] * 20, terminated=True)
        buffer.sample(4)
        add_episode(buffer, [0.0] * 20, terminated=True)
    with pytest.raises(MemoryError):
        twins[0].sample_sequences(2**31, 2**20)
    assert_same_batch(*(buffer.sample(4) for buffer in twins))


class Images:
    """Feeds the same steps to several buffers."""

    def __init__(self, *buffers: Any) -> None:
        self.buffers, self.num_steps = buffers, 0
        self.stream = Stream(np.random.default_rng(0), 4, frame=FRAME)

    def add(self, num_steps: int) -> None:
        for _ in range(num_steps):
            obs, next_obs = self.stream.step()
            self.num_steps += 1
            is_last = self.num_steps % 17 == 0
            for buffer in self.buffers:
                buffer.add(obs, self.num_steps, 1.0, next_obs, is_last, False)
            if is_last:
                self.stream.reset("repeat")


def copied(batch: Any) -> Any:
    return type(batch)(*(np.copy(field) for field in batch[:9]))


def test_priorities_are_those_of_d_batches_ago(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, alpha=1.0, eps=0.0, prefetch=2)
    add_episode(buffer, [0.0, 0.0], terminated=True)
    keys = {
        int(a): k for batch in [buffer.sample(SIZE)] for a, k in zip(batch.action, batch.key, strict=True)
    }
    assert set(keys) == {0, 1}
    buffer.update_priorities([keys[0]], [0.0])
    assert [set(buffer.sample(SIZE).action) for _ in range(4)] == [{0, 1}, {0, 1}, {1}, {1}]


def test_rows_evicted_since_are_there_and_their_keys_are_stale(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, capacity=10, prefetch=1)
    add_episode(buffer, [0.0] * 10, terminated=True)
    buffer.sample(SIZE)
    add_episode(buffer, [0.0] * 10, terminated=True, start=100.0)
    batch = buffer.sample(SIZE)
    assert batch.obs.max() < 10
    assert np.array_equal(batch.obs[:, 0], batch.action)
    assert buffer.update_priorities(batch.key, np.ones(SIZE)) == 0
    assert buffer.sample(SIZE).obs.min() >= 100


@pytest.mark.parametrize("prefetch", [1, 3])
def test_images_equal_the_twins_while_their_frames_are_evicted(prefetch: int) -> None:
    compiled, twin = (image_buffer(module, prefetch=prefetch) for module in (mujigae, reference))
    images = Images(compiled, twin)
    images.add(80)
    out = compiled.sample(SIZE)
    assert_same_batch(out, twin.sample(SIZE))
    for t in range(30):
        images.add(t % 13)
        batch = compiled.sample(SIZE, beta=t / 30, out=out if t % 3 == 0 else None)
        assert_same_batch(batch, twin.sample(SIZE, beta=t / 30))
        for buffer in (compiled, twin):
            buffer.update_priorities(batch.key, np.arange(SIZE))
        assert compiled.check_valid()


def test_a_batch_in_hand_never_changes() -> None:
    buffer = image_buffer(mujigae, prefetch=2)
    images = Images(buffer)
    images.add(70)
    held: list[Any] = []
    for _ in range(40):
        batch = buffer.sample(SIZE)
        held = [*held, (batch, copied(batch))][-5:]
        images.add(5)
        for one, content in held:
            assert_same_batch(one._replace(extras=()), content._replace(extras=()))


@pytest.mark.parametrize(
    "change",
    [
        lambda buffer: setattr(buffer, "n_step", 2),
        lambda buffer: setattr(buffer, "gamma", 0.5),
        lambda buffer: setattr(buffer, "alpha", 0.1),
    ],
    ids=["n_step", "gamma", "alpha"],
)
def test_a_change_draws_anew_with_the_same_random_numbers(impl: ModuleType, change: Any) -> None:
    buffers = [vector_buffer(impl, prefetch=prefetch) for prefetch in (0, 3)]
    for buffer in buffers:
        add_episode(buffer, [1.0] * 30, terminated=True)
        buffer.sample(SIZE)
        add_episode(buffer, [1.0] * 9, terminated=False, start=50.0)
        change(buffer)
    assert_same_batch(*(buffer.sample(SIZE) for buffer in buffers))
    assert_same_batch(*(buffer.sample(SIZE + 1) for buffer in buffers))


def test_settings_given_again_and_beta_change_nothing(impl: ModuleType) -> None:
    buffers = [vector_buffer(impl, prefetch=2) for _ in range(2)]
    for buffer in buffers:
        add_episode(buffer, [1.0] * 30, terminated=True)
        buffer.sample(SIZE)
        add_episode(buffer, [1.0] * 30, terminated=True, start=50.0)
    for name in ("n_step", "gamma", "alpha", "beta"):
        setattr(buffers[0], name, getattr(buffers[0], name))
    for _ in range(4):
        assert_same_batch(*(buffer.sample(SIZE) for buffer in buffers))


def test_clear_forgets_what_was_drawn(impl: ModuleType) -> None:
    buffer = vector_buffer(impl, prefetch=2)
    add_episode(buffer, [1.0] * 5, terminated=True)
    buffer.sample(SIZE)
    buffer.clear()
    with pytest.raises(ValueError, match="at least one row"):
        buffer.sample(SIZE)
    add_episode(buffer, [1.0] * 5, terminated=True, start=100.0)
    assert buffer.sample(SIZE).obs.min() >= 100


def test_a_refused_call_leaves_what_was_drawn(impl: ModuleType) -> None:
    buffers = [vector_buffer(impl, prefetch=2) for _ in range(2)]
    for buffer in buffers:
        add_episode(buffer, [1.0] * 30, terminated=True)
        buffer.sample(SIZE)
        add_episode(buffer, [1.0] * 30, terminated=True, start=50.0)
    for refused in ((0, None), (3, -1.0), (SIZE, np.nan), (SIZE, "much")):
        with pytest.raises((ValueError, TypeError)):
            buffers[0].sample(*refused)
    for _ in range(4):
        assert_same_batch(*(buffer.sample(SIZE) for buffer in buffers))


@pytest.mark.parametrize(
    ("prefetch", "error"), [(-1, ValueError), (1025, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_a_depth_that_cannot_be_is_refused(impl: ModuleType, prefetch: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="prefetch: expected"):
        vector_buffer(impl, prefetch=prefetch)


# --- copies of a buffer


def test_what_was_drawn_is_saved_with_rows_that_are_evicted(tmp_path: Path) -> None:
    buffer = image_buffer(mujigae, prefetch=3)
    images = Images(buffer)
    images.add(80)
    buffer.sample(SIZE)
    images.add(200)
    buffer.save(tmp_path / "saved")
    others = [mujigae.load(tmp_path / "saved"), pickle.loads(pickle.dumps(buffer)), copy.deepcopy(buffer)]
    for _ in range(6):
        batch = buffer.sample(SIZE)
        for other in others:
            assert_same_batch(other.sample(SIZE), batch)


def test_a_damaged_batch_is_found(tmp_path: Path) -> None:
    buffer = vector_buffer(mujigae, prefetch=1)
    add_episode(buffer, [1.0] * 5, terminated=True)
    buffer.sample(SIZE)
    buffer.save(tmp_path / "saved")
    content = bytearray((tmp_path / "saved").read_bytes())
    content[content.index(b"DRAW") + 60] ^= 1
    (tmp_path / "saved").write_bytes(content)
    with pytest.raises(mujigae.SnapshotError):
        mujigae.load(tmp_path / "saved")


def test_a_file_is_reopened_with_the_random_numbers_of_the_first_batch_dropped(tmp_path: Path) -> None:
    buffers = [image_buffer(mujigae, prefetch=2, path=tmp_path / "file"), image_buffer(mujigae)]
    Images(*buffers).add(100)
    for _ in range(3):
        assert_same_batch(*(buffer.sample(SIZE) for buffer in buffers))
    del buffers[0]
    reopened = mujigae.load(tmp_path / "file")
    for _ in range(3):
        assert_same_batch(reopened.sample(SIZE), buffers[0].sample(SIZE))


def test_a_fork_goes_on_with_what_was_drawn(tmp_path: Path) -> None:
    buffer = image_buffer(mujigae, prefetch=2)
    Images(buffer).add(100)
    for _ in range(10):
        buffer.sample(SIZE)  # leaves copies under way
        child = os.fork()
        if child == 0:
            (tmp_path / "drawn").write_bytes(b"".join(contents(buffer) for _ in range(5)))
            os._exit(0)
        os.waitpid(child, 0)
        assert (tmp_path / "drawn").read_bytes() == b"".join(contents(buffer) for _ in range(5))
        (tmp_path / "drawn").unlink()


def contents(buffer: Any) -> bytes:
    return b"".join(field.tobytes() for field in buffer.sample(SIZE)[:9])


# --- threads


def test_others_add_while_frames_are_copied() -> None:
    """Every pixel of frame t is t % 251, and the newest frame of step t's obs is t."""
    buffer = image_buffer(mujigae, prefetch=2)
    is_done = threading.Event()

    def frames(first: int) -> Any:
        return np.stack([np.full(FRAME, t % 251, np.uint8) for t in range(first, first + 4)])

    def write() -> None:
        for t in itertools.count():
            buffer.add(frames(t), t + 3, 1.0, frames(t + 1), False, False)
            if is_done.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(buffer) < 50:
            time.sleep(0.001)
        for _ in range(200):
            batch = buffer.sample(SIZE)
            for stacks, ahead in ((batch.obs, 0), (batch.next_obs, 3)):
                newest = (batch.action + ahead)[:, None]
                expected = (newest + np.arange(-3, 1)) % 251
                assert np.array_equal(stacks, np.broadcast_to(expected[..., None, None], stacks.shape))
            buffer.update_priorities(batch.key, np.ones(SIZE))
    finally:
        is_done.set()
        writer.join()
    assert buffer.check_valid()
