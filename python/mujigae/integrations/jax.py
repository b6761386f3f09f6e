"""Batches as JAX arrays, without a copy on the CPU.

    batch = to_jax(buffer.sample(256))
    params, error = update(params, batch.obs, batch.action, batch.reward, batch.next_obs, batch.discount, batch.weight)
    buffer.update_priorities(batch.key, error)

The arrays of a batch begin at multiples of 64 bytes, where XLA takes them over as they are, by DLPack. Their memory is not used
again as long as a JAX array lies in it. Types of 64 bits are cast to 32, which is a copy, unless `jax_enable_x64` is set: an action
space of int32 spares it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from mujigae.errors import require
from mujigae.replay.batch import Batch, SequenceBatch

require("jax", "jax", first="0.8", below="0.11")  # first: the imports below would fail less clearly

import jax  # noqa: E402

__all__ = ["to_jax"]

AnyBatch = TypeVar("AnyBatch", Batch, SequenceBatch)


def to_jax(batch: AnyBatch, device: Any = None) -> AnyBatch:
    """The same batch with JAX arrays; `key` and `probability` stay NumPy's, whose 64 bits they need.

    Args:
        batch: what `sample`, `gather` or `sample_sequences` of a buffer without `device` returned. Do not write to it, nor refill it
            by `out=`, afterwards: the arrays are the same memory.
        device: a JAX device or sharding to put everything on; None: the CPU, without a copy.

    Raises TypeError for a batch of torch tensors.
    """
    if not isinstance(batch.reward, np.ndarray):
        raise TypeError(
            f"batch: expected NumPy arrays, as a buffer without device gives, got {type(batch.reward).__name__}"
        )
    tensors = batch._replace(key=None, probability=None)
    arrays: AnyBatch = jax.tree.map(jax.dlpack.from_dlpack, tensors)
    if device is not None:
        arrays = jax.device_put(arrays, device)
    return arrays._replace(key=batch.key, probability=batch.probability)
