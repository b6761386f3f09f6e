"""Observation and action spaces as flat lists of arrays: names, shapes, dtypes and stacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mujigae.replay.arguments import as_array, rows

__all__ = ["ArraySpec", "ObsLayout", "action_spec", "exact_rows", "extra_specs"]

_KINDS = "biufc"  # booleans, integers, floats, complex: plain bytes that mean the same in every process
MAX_STACK, MAX_DIMENSIONS, MAX_BYTES = 255, 60, 2**40  # NumPy allows 64 dimensions; a batch and time take two


@dataclass(frozen=True)
class ArraySpec:
    """One array of an observation: `stack` > 1 says that axis 0 is a rolling stack of so many frames."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stack: int = 1

    def __post_init__(self) -> None:
        if self.dtype.kind not in _KINDS or not self.dtype.isnative:
            raise TypeError(f"{self.name}: expected a native numeric dtype, got {self.dtype}")
        if len(self.shape) > MAX_DIMENSIONS or any(extent < 1 for extent in self.shape):
            raise ValueError(
                f"{self.name}: expected at most {MAX_DIMENSIONS} positive extents, got shape {self.shape}"
            )
        if math.prod(self.shape) * self.dtype.itemsize > MAX_BYTES:
            raise ValueError(
                f"{self.name}: expected at most 2^40 bytes, got shape {self.shape} of {self.dtype}"
            )
        if not 1 <= self.stack <= MAX_STACK:
            raise ValueError(f"frame_stack: expected 1 to {MAX_STACK} for {self.name}, got {self.stack}")
        if self.stack > 1 and (not self.shape or self.shape[0] % self.stack):
            raise ValueError(
                f"frame_stack: expected axis 0 of {self.name} to be a multiple of {self.stack}, got shape {self.shape}"
            )


@dataclass(frozen=True)
class ObsLayout:
    """How an observation space flattens into arrays, and how arrays become an observation again."""

    specs: tuple[ArraySpec, ...]
    tree: Any  #: the index of an array in `specs`, or a dict or tuple of trees

    @classmethod
    def of(cls, space: Any, frame_stack: int | Mapping[str, int] | None) -> ObsLayout:
        """Reads a space: .shape/.dtype, a Dict or Tuple of spaces, or `{"name": (shape, dtype)}`.

        Raises TypeError or ValueError naming the part that is no space or no possible stack.
        """
        if isinstance(space, cls):
            return space
        arrays: list[tuple[str, tuple[int, ...], np.dtype[Any]]] = []
        tree = _flatten(space, "", arrays)
        if not arrays:
            raise ValueError(f"observation_space: expected at least one array, got {space}")
        names = [name for name, _, _ in arrays]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"observation_space: expected names that differ when joined by dots, got {duplicates} twice"
            )
        stacks = _stacks(frame_stack, names)
        specs = tuple(ArraySpec(name, shape, dtype, stacks.get(name, 1)) for name, shape, dtype in arrays)
        return cls(specs, tree)

    def flatten(self, argument: str, value: Any) -> list[Any]:
        """The arrays of an observation in the order of `specs`; ValueError for another structure."""
        leaves: list[Any] = [None] * len(self.specs)
        _collect(argument, self.tree, value, leaves)
        return leaves

    def rows(self, argument: str, value: Any, lead: tuple[int, ...]) -> list[Any]:
        """The arrays of observations with the leading axes `lead`, each as C-contiguous [rows, *shape], never cast."""
        arrays = []
        for spec, leaf in zip(self.specs, self.flatten(argument, value), strict=True):
            name = argument if len(self.specs) == 1 else f"{argument}[{spec.name}]"
            arrays.append(exact_rows(name, leaf, spec, lead))
        return arrays

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The observation that has these arrays."""
        return _rebuild(self.tree, leaves)


def exact_rows(argument: str, value: Any, spec: ArraySpec, lead: tuple[int, ...]) -> Any:
    """`value` as C-contiguous [rows, *shape]; TypeError for another dtype, ValueError for another shape."""
    array = as_array(argument, value)
    if array.dtype != spec.dtype:
        raise TypeError(f"{argument}: expected dtype {spec.dtype} (never cast), got {array.dtype}")
    return rows(argument, array, lead, spec.shape)


def action_spec(space: Any) -> ArraySpec:
    """The one array of an action space; raises TypeError for a space of several."""
    if isinstance(space, ArraySpec):
        return space
    arrays: list[tuple[str, tuple[int, ...], np.dtype[Any]]] = []
    if isinstance(_flatten(space, "", arrays, argument="action_space"), int):
        return ArraySpec("action_space", *arrays[0][1:])
    raise TypeError(f"action_space: expected one array, got {space}")


def extra_specs(extras: Mapping[Any, Any] | None) -> tuple[ArraySpec, ...]:
    """More fields of a row, `{"log_prob": ((), np.float32)}`; raises TypeError for anything else."""
    if extras is None:
        return ()
    if not isinstance(extras, Mapping):
        raise TypeError(f'extras: expected {{"name": (shape, dtype)}}, got {extras!r}')
    specs = []
    for name, space in extras.items():
        arrays: list[tuple[str, tuple[int, ...], np.dtype[Any]]] = []
        if not isinstance(name, str) or not isinstance(_flatten(space, "", arrays, argument="extras"), int):
            raise TypeError(f'extras: expected {{"name": (shape, dtype)}}, got {name!r}: {space!r}')
        if not name.isprintable():
            raise ValueError(f"extras: expected names of characters that can be printed, got {name!r}")
        specs.append(ArraySpec(name, *arrays[0][1:]))
    return tuple(specs)


def _flatten(space: Any, name: str, arrays: list[Any], argument: str = "observation_space") -> Any:
    children = getattr(space, "spaces", space)
    if isinstance(children, Mapping):
        _check_keys(children, name or argument)
        return {key: _flatten(child, _join(name, key), arrays, argument) for key, child in children.items()}
    if isinstance(children, tuple | list) and not _is_shape_and_dtype(children):
        return tuple(_flatten(child, _join(name, i), arrays, argument) for i, child in enumerate(children))
    label = f"{argument}[{name}]" if name else argument
    shape, dtype = children if isinstance(children, tuple) else _shape_and_dtype(children, label)
    arrays.append((name or argument, tuple(int(extent) for extent in shape), _dtype(dtype, label)))
    return len(arrays) - 1


def _check_keys(children: Mapping[Any, Any], name: str) -> None:
    for key in children:
        if not isinstance(key, str):
            raise TypeError(f"{name}: expected names as keys, got {key!r}")


def _join(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _is_shape_and_dtype(value: Sequence[Any]) -> bool:
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], tuple | list):
        return False
    return all(isinstance(extent, int | np.integer) for extent in value[0])


def _shape_and_dtype(space: Any, name: str) -> tuple[Any, Any]:
    shape, dtype = getattr(space, "shape", None), getattr(space, "dtype", None)
    if not isinstance(shape, tuple | list) or dtype is None:
        raise TypeError(
            f"{name}: expected a space with shape and dtype, a dict or a tuple of them, got {space!r}"
        )
    return shape, dtype


def _dtype(dtype: Any, name: str) -> np.dtype[Any]:
    try:
        if dtype is None:  # which NumPy takes for float64
            raise TypeError
        checked: np.dtype[Any] = np.dtype(dtype)
        return checked
    except TypeError:
        raise TypeError(f"{name}: expected a NumPy dtype, got {dtype!r}") from None


def _stacks(frame_stack: int | Mapping[str, int] | None, names: list[str]) -> dict[str, int]:
    if frame_stack is None:
        return {}
    if isinstance(frame_stack, Mapping):
        unknown = sorted(set(frame_stack) - set(names))
        if unknown:
            raise ValueError(f"frame_stack: expected names among {names}, got {unknown}")
        return {name: _as_int(stack) for name, stack in frame_stack.items()}
    if len(names) > 1:
        raise ValueError(f'frame_stack: expected {{"name": k}} for the arrays {names}, got {frame_stack!r}')
    return {names[0]: _as_int(frame_stack)}


def _as_int(stack: Any) -> int:
    if isinstance(stack, bool) or not isinstance(stack, int | np.integer):
        raise TypeError(f"frame_stack: expected an integer, got {stack!r}")
    return int(stack)


def _collect(path: str, tree: Any, value: Any, leaves: list[Any]) -> None:
    if isinstance(tree, int):
        leaves[tree] = value
    elif isinstance(tree, dict):
        if not isinstance(value, Mapping) or set(value) != set(tree):
            raise ValueError(f"{path}: expected a dict with {sorted(tree)}, got {_outline(value)}")
        for key, child in tree.items():
            _collect(f"{path}[{key!r}]", child, value[key], leaves)
    else:
        if not isinstance(value, tuple | list) or len(value) != len(tree):
            raise ValueError(f"{path}: expected a tuple of {len(tree)}, got {_outline(value)}")
        for i, child in enumerate(tree):
            _collect(f"{path}[{i}]", child, value[i], leaves)


def _outline(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with {sorted(map(str, value))}"
    return f"a tuple of {len(value)}" if isinstance(value, tuple | list) else type(value).__name__


def _rebuild(tree: Any, leaves: Sequence[Any]) -> Any:
    if isinstance(tree, int):
        return leaves[tree]
    if isinstance(tree, dict):
        return {key: _rebuild(child, leaves) for key, child in tree.items()}
    return tuple(_rebuild(child, leaves) for child in tree)
