"""Batches as torch tensors: on the CPU without a copy, elsewhere through stages that are never overwritten too early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import mujigae
from mujigae.replay.device import StagedPlacement, host_memory

OBS = {"x": ((3,), np.float32), "n": ((), np.int64)}


def filled(device: Any, **options: Any) -> Any:
    buffer = mujigae.PrioritizedReplayBuffer(50, OBS, ((2,), np.float32), device=device, seed=0, **options)
    for t in range(20):
        obs, next_obs = ({"x": np.full(3, i, np.float32), "n": np.int64(i)} for i in (t, t + 1))
        buffer.add(obs, np.zeros(2, np.float32), float(t), next_obs, False, t == 19)
    return buffer


def staged(**options: Any) -> Any:
    """A buffer whose batches go the way of a GPU's, on a machine that may have none."""
    buffer = filled("cpu", **options)
    buffer._placement = StagedPlacement(buffer._spec, torch.device("cpu"))
    return buffer


def with_frames() -> Any:
    return filled("cpu", frames_on_device=True)


EVERY_WAY = pytest.mark.parametrize(
    "make", [lambda: filled("cpu"), staged, with_frames], ids=["cpu", "staged", "frames on the device"]
)


def assert_equal(batch: Any, expected: Any) -> None:
    assert isinstance(batch.key, np.ndarray)
    for name, got, wanted in zip(batch._fields[:9], batch[:9], expected[:9], strict=True):
        for key in OBS if isinstance(got, dict) else [None]:
            a, b = (got, wanted) if key is None else (got[key], wanted[key])
            assert name in ("key", "probability") or isinstance(a, torch.Tensor)
            assert np.array_equal(np.asarray(a), b)


@EVERY_WAY
def test_tensors_hold_what_numpy_batches_hold(make: Any) -> None:
    buffer, plain = make(), filled(None)
    for _ in range(5):
        batch, expected = buffer.sample(8), plain.sample(8)
        assert_equal(batch, expected)
        td = torch.rand(8, requires_grad=True)
        assert buffer.update_priorities(batch.key, td) == 8
        plain.update_priorities(expected.key, td.detach().numpy())


@EVERY_WAY
def test_tensors_in_hand_never_change(make: Any) -> None:
    buffer = make()
    batch = buffer.sample(8)
    copies = [batch.obs["x"].clone(), batch.reward.clone(), batch.key.copy()]
    for _ in range(5):
        buffer.sample(8)
    assert torch.equal(batch.obs["x"], copies[0])
    assert torch.equal(batch.reward, copies[1])
    assert np.array_equal(batch.key, copies[2])


@EVERY_WAY
def test_out_is_refilled_in_place(make: Any) -> None:
    buffer, plain = make(), filled(None)
    out = buffer.sample(8)
    plain.sample(8)
    address = out.obs["x"].data_ptr()
    assert buffer.sample(8, out=out) is out
    assert out.obs["x"].data_ptr() == address
    assert_equal(out, plain.sample(8))


@pytest.mark.parametrize("make", [staged, with_frames], ids=["staged", "frames on the device"])
def test_an_out_of_another_size_is_refused(make: Any) -> None:
    buffer = make()
    out = buffer.sample(8)
    with pytest.raises(ValueError, match=r"out: expected torch\.float32"):
        buffer.sample(9, out=out)


@pytest.mark.parametrize("device", ["no such device", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=f"device: expected a device of this machine, got '{device}'"):
        mujigae.ReplayBuffer(5, OBS, ((), np.int64), device=device)


def test_tensors_may_be_added() -> None:
    buffer = mujigae.ReplayBuffer(5, ((2,), np.float32), ((), np.int64), device="cpu", seed=0)
    obs = torch.tensor([1.0, 2.0])
    buffer.add(obs, torch.tensor(3), torch.tensor(0.5), obs + 1, torch.tensor(False), torch.tensor(True))
    batch = buffer.sample(1)
    assert (batch.action.item(), batch.reward.item(), batch.next_obs.tolist()) == (3, 0.5, [[2.0, 3.0]])


class OnAGPU(torch.Tensor):
    """A tensor as one on a GPU is: NumPy cannot look into it."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize("num_envs", [1, 2])
@pytest.mark.parametrize("kind", ["bfloat16", "on a GPU"])
def test_tensors_that_numpy_cannot_read_are_added(num_envs: int, kind: str) -> None:
    def tensor(values: Any) -> Any:
        made = torch.as_tensor(values)
        if kind == "on a GPU":
            return made.as_subclass(OnAGPU)
        return made.bfloat16() if made.is_floating_point() else made

    buffer = mujigae.ReplayBuffer(
        20, ((2,), np.float32), ((), np.int64), device="cpu", num_envs=num_envs, seed=0
    )
    lead = () if num_envs == 1 else (num_envs,)
    for shape, call, ids in (
        (lead, buffer.add, {}),
        ((3, *lead), buffer.extend, {}),
        ((num_envs,), buffer.add, {"env_ids": tensor(np.arange(num_envs))}),
    ):
        obs, ends = tensor(np.ones((*shape, 2), np.float32)), tensor(np.zeros(shape, bool))
        call(obs, tensor(np.zeros(shape, int)), tensor(np.full(shape, 0.5)), obs, ends, ends, **ids)
    buffer.end_episodes(tensor(np.arange(num_envs)))
    assert len(buffer) == 5 * num_envs
    assert buffer.sample(8).reward.tolist() == [0.5] * 8


def test_stages_of_sizes_that_are_not_used_any_more_go() -> None:
    buffer = staged()
    for size in (*range(1, 40), 3, 3):
        assert len(buffer.sample(size).key) == size
    assert list(buffer._placement._stages) == [37, 38, 39, 3]


def test_a_batch_to_refill_that_cannot_be_written_is_refused_before_anything_changes() -> None:
    buffer, same = staged(), staged()
    out = buffer.sample(4)
    same.sample(4)
    before = out.obs["x"].clone()
    for field in (out.key, out.probability):
        field.flags.writeable = False
        with pytest.raises(ValueError, match="expected an array that can be written, got a read-only one"):
            buffer.sample(4, out=out)
        field.flags.writeable = True
    assert torch.equal(out.obs["x"], before)
    assert_equal(buffer.sample(4), same.sample(4))


def test_a_dtype_that_torch_does_not_have_is_refused_with_a_device() -> None:
    with pytest.raises(ValueError, match=r"device: expected None for .* which torch does not have"):
        mujigae.ReplayBuffer(5, ((2,), np.longdouble), ((), np.int64), device="cpu")


def test_a_loaded_buffer_takes_the_device_it_is_given(tmp_path: Any) -> None:
    filled(None).save(tmp_path / "buffer")
    assert_equal(mujigae.load(tmp_path / "buffer", device="cpu").sample(4), filled(None).sample(4))


def test_memory_that_cannot_be_pinned_is_replaced_by_plain_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty

    def without_pinning(*arguments: Any, pin_memory: bool = False, **options: Any) -> Any:
        if pin_memory:
            raise RuntimeError("out of lockable memory")
        return empty(*arguments, **options)

    monkeypatch.setattr(torch, "empty", without_pinning)
    with pytest.warns(UserWarning, match="memory that is not pinned: out of lockable memory"):
        memory = host_memory(torch, (2, 3), torch.uint8, is_pinned=True)
    assert memory.shape == (2, 3)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
@pytest.mark.parametrize("frames_on_device", [False, True])
def test_batches_on_a_gpu_are_those_of_the_host(frames_on_device: bool) -> None:
    buffer, plain = filled("cuda", frames_on_device=frames_on_device), filled(None)
    out = None
    for _ in range(20):
        out, expected = buffer.sample(8, out=out), plain.sample(8)
        assert out.obs["x"].is_cuda
        assert np.array_equal(out.obs["x"].cpu().numpy(), expected.obs["x"])
        assert np.array_equal(out.reward.cpu().numpy(), expected.reward)


@needs_cuda
def test_batches_on_a_gpu_come_from_pinned_stages() -> None:
    buffer = filled("cuda")
    batch = buffer.sample(8)
    assert batch.reward.is_cuda
    assert all(
        stage.tensors[2].is_pinned() for stages in buffer._placement._stages.values() for stage in stages
    )
    assert np.array_equal(batch.reward.cpu().numpy(), filled(None).sample(8).reward)


@pytest.mark.parametrize("make", [lambda **options: filled("cpu", **options), staged], ids=["cpu", "staged"])
def test_batches_drawn_ahead_are_the_same_everywhere(make: Any) -> None:
    buffer, plain = make(prefetch=2), filled(None, prefetch=2)
    for _ in range(5):
        batch, expected = buffer.sample(8), plain.sample(8)
        assert_equal(batch, expected)
        for one in (buffer, plain):
            one.update_priorities(expected.key, np.arange(8))


def test_frames_on_the_device_leave_nothing_to_prefetch() -> None:
    with pytest.raises(ValueError, match="prefetch: expected 0 with frames_on_device, got 1"):
        filled("cpu", frames_on_device=True, prefetch=1)
