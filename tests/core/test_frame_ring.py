"""FrameRing: every stack comes back exactly, at the cost of one frame."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from streams import PADDINGS, Stream

import mujigae


@pytest.mark.parametrize("stack", [1, 2, 4])
@pytest.mark.parametrize("capacity", [1, 2, 7, 64])
@pytest.mark.parametrize("frame", [(3,), (40, 40)])
def test_every_kept_stack_equals_a_naive_history(
    impl: ModuleType, stack: int, capacity: int, frame: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(stack * 100 + capacity)
    stream = Stream(rng, stack, frame=frame, values=2)
    ring = impl.FrameRing(capacity, frame, stack, compress=frame != (3,))
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


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "float32", "complex128"])
@pytest.mark.parametrize("shape", [(1024,), (84, 84), (3, 42, 42), (42, 42, 3), (84, 84, 1), (2000, 1)])
def test_compressed_frames_of_any_shape_and_dtype_are_exact(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    ring = mujigae.FrameRing(50, shape, 2, dtype=dtype, compress=True)
    frames = np.zeros((50, *shape), dtype)
    for i in range(1, 50):
        frames[i] = frames[i - 1]
        frames[i].reshape(-1)[rng.integers(0, frames[i].size, 20)] = i
    ring.start(frames[:2])
    slots = [ring.append(frame) for frame in frames[2:]]
    assert ring.stacks(slots).tobytes() == np.stack([frames[1:-1], frames[2:]], axis=1).tobytes()
    assert ring.nbytes < 50 * frames[0].nbytes


def test_noise_is_compressed_to_at_most_a_hundredth_more_than_its_size() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 84, 84), dtype=np.uint8)
    plain, coded = (mujigae.FrameRing(8192, (84, 84), 2, compress=compress) for compress in (False, True))
    for ring in (plain, coded):
        ring.start(frames)
        for i in range(5000):
            ring.append(np.roll(frames[0], i * 17))
    assert coded.nbytes < 5002 * 84 * 84 * 1.01 + 2_000_000  # and the chunk that is being filled


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
    with pytest.raises(TypeError, match="compress: expected True or False, got 1"):
        mujigae.FrameRing(4, (2,), 2, compress=1)  # type: ignore[arg-type]
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
