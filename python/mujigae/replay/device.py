"""Where a batch lives: NumPy arrays, torch tensors on the CPU, or torch tensors on a device behind pinned memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from mujigae.errors import require
from mujigae.replay.batch import Batch
from mujigae.replay.spaces import ArraySpec, ObsLayout

__all__ = ["Placement"]

Arrays = tuple[
    Any, ...
]  # a batch as the core sees it: the fields of Batch, obs and next_obs as lists of arrays
Fill = Callable[[Arrays | None], Arrays]  # the core's sample: fills these arrays, or new ones


class Placement:
    """NumPy: batches as they come from the core."""

    is_torch = False

    def __init__(self, obs: ObsLayout, action: ArraySpec) -> None:
        self._obs, self._action = obs, action

    @staticmethod
    def of(device: Any, obs: ObsLayout, action: ArraySpec) -> Placement:
        """None: NumPy. Anything else: a torch device, or ValueError if torch does not know it."""
        if device is None:
            return Placement(obs, action)
        torch = require("torch", "train")
        try:
            known = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"device: expected a torch device, got {device!r}") from error
        return TorchPlacement(obs, action) if known.type == "cpu" else StagedPlacement(obs, action, known)

    def sample(self, fill: Fill, batch_size: int, out: Batch | None) -> Batch:
        """A batch in its place: new, or `out` refilled."""
        if out is not None:
            fill(self._arrays_of(out))
            return out
        return self._batch_of(fill(None))

    def to_numpy(self, value: Any) -> Any:
        """Torch tensors as NumPy arrays; anything else as it is."""
        return _map(value, _leaf_to_numpy)

    def _arrays_of(self, out: Batch) -> Arrays:
        if not isinstance(out, Batch):
            raise TypeError(f"out: expected a Batch, got {type(out).__name__}")
        obs = self._obs.flatten("out.obs", out.obs)
        return (obs, *out[1:3], self._obs.flatten("out.next_obs", out.next_obs), *out[4:])

    def _batch_of(self, arrays: Arrays) -> Batch:
        obs, action, reward, next_obs, *rest = arrays
        return Batch(self._obs.unflatten(obs), action, reward, self._obs.unflatten(next_obs), *rest)


class TorchPlacement(Placement):
    """Torch tensors on the CPU, which share the core's memory; keys stay NumPy arrays."""

    is_torch = True

    def _arrays_of(self, out: Batch) -> Arrays:
        tensor_type = require("torch", "train").Tensor
        fields = super()._arrays_of(out)
        return tuple(
            _map(field, lambda leaf: leaf.numpy() if isinstance(leaf, tensor_type) else leaf)
            for field in fields
        )

    def _batch_of(self, arrays: Arrays) -> Batch:
        from_numpy = require("torch", "train").from_numpy
        return super()._batch_of((*(_map(field, from_numpy) for field in arrays[:-1]), arrays[-1]))


class StagedPlacement(Placement):
    """Torch tensors on a device: the core writes into pinned memory, and the copy runs beside the caller's work.

    Two stages for each batch size take turns; one is written again only after its copy has ended. Keys stay NumPy arrays.
    """

    is_torch = True
    NUM_STAGES = 2

    def __init__(self, obs: ObsLayout, action: ArraySpec, device: Any) -> None:
        super().__init__(obs, action)
        self._torch: Any = require("torch", "train")
        self._device = device
        self._lock = threading.Lock()
        self._stages: dict[int, list[Stage]] = {}

    def sample(self, fill: Fill, batch_size: int, out: Batch | None) -> Batch:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        with self._lock:
            stage = self._next_stage(batch_size)
            targets = None if out is None else self._checked_targets(out, stage)
            stage.wait()
            key = np.empty(batch_size, np.int64)
            fill((*stage.arrays, key))
            if out is None or targets is None:
                batch = self._batch_of((*(_map(field, self._to_device) for field in stage.tensors), key))
            else:
                batch = self._refilled(out, targets, stage, key)
            stage.mark(self._device)
            return batch

    def _to_device(self, tensor: Any) -> Any:
        return tensor.to(self._device, non_blocking=True, copy=True)

    def _checked_targets(self, out: Batch, stage: Stage) -> list[Any]:
        """The tensors of `out`, each as the stage has it; checked before anything is drawn."""
        targets = _leaves(self._arrays_of(out)[:-1])
        for target, source in zip(targets, _leaves(stage.tensors), strict=True):
            wanted = f"{source.dtype} {tuple(source.shape)} on {self._device.type}"
            is_tensor = isinstance(target, self._torch.Tensor)
            got = (
                f"{target.dtype} {tuple(target.shape)} on {target.device.type}"
                if is_tensor
                else type(target).__name__
            )
            if got != wanted:
                raise ValueError(f"out: expected {wanted}, got {got}")
        shape = tuple(stage.arrays[2].shape)
        if not isinstance(out.key, np.ndarray) or (out.key.dtype, out.key.shape) != (np.int64, shape):
            raise ValueError(f"out.key: expected a NumPy array int64 {shape}, got {out.key!r}")
        return targets

    def _refilled(self, out: Batch, targets: list[Any], stage: Stage, key: Any) -> Batch:
        with self._torch.no_grad():
            for target, source in zip(targets, _leaves(stage.tensors), strict=True):
                target.copy_(source, non_blocking=True)
        out.key[...] = key
        return out

    def _next_stage(self, batch_size: int) -> Stage:
        stages = self._stages.setdefault(batch_size, [])
        if len(stages) < self.NUM_STAGES:
            stages.insert(0, self._make_stage(batch_size))
        stages.append(stages.pop(0))
        return stages[-1]

    def _make_stage(self, batch_size: int) -> Stage:
        return Stage(self._torch, self._obs, self._action, batch_size, is_pinned=self._device.type == "cuda")


class Stage:
    """Host memory for one batch without its keys, as torch tensors and as NumPy arrays over the same bytes."""

    def __init__(
        self, torch: Any, obs: ObsLayout, action: ArraySpec, batch_size: int, *, is_pinned: bool
    ) -> None:
        def new(shape: tuple[int, ...], dtype: Any) -> Any:
            like = torch.from_numpy(np.empty(0, dtype)).dtype
            return torch.empty((batch_size, *shape), dtype=like, pin_memory=is_pinned)

        def new_obs() -> list[Any]:
            return [new(spec.shape, spec.dtype) for spec in obs.specs]

        scalars = [new((), np.float32), new((), np.float32), new((), np.bool_), new((), np.float32)]
        reward, discount, terminated, weight = scalars
        self.tensors = (
            new_obs(),
            new(action.shape, action.dtype),
            reward,
            new_obs(),
            discount,
            terminated,
            weight,
        )
        self.arrays = tuple(_map(field, lambda tensor: tensor.numpy()) for field in self.tensors)
        self._torch = torch
        self._copied: Any = None

    def mark(self, device: Any) -> None:
        """The copies enqueued so far are those of this stage."""
        if device.type == "cuda":
            self._copied = self._torch.cuda.current_stream(device).record_event()

    def wait(self) -> None:
        """Until the copies have read these bytes."""
        if self._copied is not None:
            self._copied.synchronize()


def _leaf_to_numpy(leaf: Any) -> Any:
    if not hasattr(leaf, "detach"):
        return leaf
    tensor = leaf.detach().cpu()
    return tensor.float().numpy() if tensor.dtype == require("torch", "train").bfloat16 else tensor.numpy()


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    """`function` of every array in a structure of dicts, tuples and lists."""
    if isinstance(value, dict):
        return {name: _map(child, function) for name, child in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(child, function) for child in value)
    if isinstance(value, list):
        return [_map(child, function) for child in value]
    return function(value)


def _leaves(fields: Arrays) -> list[Any]:
    return [leaf for field in fields for leaf in (field if isinstance(field, list) else [field])]
