"""FrameRing: every stack comes back exactly, at the cost of one frame."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from streams import PADDINGS, Stream

import mujigae


@pytest.mark.parametrize("stack", [1, 2, 4])
@pytest.mark.parametrize("capacity", [1, 2, 7, 64])
def test_every_kept_stack_equals_a_naive_history(impl: ModuleType, stack: int, capacity: int) -> None:
    rng = np.random.default_rng(stack * 100 + capacity)
    stream = Stream(rng, stack, frame=(3,), values=2)
    ring = impl.FrameRing(capacity, (3,), stack)
    held: dict[int, object] = {}
    for _ in range(60):
        stream.reset(PADDINGS[rng.integers(len(PADDINGS))])
        held[ring.start(stream.obs)] = stream.obs
        for _ in range(rng.integers(0, 6)):
            _, newest = stream.step()
            held[ring.append(newest[-1])] = newest
        slots = sorted(held)
        assert np.array_equal(ring.stacks(slots), np.stack([held[slot] for slot in slots]))
        assert len(ring) == len(slots) == min(len(ring), capacity)
        assert ring.check_valid()


@pytest.mark.parametrize("padding", ["zeros", "repeat", "continue", "same"])
def test_usual_paddings_cost_one_frame_an_episode(padding: str) -> None:
    rng = np.random.default_rng(0)
    stream = Stream(rng, 4, frame=(4096,))
    ring = mujigae.FrameRing(4000, (4096,), 4)
    for _ in range(500):
        stream.reset(padding)
        ring.start(stream.obs)
        for _ in range(4):
            ring.append(stream.step()[1][-1])
    assert ring.nbytes < 2500 * 4096 * 1.05 + 4000 * 16


def test_memory_stays_bounded_when_the_ring_wraps() -> None:
    ring = mujigae.FrameRing(1000, (1000,), 4)
    stream = Stream(np.random.default_rng(0), 4, frame=(1000,))
    ring.start(stream.obs)
    for _ in range(10_000):
        ring.append(stream.step()[1][-1])
    assert ring.nbytes < 1000 * 1000 * 1.1


def test_stacks_are_written_into_out() -> None:
    ring = mujigae.FrameRing(4, (2,), 2)
    ring.start(np.array([[0, 0], [1, 2]], np.uint8))
    out = np.empty((2, 2, 2), np.uint8)
    assert ring.stacks([0, 0], out=out) is out
    assert out.tolist() == [[[0, 0], [1, 2]]] * 2


def test_bad_arguments_are_named(impl: ModuleType) -> None:
    ring = impl.FrameRing(4, (2,), 2)
    with pytest.raises(ValueError, match="append: expected a started episode"):
        ring.append(np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="frames: expected shape"):
        ring.start(np.zeros((3, 2), np.uint8))
    with pytest.raises(TypeError, match="frames: expected dtype uint8, got float64"):
        ring.start(np.zeros((2, 2)))
    ring.start(np.zeros((2, 2), np.uint8))
    for slot in (-1, 1, 4):
        with pytest.raises(IndexError, match=r"slots\[1\]: expected 0 <= slot < 1"):
            ring.stacks([0, slot])


def test_an_out_of_the_wrong_kind_is_an_error_not_a_copy() -> None:
    ring = mujigae.FrameRing(4, (2,), 2)
    ring.start(np.zeros((2, 2), np.uint8))
    with pytest.raises(TypeError, match="out: expected dtype uint8"):
        ring.stacks([0], out=np.empty((1, 2, 2)))
    with pytest.raises(ValueError, match="out: expected shape"):
        ring.stacks([0], out=np.empty((2, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="out: expected a C-contiguous array"):
        ring.stacks([0], out=np.empty((2, 2, 1), np.uint8).T)
    read_only = np.empty((1, 2, 2), np.uint8)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected a writeable array"):
        ring.stacks([0], out=read_only)
