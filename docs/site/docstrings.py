"""An extension of griffe for docstrings that lie elsewhere than griffe looks.

Names of the compiled module have its docstrings beside the signatures of its stub. A field of a NamedTuple has the comment at the
end of its line.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import griffe

MODULE = "mujigae._core"
SIGNATURE = re.compile(r"^\w+\(.*\) -> .*$")  # pybind11 writes one at the top; the stub's is better
COMMENT = re.compile(r"^\w+: [^#]*#:? ?(.+)$")


class Docstrings(griffe.Extension):
    """Adds what an object has no docstring of its own for."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is None:
            text = compiled_docstring(obj) if obj.path.startswith(f"{MODULE}.") else comment(obj)
            if text:
                obj.docstring = griffe.Docstring(text, parent=obj)


def compiled_docstring(obj: griffe.Object) -> str:
    """That of the compiled module, without signatures; empty if it has none."""
    found: Any = import_module(MODULE)
    for part in obj.path.removeprefix(f"{MODULE}.").split("."):
        found = getattr(found, part, None)
    text = getattr(found, "__doc__", None) or ""
    if "Overloaded function." in text:  # nothing but pybind11's list of signatures
        return ""
    lines = inspect.cleandoc(text).splitlines()
    return "\n".join(line for line in lines if not SIGNATURE.match(line)).strip()


def comment(obj: griffe.Object) -> str:
    """The comment behind a field of a NamedTuple; empty if there is none."""
    parent = obj.parent
    if not (obj.is_attribute and isinstance(parent, griffe.Class)):
        return ""
    if "NamedTuple" not in {str(base) for base in parent.bases}:
        return ""
    match = COMMENT.match(" ".join(obj.source.split()))
    return match[1] if match else ""
