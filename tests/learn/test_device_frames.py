"""Frames on a device: the same batches as from the host, whatever was added, evicted, cleared, loaded or lost on the way."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mujigae
from mujigae.agents.presets import resolve
from mujigae.replay import device_frames
from mujigae.training.loop import build, run

SPACE = {"image": ((4, 5, 3), np.uint8), "speed": ((2,), np.float32), "flag": ((), np.bool_)}


def make(capacity: int = 60, **options: Any) -> Any:
    settings: dict[str, Any] = {"num_envs": 2, "frame_stack": {"image": 4}, "n_step": 3, "seed": 0}
    return mujigae.PrioritizedReplayBuffer(capacity, SPACE, ((), np.int64), **settings | options)


def both(**options: Any) -> tuple[Any, Any]:
    return make(**options), make(device="cpu", frames_on_device=True, **options)


class Play:
    """Two environments of random frames; the same steps go into every buffer."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._obs = [self._first() for _ in range(2)]

    def _first(self) -> dict[str, Any]:
        image = self._random.integers(0, 256, (4, 5, 3), np.uint8)
        image[: self._random.integers(4)] = 0  # with padding of any length
        return {"image": image, **self._rest()}

    def _rest(self) -> dict[str, Any]:
        return {"speed": self._random.random(2, np.float32), "flag": np.bool_(self._random.random() < 0.5)}

    def steps(self, buffers: Any, num_steps: int, end_rate: float = 0.1) -> None:
        for _ in range(num_steps):
            newest = self._random.integers(0, 256, (2, 1, 5, 3), np.uint8)
            images = [
                np.concatenate([obs["image"][1:], new]) for obs, new in zip(self._obs, newest, strict=True)
            ]
            ahead = [{"image": image, **self._rest()} for image in images]
            ends = self._random.random(2) < end_rate
            for buffer in buffers:
                arguments = np.arange(2), np.ones(2), stacked(ahead), ends, np.zeros(2, bool)
                buffer.add(stacked(self._obs), *arguments)
            self._obs = [self._first() if end else obs for obs, end in zip(ahead, ends, strict=True)]


def stacked(observations: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.stack([obs[name] for obs in observations]) for name in SPACE}


def assert_same_batches(plain: Any, on_device: Any, num_batches: int = 3) -> None:
    for _ in range(num_batches):
        wanted, got = plain.sample(16), on_device.sample(16)
        for name in SPACE:
            assert np.array_equal(got.obs[name].numpy(), wanted.obs[name]), name
            assert np.array_equal(got.next_obs[name].numpy(), wanted.next_obs[name]), name
        for field in ("action", "reward", "discount", "terminated", "weight"):
            assert np.array_equal(getattr(got, field).numpy(), getattr(wanted, field)), field
        assert np.array_equal(got.key, wanted.key)


@pytest.mark.parametrize("end_rate", [0.05, 0.4, 1.0])
def test_batches_are_those_of_the_host_while_rows_come_and_go(end_rate: float) -> None:
    plain, on_device = buffers = both()
    play = Play()
    for num_steps in (4, 1, 1, 30, 2, 100, 1):
        play.steps(buffers, num_steps, end_rate)
        assert_same_batches(plain, on_device)
    for buffer in buffers:
        buffer.clear()
    play.steps(buffers, 10, end_rate)
    assert_same_batches(plain, on_device)


def test_more_frames_than_slots_make_more_slots() -> None:
    plain, on_device = buffers = both()
    play = Play()
    play.steps(buffers, 5)
    on_device.sample(1)
    plain.sample(1)
    before = len(on_device._placement._frames[0])
    play.steps(buffers, 60, end_rate=1.0)  # two to five frames a row
    assert_same_batches(plain, on_device)
    assert len(on_device._placement._frames[0]) > before


def test_only_new_frames_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    _, on_device = buffers = both()
    play = Play()
    play.steps(buffers, 20, end_rate=0.0)
    counts: list[int] = []
    write = on_device._placement._write
    monkeypatch.setattr(
        on_device._placement,
        "_write",
        lambda i, n, slots, frames: (counts.append(len(slots)), write(i, n, slots, frames)),
    )
    on_device.sample(4)
    on_device.sample(4)
    play.steps(buffers, 1, end_rate=0.0)
    on_device.sample(4)
    assert (
        counts[:3] == [2 * 20 + sum(counts[:1]) - 40] + [2 * 21] * 2
    )  # images: and what the first stacks hold
    assert counts[3:] == [0, 0, 0, 2, 2, 2]


def test_a_great_many_new_frames_are_copied_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_frames, "_MAX_NEW_BYTES", 100)  # six frames
    plain, on_device = buffers = both()
    Play().steps(buffers, 50)
    assert_same_batches(plain, on_device)


def test_frames_lost_on_the_way_are_copied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, on_device = buffers = both()
    Play().steps(buffers, 20)
    with monkeypatch.context() as patch:
        patch.setattr(
            torch.Tensor, "index_copy_", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory"))
        )
        with pytest.raises(RuntimeError, match="no memory"):
            on_device.sample(16)
    plain.sample(16)  # that batch was drawn
    assert_same_batches(plain, on_device)


class Interrupted:
    """A core whose answer is lost to Ctrl-C once, as Python delivers a signal right after a call."""

    def __init__(self, core: Any) -> None:
        self.core, self.was_interrupted = core, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def sample_mirrored(self, *arguments: Any) -> Any:
        answer = self.core.sample_mirrored(*arguments)
        if not self.was_interrupted:
            self.was_interrupted = True
            raise KeyboardInterrupt
        return answer


def test_frames_lost_to_an_interrupt_are_copied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, on_device = buffers = both()
    Play().steps(buffers, 20)
    assert_same_batches(plain, on_device)
    Play(1).steps(buffers, 40)  # more than the copy has
    with monkeypatch.context() as patch:
        patch.setattr(on_device, "_core", Interrupted(on_device._core))
        with pytest.raises(KeyboardInterrupt):
            on_device.sample(16)
    plain.sample(16)  # that batch was drawn
    assert_same_batches(plain, on_device)


def test_what_is_refused_is_no_reason_to_copy_frames_again() -> None:
    plain, on_device = buffers = both()
    Play().steps(buffers, 20)
    assert_same_batches(plain, on_device)
    with pytest.raises(ValueError, match="beta"):
        on_device.sample(4, beta=-1.0)
    assert not on_device._placement._is_in_doubt


def test_an_empty_buffer_refuses_as_on_the_host() -> None:
    _, on_device = both()
    with pytest.raises(ValueError, match="expected at least one row whose n-step window is complete"):
        on_device.sample(4)


def test_saved_pickled_and_loaded_buffers_go_on(tmp_path: Path) -> None:
    plain, on_device = buffers = both()
    Play().steps(buffers, 40)
    assert_same_batches(plain, on_device)
    on_device.save(tmp_path / "replay")
    loaded = mujigae.load(tmp_path / "replay", device="cpu", frames_on_device=True)
    pickled = pickle.loads(pickle.dumps(on_device))
    for other in (loaded, pickled):
        assert isinstance(other._placement, device_frames.FramesOnDevice)
        fresh = mujigae.load(tmp_path / "replay")
        assert_same_batches(fresh, other)


def test_batches_are_whole_while_another_thread_adds() -> None:
    """Every frame says its time in all its bytes: a stack of another time's frames would show."""
    frames = np.repeat(np.arange(256, dtype=np.uint8), 8).reshape(256, 8)
    buffer = mujigae.ReplayBuffer(
        32, ((2, 8), np.uint8), ((), np.int64), frame_stack=2, device="cpu", frames_on_device=True, seed=0
    )

    def add(num_steps: int) -> None:
        for t in range(num_steps):
            obs, ahead = (frames[[(i - 1) % 256, i % 256]] for i in (t, t + 1))
            buffer.add(obs, np.int64(t % 256), 0.0, ahead, False, False)

    add(1)
    writer = threading.Thread(target=add, args=(3000,))
    writer.start()
    while writer.is_alive():
        batch = buffer.sample(32)
        newest = batch.obs[:, 1].numpy()
        assert (newest == newest[:, :1]).all()
        assert np.array_equal(newest[:, 0], batch.action.numpy().astype(np.uint8))
        assert np.array_equal(batch.next_obs[:, 1, 0].numpy(), newest[:, 0] + np.uint8(1))
    writer.join()


def test_training_with_frames_on_the_device_is_the_same_training() -> None:
    small: dict[str, Any] = {
        "num_envs": 2,
        "steps": 200,
        "min_replay_steps": 40,
        "batch_size": 8,
        "capacity": 90,
    }
    runs = [
        build(
            resolve("prioritized", "CartPole-v1", {**small, "num_threads": 1, "frames_on_device": on_device})
        )
        for on_device in (False, True)
    ]
    for training in runs:
        list(run(training))
    host, device = (training.agent.tensors() for training in runs)
    assert all(torch.equal(tensor, device[name]) for name, tensor in host.items())


def test_frames_on_no_device_are_refused() -> None:
    with pytest.raises(
        ValueError, match="frames_on_device: expected a device to hold the frames, got device=None"
    ):
        make(frames_on_device=True)
    with pytest.raises(TypeError, match="frames_on_device"):
        make(device="cpu", frames_on_device=1.5)
