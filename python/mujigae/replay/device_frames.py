"""Frames that live on a device: only new ones cross the bus, and stacks are put together there.

core      draws, and names the slot of every frame of a batch        [B, k] integers cross the bus
device    frames [P, frame], one slot for each that is held          gather -> obs, next_obs [B, *shape]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mujigae.replay.device import Arrays, Stage, StagedPlacement, batch_fields
from mujigae.replay.spaces import ArraySpec, ObsLayout
from mujigae.replay.spec import BufferSpec

__all__ = ["FramesOnDevice"]

_MAX_NEW_BYTES = 64 * 2**20  # copied at a time


class FramesOnDevice(StagedPlacement):
    """Batches whose observations are gathered on the device from a copy of every frame that the core holds.

    The copy takes the frames' bytes on the device (a million of 84x84: 7.2 GB), is made at the first batch, and grows
    when episodes are so short that there are more frames than rows.
    """

    def __init__(self, spec: BufferSpec, device: Any) -> None:
        super().__init__(spec, device)
        slots = tuple(ArraySpec(one.name, (one.stack,), np.dtype(np.int64)) for one in spec.obs.specs)
        self._slot_spec = replace(spec, obs=ObsLayout(slots, spec.obs.tree))
        self._frame_bytes = [_frame_bytes(one) for one in spec.obs.specs]
        self._frames: list[Any] = [None] * len(slots)  # [P, words of a frame] each
        self._is_in_doubt = False  # whether frames that the core counts as copied may be lost

    def _make_stage(self, batch_size: int) -> Stage:
        is_pinned = self._device.type == "cuda"
        return Stage(self._torch, batch_fields(self._slot_spec), batch_size, is_pinned=is_pinned)

    def _fill(self, core: Any, beta: float | None, arrays: Arrays, batch_size: int) -> None:
        if self._is_in_doubt:
            core.restart_mirrors()  # all are copied again
        max_frames = max(1, _MAX_NEW_BYTES // max(self._frame_bytes))
        is_drawn = False
        while not is_drawn:
            self._is_in_doubt = True  # an interrupt may come between any two of these lines
            try:
                is_drawn, new_frames = core.sample_mirrored(beta, arrays, max_frames)
            except ValueError:  # raised before the core counts any
                self._is_in_doubt = False
                raise
            for i, (num_slots, slots, frames) in enumerate(new_frames):
                self._write(i, num_slots, slots, frames)
            self._is_in_doubt = False

    def _write(self, i: int, num_slots: int, slots: Any, frames: Any) -> None:
        """Writes new frames [N, frame_bytes] of observation i to their slots [N]."""
        torch = self._torch
        word = torch.int64 if self._frame_bytes[i] % 8 == 0 else torch.uint8
        if self._frames[i] is None or len(self._frames[i]) != num_slots:
            self._frames[i] = None  # its memory first
            num_words = self._frame_bytes[i] // word.itemsize
            self._frames[i] = torch.empty((num_slots, num_words), dtype=word, device=self._device)
            self._frames[i][-1] = 0  # the padding of stacks
        if len(slots):
            rows = torch.from_numpy(frames).view(word).view(len(slots), -1)
            self._frames[i].index_copy_(0, self._sent(torch.from_numpy(slots)), self._sent(rows))

    def _sent(self, tensor: Any) -> Any:
        """On the device; the copy from pinned memory runs beside the host's work."""
        if self._device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)

    def _on_device(self, moved: Arrays) -> Arrays:
        obs, action, reward, next_obs, *rest = moved
        return (self._gathered(obs), action, reward, self._gathered(next_obs), *rest)

    def _gathered(self, slots: list[Any]) -> list[Any]:
        """The stacks [B, *shape] whose frames lie at `slots` [B, k], one for each observation."""
        stacks = []
        for spec, frames, indices in zip(self._obs.specs, self._frames, slots, strict=True):
            words = frames.index_select(0, indices.flatten())  # [B k, words]
            dtype = self._torch.from_numpy(np.empty(0, spec.dtype)).dtype
            stacks.append(words.view(len(indices), -1).view(dtype).view(len(indices), *spec.shape))
        return stacks


def _frame_bytes(spec: ArraySpec) -> int:
    return int(np.prod(spec.shape, dtype=np.int64)) * spec.dtype.itemsize // spec.stack
