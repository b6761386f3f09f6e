"""A replay buffer out of a snapshot, in a file or in bytes; which class it has is for the caller to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mujigae import _core
from mujigae.errors import SnapshotError
from mujigae.replay.spec import BufferSpec

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Restorable", "from_pieces", "restored"]

_MIN_ENV_BYTES = 8 * 17  # integers that a snapshot has for each environment with one observation


class Restorable(Protocol):
    """A class of buffers whose snapshots become buffers again."""

    _core: _core.Buffer

    @classmethod
    def _of_spec(cls, spec: BufferSpec, file: tuple[bytes, str] | None) -> Self:
        """Empty, or with what the file has: its path, and "old" or "copy"."""

    def _place_batches(self, device: Any, frames_on_device: bool) -> None:
        """Decides where batches and frames go, as in the constructor."""


_Buffer = TypeVar("_Buffer", bound=Restorable)


def from_pieces(
    cls: type[_Buffer], pieces: Sequence[Any], device: str | None, frames_on_device: bool
) -> _Buffer:
    """What pickle calls: a buffer of class `cls` from a snapshot in `pieces`, bytes one after the other."""
    place = device, frames_on_device
    return restored("pickled buffer", _core.snapshot_of(pieces), lambda _: cls, place, None)


def restored(
    name: str,
    snapshot: _core.Snapshot,
    class_of: Callable[[BufferSpec], type[_Buffer]],
    place: tuple[Any, bool],
    file: tuple[bytes, str] | None,
) -> _Buffer:
    """The buffer of a snapshot called `name` in errors; `file` is that of a file-backed one. Raises SnapshotError."""
    try:
        spec = BufferSpec.from_json(snapshot.meta)
        if spec.num_envs * _MIN_ENV_BYTES > snapshot.size:
            raise ValueError(f"{spec.num_envs} environments, more than {snapshot.size} bytes can describe")
        cls = class_of(spec)
        if not hasattr(cls, "_of_spec"):
            raise TypeError(f"{cls.__name__} is no ReplayBuffer")
        buffer = cls._of_spec(spec, file)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SnapshotError(f"{name}: the description of the buffer is not valid: {error}") from error
    if file is None:
        buffer._core.load(snapshot)
    buffer._place_batches(*place)
    return buffer
