"""Where a batch lives: NumPy arrays, torch tensors on the CPU, or torch tensors on a device behind pinned memory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from mujigae.errors import ConfigError, require
from mujigae.replay.arguments import as_int
from mujigae.replay.batch import Batch, SequenceBatch
from mujigae.replay.spec import BufferSpec

__all__ = ["Placement", "check_dtypes", "checked_device"]

Arrays = tuple[Any, ...]  # a batch as the core sees it: with several observations, obs and next_obs are lists
_HOST_FIELDS = ("key", "probability")


class Leaf:
    """Shape and dtype of one row of an array."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype


def checked_device(device: Any) -> Any:
    """The torch.device that `device` names; ConfigError (a ValueError) for one that nothing can be put on and read from."""
    torch = require("torch", "train")
    try:
        known = torch.device(device)
        torch.empty(1, device=known).cpu()
    except (RuntimeError, TypeError, AssertionError) as error:  # AssertionError: some builds without CUDA
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device: expected a device of this machine, got {device!r} ({reason})") from None
    return known


def check_dtypes(spec: BufferSpec) -> None:
    """Raises ValueError for a field of a dtype that torch does not have, as NumPy's long double."""
    torch = require("torch", "train")
    for array in (*spec.obs.specs, spec.action, *spec.extras):
        try:
            _torch_dtype(torch, array.dtype)
        except TypeError:
            raise ValueError(
                f"device: expected None for {array.name or 'an observation'} of {array.dtype}, which torch does not have"
            ) from None


class Placement:
    """NumPy: batches as they come from the core."""

    is_torch = False

    def __init__(self, spec: BufferSpec) -> None:
        self._obs, self._spec = spec.obs, spec
        self._is_plain = (
            spec.obs.tree == 0
        )  # an observation is one array: the core's batches are as they should be

    def sample(self, core: Any, batch_size: Any, beta: float | None, out: Batch | None) -> Batch:
        """A batch of the core in its place: new, or `out` refilled."""
        if out is not None:
            core.sample(batch_size, beta, self._arrays_of(out))
            return out
        return self.placed(core.sample(batch_size, beta, None))

    def placed(self, batch: Batch) -> Batch:
        """A new batch of the core in its place."""
        return batch if self._is_plain and not self.is_torch else self._batch_of(batch)

    def placed_sequences(self, batch: SequenceBatch) -> SequenceBatch:
        """A new batch of sequences of the core in its place: keys and probabilities stay NumPy arrays."""
        moved = {
            name: _map(getattr(batch, name), self._moved)
            for name in batch._fields
            if name not in _HOST_FIELDS
        }
        return batch._replace(**{**moved, "obs": self._tree(moved["obs"])})

    def _moved(self, array: Any) -> Any:
        return array

    def to_numpy(self, value: Any) -> Any:
        """Torch tensors as NumPy arrays; anything else as it is."""
        return _map(value, _leaf_to_numpy)

    def _arrays_of(self, out: Batch) -> Arrays:
        if not isinstance(out, Batch):
            raise TypeError(f"out: expected a Batch, got {type(out).__name__}")
        if self._is_plain:
            return out
        obs, next_obs = (self._obs.flatten(f"out.{name}", getattr(out, name)) for name in ("obs", "next_obs"))
        return _single((obs, *out[1:3], next_obs, *out[4:]))

    def _batch_of(self, arrays: Arrays) -> Batch:
        obs, action, reward, next_obs, *rest = arrays
        return Batch(self._tree(obs), action, reward, self._tree(next_obs), *rest)

    def _tree(self, leaves: Any) -> Any:
        return self._obs.unflatten(leaves if isinstance(leaves, list) else [leaves])


class TorchPlacement(Placement):
    """Torch tensors on the CPU, which share the core's memory; keys and probabilities stay NumPy arrays."""

    is_torch = True

    def __init__(self, spec: BufferSpec) -> None:
        super().__init__(spec)
        self._torch: Any = require("torch", "train")

    def _arrays_of(self, out: Batch) -> Arrays:
        tensor_type = self._torch.Tensor
        fields = super()._arrays_of(out)
        return tuple(
            _map(field, lambda leaf: leaf.numpy() if isinstance(leaf, tensor_type) else leaf)
            for field in fields
        )

    def _moved(self, array: Any) -> Any:
        return self._torch.from_numpy(array)

    def _batch_of(self, arrays: Arrays) -> Batch:
        moved, host, extras = _split(arrays)
        from_numpy = self._torch.from_numpy
        if self._is_plain and not extras:  # the usual case, without the walk through structures
            return Batch._make((*map(from_numpy, moved), *host, extras))
        return super()._batch_of((*_map(moved, from_numpy), *host, _map(extras, from_numpy)))


class StagedPlacement(Placement):
    """Torch tensors on a device: the core writes into pinned memory, and the copy runs beside the caller's work.

    Two stages for each of the last batch sizes take turns; one is written again only after its copy has ended. On CUDA the copies have a
    stream of their own, so that they need not wait for the work that is queued. Keys and probabilities stay NumPy arrays.
    """

    is_torch = True
    NUM_STAGES, MAX_SIZES = 2, 4

    def __init__(self, spec: BufferSpec, device: Any) -> None:
        super().__init__(spec)
        self._torch: Any = require("torch", "train")
        self._device = device
        self._stream = self._torch.cuda.Stream(device) if device.type == "cuda" else None
        self._lock = threading.Lock()
        self._stages: dict[int, list[Stage]] = {}

    def sample(self, core: Any, batch_size: Any, beta: float | None, out: Batch | None) -> Batch:
        """A batch of the core in its place: new, or `out` refilled."""
        size = as_int("batch_size", batch_size)
        if size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {size}")
        with self._lock:
            stage = self._next_stage(size)
            targets = None if out is None else self._checked_targets(out, size)
            stage.wait()
            host = np.empty(size, np.int64), np.empty(size, np.float64)
            *moved, extras = stage.arrays
            self._fill(core, beta, (*_single(tuple(moved)), *host, extras), size)
            *moved, extras = self._to_device(stage)
            if out is None or targets is None:
                return self._batch_of((*moved, *host, extras))
            with self._torch.no_grad():
                for target, source in zip(targets, _leaves((*moved, extras)), strict=True):
                    target.copy_(source)
            for field, values in zip((out.key, out.probability), host, strict=True):
                field[...] = values
            return out

    def placed(self, batch: Batch) -> Batch:
        """A new batch of the core in its place."""
        moved, host, extras = _split(batch)
        return self._batch_of((*_map(moved, self._moved), *host, _map(extras, self._moved)))

    def _moved(self, array: Any) -> Any:
        return self._torch.from_numpy(array).to(self._device)

    def _fill(self, core: Any, beta: float | None, arrays: Arrays, batch_size: int) -> None:
        core.sample(batch_size, beta, arrays)

    def _to_device(self, stage: Stage) -> Arrays:
        """The stage's fields on the device; whatever is queued from now on finds them there."""
        if self._stream is None:
            return self._on_device(_map(stage.tensors, lambda tensor: tensor.to(self._device, copy=True)))
        current = self._torch.cuda.current_stream(self._device)
        with self._torch.cuda.stream(self._stream):
            moved = _map(stage.tensors, lambda tensor: tensor.to(self._device, non_blocking=True))
            stage.copied = self._stream.record_event()
        current.wait_event(stage.copied)
        for tensor in _leaves(moved):
            tensor.record_stream(current)  # its memory belongs to the other stream
        return self._on_device(moved)

    def _on_device(self, moved: Arrays) -> Arrays:
        """What a batch holds instead of what was moved."""
        return moved

    def _checked_targets(self, out: Batch, batch_size: int) -> list[Any]:
        """The tensors of `out`, each as a batch has it; checked before anything is drawn."""
        moved, host, extras = _split(self._arrays_of(out))
        targets = _leaves((*moved, extras))
        for target, (shape, dtype) in zip(targets, self._leaf_specs(batch_size), strict=True):
            wanted = f"{dtype} {shape} on {self._device.type}"
            is_tensor = isinstance(target, self._torch.Tensor)
            got = (
                f"{target.dtype} {tuple(target.shape)} on {target.device.type}"
                if is_tensor
                else type(target).__name__
            )
            if got != wanted:
                raise ValueError(f"out: expected {wanted}, got {got}")
        for name, field, dtype in zip(_HOST_FIELDS, host, (np.int64, np.float64), strict=True):
            if not isinstance(field, np.ndarray) or (field.dtype, field.shape) != (dtype, (batch_size,)):
                raise ValueError(
                    f"out.{name}: expected a NumPy array {np.dtype(dtype)} {(batch_size,)}, got {field!r}"
                )
            if not field.flags.writeable:
                raise ValueError(f"out.{name}: expected an array that can be written, got a read-only one")
        return targets

    def _leaf_specs(self, batch_size: int) -> list[tuple[tuple[int, ...], Any]]:
        """Shape and torch dtype of every tensor of a batch, in the order of its fields."""
        fields = batch_fields(self._spec)
        return [
            ((batch_size, *leaf.shape), _torch_dtype(self._torch, leaf.dtype)) for leaf in _leaves(fields)
        ]

    def _next_stage(self, batch_size: int) -> Stage:
        stages = self._stages.pop(batch_size, [])
        self._stages[batch_size] = stages  # the last used is the last
        while len(self._stages) > self.MAX_SIZES:
            for stage in self._stages.pop(next(iter(self._stages))):
                stage.wait()
        if len(stages) < self.NUM_STAGES:
            stages.insert(0, self._make_stage(batch_size))
        stages.append(stages.pop(0))
        return stages[-1]

    def _make_stage(self, batch_size: int) -> Stage:
        return Stage(self._torch, batch_fields(self._spec), batch_size, is_pinned=self._device.type == "cuda")


class Stage:
    """Host memory for the fields of one batch that move, as torch tensors and as NumPy arrays over the same bytes."""

    def __init__(self, torch: Any, fields: Arrays, batch_size: int, *, is_pinned: bool) -> None:
        def new(spec: Leaf) -> Any:
            like = _torch_dtype(torch, spec.dtype)
            return host_memory(torch, (batch_size, *spec.shape), like, is_pinned=is_pinned)

        self.tensors: Arrays = _map(fields, new)
        self.arrays = tuple(_map(field, lambda tensor: tensor.numpy()) for field in self.tensors)
        self.copied: Any = None  #: an event after the copies that read these bytes

    def wait(self) -> None:
        """Until the copies have read these bytes."""
        if self.copied is not None:
            self.copied.synchronize()


def _single(fields: Arrays) -> Arrays:
    """As the core has it: one observation is an array, several are a list of them."""
    return tuple(field[0] if isinstance(field, list) and len(field) == 1 else field for field in fields)


def batch_fields(spec: BufferSpec) -> Arrays:
    """Shape and dtype of one row of each field of a batch that moves to a device; obs and next_obs are lists, extras a dict."""
    arrays = [Leaf(array.shape, array.dtype) for array in spec.obs.specs]
    number = Leaf((), np.dtype(np.float32))
    extras = {array.name: Leaf(array.shape, array.dtype) for array in spec.extras}
    action, flag = Leaf(spec.action.shape, spec.action.dtype), Leaf((), np.dtype(np.bool_))
    return arrays, action, number, arrays, number, flag, number, extras


def _split(fields: Arrays) -> tuple[Arrays, Arrays, Any]:
    """Of a batch: the fields that move to a device but for the extras, those that stay, the extras."""
    return tuple(fields[:7]), tuple(fields[7:9]), fields[9]


def host_memory(torch: Any, shape: tuple[int, ...], dtype: Any, *, is_pinned: bool) -> Any:
    """Pinned memory where the system gives it; else plain memory, whose copies are slower and wait."""
    if is_pinned:
        try:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        except RuntimeError as error:
            warnings.warn(f"batches are staged in memory that is not pinned: {error}", stacklevel=2)
    return torch.empty(shape, dtype=dtype)


def _torch_dtype(torch: Any, dtype: Any) -> Any:
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _leaf_to_numpy(leaf: Any) -> Any:
    if not hasattr(leaf, "detach"):
        return leaf
    try:
        return leaf.numpy(force=True)
    except TypeError:  # NumPy has no bfloat16
        return leaf.float().numpy(force=True)


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    """`function` of every array in a structure of dicts, tuples and lists."""
    if isinstance(value, dict):
        return {name: _map(child, function) for name, child in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(child, function) for child in value)
    if isinstance(value, list):
        return [_map(child, function) for child in value]
    return function(value)


def _leaves(fields: Any) -> list[Any]:
    """The arrays in a structure of dicts, tuples and lists, in order."""
    if isinstance(fields, dict):
        fields = list(fields.values())
    if not isinstance(fields, tuple | list):
        return [fields]
    return [leaf for field in fields for leaf in _leaves(field)]
