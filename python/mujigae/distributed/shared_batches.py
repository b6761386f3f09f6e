"""Batches in memory that the learner shares with the shards on its machine: a shard draws into it, and nothing is copied.

    learner   SharedBatches.like(batch, count)   room for `count` batches of this kind; `take` gives a free place
    shard     PlaceOpener.batch(place)           the arrays of that place, to be drawn into; None on another machine
    learner   SharedBatches.batch(place)         the same arrays, to be read

A place is free again when no array of its batch is left.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np

from mujigae.distributed.shared_memory import SharedMemory, Where, opened
from mujigae.replay.batch import Batch

__all__ = ["Place", "PlaceOpener", "SharedBatches", "batch_bytes"]

LINE_BYTES = 64  # arrays begin at a cache line


class Field(NamedTuple):
    """An array of a batch, and where it begins in its place."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


class Place(NamedTuple):
    """Room for one batch, as another process of the machine finds it."""

    memory: Where
    number: int
    num_bytes: int
    fields: Any  # a batch with a Field for each array


class SharedBatches:
    """The learner's side; see the module. `like` makes one. Threads: one, but arrays may be let go by any."""

    def __init__(self, memory: SharedMemory, count: int, fields: Any, num_bytes: int) -> None:
        self._shared, self._fields, self._num_bytes = memory, fields, num_bytes
        self._memory = np.frombuffer(memory.bytes, np.uint8)
        self._free = list(range(count))

    @classmethod
    def like(cls, batch: Batch, count: int) -> SharedBatches | None:
        """Room for `count` batches with arrays like this one's; None where the system has none to share."""
        fields, num_bytes = _layout(batch)
        memory = SharedMemory.make(count * num_bytes)
        return None if memory is None else cls(memory, count, fields, num_bytes)

    def take(self) -> Place | None:
        """A free place, which is taken until `give_back`, or until the arrays of its batch are gone; None: none is free."""
        if not self._free:
            return None
        return Place(self._shared.where, self._free.pop(0), self._num_bytes, self._fields)

    def give_back(self, place: Place) -> None:
        """Nothing was drawn into this place."""
        self._free.append(place.number)

    def batch(self, place: Place) -> Batch:
        """The batch in this place, which is free again when the last of these arrays, and of their views, is gone."""
        held = _Held(_part(self._memory, place))
        weakref.finalize(held, self._free.append, place.number)
        batch: Batch = _arrays(np.asarray(held), place.fields)
        return batch


class _Held:
    """Memory that arrays are views of: it goes with the last of them."""

    def __init__(self, memory: Any) -> None:
        self.memory, self.__array_interface__ = memory, memory.__array_interface__


class PlaceOpener:
    """A shard's side; see the module."""

    def __init__(self) -> None:
        self._where: Where | None = None
        self._memory: Any = None

    def batch(self, place: Place) -> Batch | None:
        """The arrays of a place of the learner's; None where its memory is not on this machine."""
        if place.memory != self._where:
            found = opened(place.memory)
            self._where = place.memory
            self._memory = None if found is None else np.frombuffer(found, np.uint8)
        return None if self._memory is None else _arrays(_part(self._memory, place), place.fields)


def batch_bytes(batch: Batch) -> int:
    """Of its arrays, each up to the end of a cache line."""
    return _layout(batch)[1]


def _part(memory: Any, place: Place) -> Any:
    return memory[place.number * place.num_bytes :][: place.num_bytes]


def _layout(batch: Batch) -> tuple[Any, int]:
    """A batch with a Field for each array, and their bytes."""
    end = 0

    def field(array: Any) -> Field:
        nonlocal end
        begin, end = end, end + -(-array.nbytes // LINE_BYTES) * LINE_BYTES
        return Field(array.dtype.str, array.shape, begin)

    return _mapped(batch, np.ndarray, field), end


def _arrays(memory: Any, fields: Any) -> Any:
    def array(field: Field) -> Any:
        dtype = np.dtype(field.dtype)
        num_bytes = dtype.itemsize * int(np.prod(field.shape))
        return memory[field.offset :][:num_bytes].view(dtype).reshape(field.shape)

    return _mapped(fields, Field, array)


def _mapped(tree: Any, leaf: type, make: Any) -> Any:
    """The tree of dicts and tuples with make(leaf) in the place of each leaf."""
    if isinstance(tree, leaf):
        return make(tree)
    if isinstance(tree, dict):
        return {name: _mapped(part, leaf, make) for name, part in tree.items()}
    if isinstance(tree, tuple):
        parts = [_mapped(part, leaf, make) for part in tree]
        return tree._make(parts) if hasattr(tree, "_make") else tuple(parts)
    return tree
