"""Which arithmetic is faster here: one measurement at start-up, of convolutions such as a small torso's."""

from __future__ import annotations

import time
from typing import Literal

import torch

from mujigae.replay.device import checked_device

__all__ = ["faster_precision"]

NUM_TRIALS = 10


def faster_precision(device: str, num_threads: int) -> Literal["float32", "bfloat16"]:
    """The faster of float32 and bfloat16 autocast for a convolution and its gradient; takes a fraction of a second.

    Raises ConfigError for a device that is not there. The number of torch's threads is left as it was.
    """
    checked_device(device)
    previous = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        return "bfloat16" if _bfloat16_is_faster(device) else "float32"
    finally:
        torch.set_num_threads(previous)


def _bfloat16_is_faster(device: str) -> bool:
    """Compares the least times of alternating trials, so that other work on the machine hits both alike."""
    image = torch.zeros(64, 16, 19, 19, device=device)
    kernel = torch.zeros(32, 16, 3, 3, device=device, requires_grad=True)
    trials = [(_trial(image, kernel, True), _trial(image, kernel, False)) for _ in range(NUM_TRIALS)]
    bfloat16_seconds, float32_seconds = (
        min(times[1:]) for times in zip(*trials, strict=True)
    )  # the first warms up
    return bool(bfloat16_seconds < float32_seconds)


def _trial(image: torch.Tensor, kernel: torch.Tensor, is_bfloat16: bool) -> float:
    started = time.perf_counter()
    with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=is_bfloat16):
        loss = torch.nn.functional.conv2d(image, kernel, stride=2).float().sum()
    torch.autograd.grad(loss, kernel)[0].sum().item()  # item: waits for an accelerator
    return time.perf_counter() - started
