"""Batches of a size that a library does not draw at once, and observations that it holds as floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mujigae.conformance import Batch


def in_parts(sample: Callable[[int], Batch], batch_size: int, most: int) -> Batch:
    """A batch of `batch_size` rows out of batches of at most `most`; of one that is no larger, or where there is no row, just that."""
    if batch_size <= most or most < 1:
        return sample(batch_size)
    sizes = [most] * (batch_size // most) + [batch_size % most] * (batch_size % most > 0)
    return Batch._make(_joined(parts) for parts in zip(*map(sample, sizes), strict=True))


def _joined(parts: tuple[Any, ...]) -> Any:
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return None if parts[0] is None else np.concatenate(parts)


def in_bytes(array: Any) -> Any:
    """Observations that a library holds as floats as the uint8 that they were; floats where that would change them."""
    stored = array.astype(np.uint8)
    return stored if np.array_equal(stored, array) else array
