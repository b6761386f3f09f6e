"""Types and bounds of configuration fields, written beside each field and read here.

    capacity: Count = 50_000                     an integer of at least 1
    minutes: Positive | None = None              a number above 0, or None
    torso: Literal["mlp", "nature"] = "mlp"      one of these words
    sizes: tuple[Count, ...] = (256,)            integers of at least 1

A bound is a `Bound` in the metadata of `typing.Annotated`, so any dataclass can have bounds of its own.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import textwrap
import types
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from mujigae.errors import ConfigError

__all__ = [
    *("Bound", "Count", "NotNegative", "NotNegativeNumber", "NotPositiveNumber", "Positive", "Share"),
    *("check_fields", "close_matches", "describe", "field_docs", "field_types"),
]


@dataclass(frozen=True)
class Bound:
    """What a value has to satisfy beside its type, and the words for it in an error."""

    expected: str
    holds: Callable[[Any], bool]


Count = Annotated[int, Bound("at least 1", lambda value: value >= 1)]
NotNegative = Annotated[int, Bound("at least 0", lambda value: value >= 0)]
Positive = Annotated[float, Bound("more than 0", lambda value: value > 0)]
NotNegativeNumber = Annotated[float, Bound("at least 0", lambda value: value >= 0)]
NotPositiveNumber = Annotated[float, Bound("at most 0", lambda value: value <= 0)]
Share = Annotated[float, Bound("a number from 0 to 1", lambda value: 0 <= value <= 1)]


def check_fields(part: Any) -> None:
    """Raises ConfigError for the first field of the dataclass `part` that is not of its type or out of bounds."""
    kind: Any = type(part)
    for name, hint in field_types(kind).items():
        value = getattr(part, name)
        if not _is_instance(value, hint):
            raise ConfigError(f"{name}: expected {describe(hint)}, got {value!r}")
        for bound in _bounds(hint):
            if value is not None and not bound.holds(value):
                raise ConfigError(f"{name}: expected {bound.expected}, got {value!r}")


@functools.cache
def field_types(part: type[Any]) -> dict[str, Any]:
    """The type of each field of a dataclass, bounds included; class variables are no fields."""
    hints = get_type_hints(part, include_extras=True)
    return {field.name: hints[field.name] for field in fields(part)}


@functools.cache
def field_docs(part: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, inherited ones included; empty where there is no source."""
    docs: dict[str, str] = {}
    for base in reversed(part.__mro__[:-1]):
        docs |= _docs_in_source(base)
    return docs


def close_matches(word: str, known: list[str]) -> str:
    """`; did you mean ...?`, or the known words where there are few, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, known, n=3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(known)}" if len(known) <= 12 else ""


def describe(hint: Any) -> str:
    """The type of a field in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return describe(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(describe(choice) for choice in arguments)
    if origin is Literal:
        return f"one of {', '.join(arguments)}"
    if origin is tuple:
        return f"a tuple, each {describe(arguments[0])}"
    named = {
        int: "an integer",
        float: "a finite number",
        bool: "true or false",
        str: "a string",
        Path: "a path",
    }
    return named.get(hint, "None")


def _docs_in_source(part: type) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, doc in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and is_text:
            docs[ast.unparse(field.target)] = str(doc.value.value)  # type: ignore[attr-defined]
    return docs


def _bounds(hint: Any) -> list[Bound]:
    """Those of the field's type, of the choices of a union, and of a tuple's items."""
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return [bound for bound in arguments[1:] if isinstance(bound, Bound)]
    if get_origin(hint) is tuple:
        return [_in_every_place(bound) for bound in _bounds(arguments[0])]
    if get_origin(hint) in (Union, types.UnionType):
        return [bound for choice in arguments for bound in _bounds(choice)]
    return []


def _in_every_place(bound: Bound) -> Bound:
    return Bound(f"{bound.expected} in every place", lambda items: all(map(bound.holds, items)))


def _is_instance(value: object, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_instance(value, arguments[0])
    if origin in (Union, types.UnionType):
        return any(_is_instance(value, choice) for choice in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_instance(item, arguments[0]) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
