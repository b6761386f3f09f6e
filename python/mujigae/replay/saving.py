"""Snapshots of replay buffers: the description that a file begins with, and the way back to a buffer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from mujigae import _core
from mujigae.errors import SnapshotError
from mujigae.replay.arguments import as_path
from mujigae.replay.buffer import ReplayBuffer
from mujigae.replay.prioritized import PrioritizedReplayBuffer
from mujigae.replay.spaces import ArraySpec, ObsLayout

__all__ = ["describe", "from_bytes", "load"]

_CLASSES = {cls.__name__: cls for cls in (ReplayBuffer, PrioritizedReplayBuffer)}
_ARGUMENTS: dict[str, type] = {
    "capacity": int,
    "num_envs": int,
    "n_step": int,
    "gamma": float,
    "compress": bool,
    "prefetch": int,
    "validate": bool,
    "alpha": float,
    "beta": float,
    "eps": float,
    "stratified": bool,
}
_MIN_ENV_BYTES = 8 * 9  # integers that a snapshot has for each environment with one observation
_PRIORITIZED_ONLY = {"alpha", "beta", "eps", "stratified"}


def describe(class_name: str, arguments: dict[str, Any], obs: ObsLayout, action: ArraySpec) -> str:
    """How to construct a buffer again, as JSON; its contents follow in the file."""
    name = class_name if class_name in _CLASSES else _base_name(arguments)
    specs = [_spec_to_json(spec) for spec in obs.specs]
    return json.dumps(
        {
            "class": name,
            "arguments": arguments,
            "obs": specs,
            "tree": _tree_to_json(obs.tree),
            "action": _spec_to_json(action),
        }
    )


def load(path: str | os.PathLike[str], *, device: Any = None, frames_on_device: bool = False) -> ReplayBuffer:
    """Reads a buffer that `save` wrote, or reopens the file of one with `path`; it continues bit for bit.

    A file-backed buffer stays so, with the same path. After a kill it has every row that was flushed and not evicted since;
    what reached the disk in part is recognised and dropped.

    Args:
        path: the file.
        device, frames_on_device: where batches and frames go, as in the constructor; not saved.

    Raises SnapshotError, saying what is wrong and where, for a file that is truncated, damaged, foreign or of another
    version; OSError when it cannot be read, or is file-backed and open elsewhere.
    """
    name = as_path(path)
    snapshot = _core.Snapshot(name)
    if snapshot.is_file_backed:
        return _restored(os.fsdecode(name), snapshot, None, (device, frames_on_device), name)
    return _restored(os.fsdecode(name), snapshot, None, (device, frames_on_device))


def from_bytes(
    cls: type[ReplayBuffer], data: bytes, device: str | None, frames_on_device: bool
) -> ReplayBuffer:
    """What pickle calls: a buffer of class `cls` from the snapshot `data`."""
    return _restored("pickled buffer", _core.snapshot_of(data), cls, (device, frames_on_device))


def _restored(
    name: str,
    snapshot: _core.Snapshot,
    cls: type[ReplayBuffer] | None,
    place: tuple[Any, bool],
    path: bytes | None = None,
) -> ReplayBuffer:
    try:
        buffer = _construct(json.loads(snapshot.meta), snapshot.size, cls, path)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SnapshotError(f"{name}: the description of the buffer is not valid: {error}") from error
    if path is None:
        buffer._core.load(snapshot)
    buffer._put_batches(*place)
    return buffer


def _construct(
    meta: dict[str, Any], size: int, cls: type[ReplayBuffer] | None, path: bytes | None
) -> ReplayBuffer:
    base = _CLASSES[meta["class"]]
    expected = set(_ARGUMENTS) if base is PrioritizedReplayBuffer else set(_ARGUMENTS) - _PRIORITIZED_ONLY
    arguments = dict(meta["arguments"])
    arguments.setdefault("prefetch", 0)  # files from before it
    if set(arguments) != expected:
        raise ValueError(f"expected the arguments {sorted(expected)}, got {sorted(arguments)}")
    for key, value in arguments.items():
        if type(value) is not _ARGUMENTS[key]:
            raise TypeError(f"{key} is no {_ARGUMENTS[key].__name__}")
    specs = tuple(_spec_from_json(spec) for spec in meta["obs"])
    layout = ObsLayout(specs, _tree_from_json(meta["tree"], iter(range(len(specs)))))
    if arguments["num_envs"] * _MIN_ENV_BYTES > size:
        raise ValueError(f"{arguments['num_envs']} environments, more than {size} bytes can describe")
    if cls is None:
        cls = base
    if not issubclass(cls, base):
        raise TypeError(f"{cls.__name__} is no {base.__name__}")
    buffer = cls.__new__(cls)
    buffer._construct(
        arguments, layout, _spec_from_json(meta["action"]), (None, False), 0, path, is_new=False
    )
    return buffer


def _base_name(arguments: dict[str, Any]) -> str:
    return (PrioritizedReplayBuffer if "alpha" in arguments else ReplayBuffer).__name__


def _spec_to_json(spec: ArraySpec) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype.str, "stack": spec.stack}


def _spec_from_json(spec: dict[str, Any]) -> ArraySpec:
    shape, stack = spec["shape"], spec["stack"]
    is_plain = isinstance(spec["dtype"], str) and re.fullmatch(r"[|<>=][biufc]\d{1,2}", spec["dtype"])
    if not is_plain or not all(type(number) is int for number in (*shape, stack)):
        raise TypeError(f"{spec['name']!r} has no valid shape, dtype or stack")
    return ArraySpec(str(spec["name"]), tuple(shape), np.dtype(spec["dtype"]), stack)


def _tree_to_json(tree: Any) -> Any:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[key, _tree_to_json(child)] for key, child in tree.items()]}
    return {"tuple": [_tree_to_json(child) for child in tree]}


def _tree_from_json(tree: Any, leaves: Iterator[int]) -> Any:
    """The structure back; its leaves are 0, 1, 2 ... in order, each once."""
    if type(tree) is int:
        if tree != next(leaves, None):
            raise ValueError(f"array {tree} is out of place in the structure of observations")
        return tree
    if "dict" in tree:
        return {str(key): _tree_from_json(child, leaves) for key, child in tree["dict"]}
    return tuple(_tree_from_json(child, leaves) for child in tree["tuple"])
