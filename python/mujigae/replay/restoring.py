"""A replay buffer out of a snapshot, in a file or in bytes; which class it has is for the caller to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

from mujigae import _core
from mujigae.errors import SnapshotError
from mujigae.replay.samplers import Sampler
from mujigae.replay.spec import BufferSpec

__all__ = ["Restorable", "from_pieces", "restored"]

_MIN_ENV_BYTES = 8 * 17  # integers that a snapshot has for each environment with one observation


class Restorable:
    """What a class of buffers needs for its snapshots to become buffers again."""

    _sampler_class: ClassVar[type[Sampler] | None] = None  # the only one that it takes, if there is one
    _core: _core.Buffer

    def _construct(
        self, spec: BufferSpec, place: tuple[Any, bool], seed: Any, path: bytes | None, is_new: bool
    ) -> None:
        raise NotImplementedError

    def _place_batches(self, device: Any, frames_on_device: bool) -> None:
        raise NotImplementedError

    @classmethod
    def _of_spec(cls, spec: BufferSpec, path: bytes | None) -> Self:
        """Empty, or with what the file at `path` has."""
        if cls._sampler_class is not None and not isinstance(spec.sampler, cls._sampler_class):
            raise TypeError(
                f"{cls.__name__} has a {cls._sampler_class.__name__} sampler, not {spec.sampler!r}"
            )
        buffer = cls.__new__(cls)
        buffer._construct(spec, (None, False), seed=0, path=path, is_new=False)
        return buffer


def from_pieces(
    cls: type[Restorable], pieces: Sequence[Any], device: str | None, frames_on_device: bool
) -> Restorable:
    """What pickle calls: a buffer of class `cls` from a snapshot in `pieces`, bytes one after the other."""
    place = device, frames_on_device
    return restored("pickled buffer", _core.snapshot_of(pieces), lambda _: cls, place, None)


def restored(
    name: str,
    snapshot: _core.Snapshot,
    class_of: Callable[[BufferSpec], type[Restorable]],
    place: tuple[Any, bool],
    path: bytes | None,
) -> Restorable:
    """The buffer of a snapshot called `name` in errors; `path` is that of a file-backed one. Raises SnapshotError."""
    try:
        spec = BufferSpec.from_json(snapshot.meta)
        if spec.num_envs * _MIN_ENV_BYTES > snapshot.size:
            raise ValueError(f"{spec.num_envs} environments, more than {snapshot.size} bytes can describe")
        cls = class_of(spec)
        if not issubclass(cls, Restorable):
            raise TypeError(f"{cls.__name__} is no ReplayBuffer")
        buffer = cls._of_spec(spec, path)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SnapshotError(f"{name}: the description of the buffer is not valid: {error}") from error
    if path is None:
        buffer._core.load(snapshot)
    buffer._place_batches(*place)
    return buffer
