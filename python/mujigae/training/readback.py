"""Priorities on their way from an accelerator to the replay.

An update is launched, not waited for: its priorities are copied behind it, and are only needed before the next draw and before
the next rows are added (which get the largest priority so far). Until then an agent's device works beside the environments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ["Readback", "read_back"]


class Readback(NamedTuple):
    """Priorities [B] that are being copied, and the keys of their rows."""

    key: Any
    priorities: Any  # an array, or a tensor on the CPU
    event: Any = None  # when the copy is complete; None: it is

    def array(self) -> Any:
        """The priorities as an array; waits for the copy."""
        if self.event is not None:
            self.event.synchronize()
        priorities = self.priorities
        return priorities.numpy() if isinstance(priorities, torch.Tensor) else np.asarray(priorities)


def read_back(key: Any, priorities: Any) -> Readback:
    """Begins the copy of `priorities` [B], a tensor or an array."""
    if not isinstance(priorities, torch.Tensor) or not priorities.is_cuda:
        return Readback(key, priorities.cpu() if isinstance(priorities, torch.Tensor) else priorities)
    host = torch.empty_like(priorities, device="cpu", pin_memory=True)
    host.copy_(priorities, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(priorities.device))
    return Readback(key, host, event)
