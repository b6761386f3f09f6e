"""Arguments of the buffers: each conversion names the argument, what was expected and what came."""

from __future__ import annotations

import operator
import os
from typing import Any

import numpy as np

__all__ = [
    "as_array",
    "as_bool",
    "as_bools",
    "as_float",
    "as_ids",
    "as_int",
    "as_path",
    "as_reals",
    "cast",
    "rows",
]


def as_int(argument: str, value: Any) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument}: expected an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument}: expected an integer, got {value!r}") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{argument}: expected a 64-bit integer, got {number}")
    return number


def as_bool(argument: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument}: expected True or False, got {value!r}")
    return bool(value)


def as_float(argument: str, value: Any) -> float:
    if isinstance(value, bool | np.bool_ | str | bytes | complex):
        raise TypeError(f"{argument}: expected a real number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{argument}: expected a real number, got {value!r}") from None
    except OverflowError:
        raise ValueError(
            f"{argument}: expected a number that a float64 holds, got one of {len(str(value))} digits"
        ) from None


def as_path(path: str | os.PathLike[str]) -> bytes:
    try:
        name = os.fsencode(path)
    except TypeError:
        raise TypeError(f"path: expected a str or os.PathLike, got {path!r}") from None
    if b"\0" in name:
        raise ValueError(f"path: expected a name without NUL, got {name!r}")
    return name


def as_array(argument: str, value: Any) -> Any:
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{argument}: expected rows of equal length, got ragged ones") from None
    except RuntimeError:  # torch's, of a tensor that requires a gradient
        return np.asarray(_detached(value))


def _detached(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_detached(item) for item in value]
    return value.detach() if hasattr(value, "detach") else value


def as_reals(argument: str, value: Any) -> Any:
    array = as_array(argument, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument}: expected real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def as_ids(argument: str, value: Any) -> Any:
    array = as_array(argument, value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{argument}: expected integers, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{argument}: expected one axis of ids, got shape {array.shape}")
    if array.dtype == np.uint64:  # cast, they would be negative
        for i in np.flatnonzero(array >= 2**63)[:1]:
            raise IndexError(f"{argument}[{i}]: expected an index below 2^63, got {array[i]}")
    return array.astype(np.int64, copy=False)


def as_bools(argument: str, value: Any) -> Any:
    array = as_array(argument, value)
    if array.dtype.kind != "b" and array.size:
        raise TypeError(f"{argument}: expected booleans, got dtype {array.dtype}")
    return array.astype(np.bool_, copy=False)


def cast(argument: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """`value` in `dtype` if that is a cast within its kind that keeps every integer."""
    array = as_array(argument, value)
    if array.dtype == dtype:
        return array
    are_integers = array.dtype.kind in "iu" and dtype.kind in "iuf"
    if array.size and not are_integers and not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise TypeError(f"{argument}: expected dtype {dtype} or one of its kind, got {array.dtype}")
    with np.errstate(over="ignore"):  # what no longer fits is refused below
        converted = array.astype(dtype)
    is_kept = (
        _keeps_integers(converted, array)
        if are_integers
        else np.array_equal(np.isfinite(converted), np.isfinite(array))
    )
    if not is_kept:
        raise ValueError(f"{argument}: expected values that fit {dtype}, got {array.min()} to {array.max()}")
    return converted


def _keeps_integers(converted: Any, array: Any) -> bool:
    """Whether the integers of `array` are the same in `converted`, of integers or floats."""
    if converted.dtype.kind in "iu":
        return np.array_equal(converted, array)
    end = 2.0 ** np.iinfo(array.dtype).bits / (2 if array.dtype.kind == "i" else 1)
    return bool((converted.astype(np.float64) < end).all()) and np.array_equal(
        converted.astype(array.dtype), array
    )


def rows(argument: str, array: Any, lead: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """`array` of shape [*lead, *shape] as C-contiguous [rows, *shape]."""
    if array.shape != lead + shape:
        raise ValueError(f"{argument}: expected shape {lead + shape}, got {array.shape}")
    return np.ascontiguousarray(array).reshape(-1, *shape)
