"""Batches as torch tensors: on the CPU without a copy, elsewhere through stages that are never overwritten too early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import mujigae
from mujigae.replay.device import StagedPlacement

OBS = {"x": ((3,), np.float32), "n": ((), np.int64)}


def filled(device: Any) -> Any:
    buffer = mujigae.PrioritizedReplayBuffer(50, OBS, ((2,), np.float32), device=device, seed=0)
    for t in range(20):
        obs, next_obs = ({"x": np.full(3, i, np.float32), "n": np.int64(i)} for i in (t, t + 1))
        buffer.add(obs, np.zeros(2, np.float32), float(t), next_obs, False, t == 19)
    return buffer


def staged() -> Any:
    """A buffer whose batches go the way of a GPU's, on a machine that may have none."""
    buffer = filled("cpu")
    buffer._placement = StagedPlacement(buffer._obs, buffer._action, torch.device("cpu"))
    return buffer


def assert_equal(batch: Any, expected: Any) -> None:
    assert isinstance(batch.key, np.ndarray)
    for name, got, wanted in zip(batch._fields, batch, expected, strict=True):
        for key in OBS if isinstance(got, dict) else [None]:
            a, b = (got, wanted) if key is None else (got[key], wanted[key])
            assert name == "key" or isinstance(a, torch.Tensor)
            assert np.array_equal(np.asarray(a), b)


@pytest.mark.parametrize("make", [lambda: filled("cpu"), staged], ids=["cpu", "staged"])
def test_tensors_hold_what_numpy_batches_hold(make: Any) -> None:
    buffer, plain = make(), filled(None)
    for _ in range(5):
        batch, expected = buffer.sample(8), plain.sample(8)
        assert_equal(batch, expected)
        td = torch.rand(8, requires_grad=True)
        assert buffer.update_priorities(batch.key, td) == 8
        plain.update_priorities(expected.key, td.detach().numpy())


@pytest.mark.parametrize("make", [lambda: filled("cpu"), staged], ids=["cpu", "staged"])
def test_tensors_in_hand_never_change(make: Any) -> None:
    buffer = make()
    batch = buffer.sample(8)
    copies = [batch.obs["x"].clone(), batch.reward.clone(), batch.key.copy()]
    for _ in range(5):
        buffer.sample(8)
    assert torch.equal(batch.obs["x"], copies[0])
    assert torch.equal(batch.reward, copies[1])
    assert np.array_equal(batch.key, copies[2])


@pytest.mark.parametrize("make", [lambda: filled("cpu"), staged], ids=["cpu", "staged"])
def test_out_is_refilled_in_place(make: Any) -> None:
    buffer, plain = make(), filled(None)
    out = buffer.sample(8)
    plain.sample(8)
    address = out.obs["x"].data_ptr()
    assert buffer.sample(8, out=out) is out
    assert out.obs["x"].data_ptr() == address
    assert_equal(out, plain.sample(8))


def test_an_out_of_another_size_is_refused() -> None:
    buffer = staged()
    out = buffer.sample(8)
    with pytest.raises(ValueError, match=r"out: expected torch\.float32"):
        buffer.sample(9, out=out)


def test_a_device_that_torch_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="device: expected a torch device, got 'no such device'"):
        mujigae.ReplayBuffer(5, OBS, ((), np.int64), device="no such device")


def test_tensors_may_be_added() -> None:
    buffer = mujigae.ReplayBuffer(5, ((2,), np.float32), ((), np.int64), device="cpu", seed=0)
    obs = torch.tensor([1.0, 2.0])
    buffer.add(obs, torch.tensor(3), torch.tensor(0.5), obs + 1, torch.tensor(False), torch.tensor(True))
    batch = buffer.sample(1)
    assert (batch.action.item(), batch.reward.item(), batch.next_obs.tolist()) == (3, 0.5, [[2.0, 3.0]])


def test_a_loaded_buffer_takes_the_device_it_is_given(tmp_path: Any) -> None:
    filled(None).save(tmp_path / "buffer")
    assert_equal(mujigae.load(tmp_path / "buffer", device="cpu").sample(4), filled(None).sample(4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_on_a_gpu_come_from_pinned_stages() -> None:
    buffer = filled("cuda")
    batch = buffer.sample(8)
    assert batch.reward.is_cuda
    assert all(
        stage.tensors[2].is_pinned() for stages in buffer._placement._stages.values() for stage in stages
    )
    assert np.array_equal(batch.reward.cpu().numpy(), filled(None).sample(8).reward)
