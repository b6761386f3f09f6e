"""Where a batch lives: NumPy arrays, or torch tensors on a device."""

from __future__ import annotations

from typing import Any

from mujigae.errors import require
from mujigae.replay.batch import Batch
from mujigae.replay.spaces import ObsLayout

__all__ = ["Placement"]


class Placement:
    """NumPy: batches as they come from the core."""

    is_torch = False

    @staticmethod
    def of(device: Any) -> Placement:
        """None: NumPy. Anything else: a torch device, or ValueError if torch does not know it."""
        return Placement() if device is None else TorchPlacement(device)

    def batch(self, batch: Batch) -> Batch:
        """A batch of NumPy arrays, placed."""
        return batch

    def arrays_of(self, out: Batch, obs: ObsLayout) -> tuple[Any, ...]:
        """The NumPy arrays behind a batch, for the core to refill."""
        if not isinstance(out, Batch):
            raise TypeError(f"out: expected a Batch, got {type(out).__name__}")
        return (
            obs.flatten("out.obs", out.obs),
            *out[1:3],
            obs.flatten("out.next_obs", out.next_obs),
            *out[4:],
        )

    def refilled(self, out: Batch, arrays: tuple[Any, ...]) -> Batch:
        """`out` after the core has refilled its arrays."""
        del arrays
        return out

    def to_numpy(self, value: Any) -> Any:
        """Torch tensors as NumPy arrays; anything else as it is."""
        return value.detach().cpu().numpy() if hasattr(value, "detach") else value


class TorchPlacement(Placement):
    """Torch tensors on a device; on the CPU they share the core's memory. Keys stay NumPy arrays.

    Other devices get a copy.
    """

    is_torch = True

    def __init__(self, device: Any) -> None:
        self._torch: Any = require("torch", "train")
        try:
            self._device = self._torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"device: expected a torch device, got {device!r}") from error
        self._is_cpu = self._device.type == "cpu"

    def batch(self, batch: Batch) -> Batch:
        return Batch._make([*(_map(field, self._to_device) for field in batch[:-1]), batch.key])

    def arrays_of(self, out: Batch, obs: ObsLayout) -> tuple[Any, ...]:
        if not self._is_cpu:
            raise ValueError(f'out: expected device "cpu" or None to refill a batch, got {self._device}')
        return tuple(
            [self._array(leaf) for leaf in field] if isinstance(field, list) else self._array(field)
            for field in super().arrays_of(out, obs)
        )

    def to_numpy(self, value: Any) -> Any:
        return _map(value, super().to_numpy)

    def _array(self, value: Any) -> Any:
        return value.numpy() if isinstance(value, self._torch.Tensor) else value

    def _to_device(self, array: Any) -> Any:
        tensor = self._torch.from_numpy(array)
        return tensor if self._is_cpu else tensor.to(self._device)


def _map(value: Any, function: Any) -> Any:
    """`function` of every array in a structure of dicts and tuples."""
    if isinstance(value, dict):
        return {name: _map(child, function) for name, child in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(child, function) for child in value)
    return function(value)
