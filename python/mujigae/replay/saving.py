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
from mujigae.replay.buffer import PrioritizedReplayBuffer, ReplayBuffer
from mujigae.replay.device import Placement
from mujigae.replay.spaces import ArraySpec, ObsLayout

__all__ = ["describe", "load"]

_CLASSES = {cls.__name__: cls for cls in (ReplayBuffer, PrioritizedReplayBuffer)}
_ARGUMENTS: dict[str, type] = {
    "capacity": int,
    "num_envs": int,
    "n_step": int,
    "gamma": float,
    "validate": bool,
    "alpha": float,
    "beta": float,
    "eps": float,
    "stratified": bool,
}
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


def load(path: str | os.PathLike[str], *, device: Any = None) -> ReplayBuffer:
    """Reads a buffer that `save` wrote; it continues bit for bit as the saved one would have.

    Args:
        path: the file.
        device: where batches go, as in the constructor; it is not saved.

    Raises SnapshotError, saying what is wrong and where, for a file that is truncated, damaged, foreign or of another
    version; OSError when it cannot be read.
    """
    name = as_path(path)
    meta = _core.read_snapshot_meta(name)
    try:
        buffer = _construct(json.loads(meta))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SnapshotError(
            f"{os.fsdecode(name)}: the description of the buffer is not valid: {error}"
        ) from error
    buffer._core.load(name)
    buffer._placement = Placement.of(device, buffer._obs, buffer._action)
    return buffer


def _construct(meta: dict[str, Any]) -> ReplayBuffer:
    cls = _CLASSES[meta["class"]]
    expected = set(_ARGUMENTS) if cls is PrioritizedReplayBuffer else set(_ARGUMENTS) - _PRIORITIZED_ONLY
    arguments = dict(meta["arguments"])
    if set(arguments) != expected:
        raise ValueError(f"expected the arguments {sorted(expected)}, got {sorted(arguments)}")
    for key, value in arguments.items():
        if type(value) is not _ARGUMENTS[key]:
            raise TypeError(f"{key} is no {_ARGUMENTS[key].__name__}")
    specs = tuple(_spec_from_json(spec) for spec in meta["obs"])
    layout = ObsLayout(specs, _tree_from_json(meta["tree"], iter(range(len(specs)))))
    buffer = cls.__new__(cls)
    buffer._construct(arguments, layout, _spec_from_json(meta["action"]), None, 0)
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
