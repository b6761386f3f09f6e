"""Arguments of the buffers: each conversion names the argument, what was expected and what came."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

__all__ = ["as_bools", "as_float", "as_ids", "as_int", "as_reals", "cast", "rows"]


def as_int(argument: str, value: Any) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument}: expected an integer, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{argument}: expected an integer, got {value!r}") from None


def as_float(argument: str, value: Any) -> float:
    if isinstance(value, bool | np.bool_ | str):
        raise TypeError(f"{argument}: expected a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{argument}: expected a number, got {value!r}") from None


def as_reals(argument: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument}: expected real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def as_ids(argument: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{argument}: expected integers, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{argument}: expected one axis of ids, got shape {array.shape}")
    return array.astype(np.int64, copy=False)


def as_bools(argument: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind != "b":
        raise TypeError(f"{argument}: expected booleans, got dtype {array.dtype}")
    return array


def cast(argument: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """`value` in `dtype` if that is a cast within its kind that keeps every integer."""
    array = np.asarray(value)
    if array.dtype == dtype:
        return array
    are_integers = array.dtype.kind in "iu" and dtype.kind in "iu"
    if not are_integers and not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise TypeError(f"{argument}: expected dtype {dtype} or one of its kind, got {array.dtype}")
    converted = array.astype(dtype)
    if are_integers and not np.array_equal(converted, array):
        raise ValueError(f"{argument}: expected values that fit {dtype}, got {array.min()} to {array.max()}")
    return converted


def rows(argument: str, array: Any, lead: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """`array` of shape [*lead, *shape] as C-contiguous [rows, *shape]."""
    if array.shape != lead + shape:
        raise ValueError(f"{argument}: expected shape {lead + shape}, got {array.shape}")
    return np.ascontiguousarray(array).reshape(-1, *shape)
