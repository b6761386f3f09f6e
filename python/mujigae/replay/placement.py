"""Which placement of batches belongs to a device."""

from __future__ import annotations

from typing import Any

from mujigae.replay.device import Placement, StagedPlacement, TorchPlacement, check_dtypes, checked_device
from mujigae.replay.device_frames import FramesOnDevice
from mujigae.replay.spec import BufferSpec

__all__ = ["placement_of"]


def placement_of(device: Any, spec: BufferSpec, frames_on_device: bool = False) -> Placement:
    """None: NumPy. Anything else: a torch device, or ValueError if torch does not know it or this machine lacks it."""
    if device is None:
        if frames_on_device:
            raise ValueError("frames_on_device: expected a device to hold the frames, got device=None")
        return Placement(spec)
    known = checked_device(device)
    check_dtypes(spec)
    if frames_on_device:
        return FramesOnDevice(spec, known)
    return TorchPlacement(spec) if known.type == "cpu" else StagedPlacement(spec, known)
