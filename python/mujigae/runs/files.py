"""How a run writes its small files: whole or not at all, and with the file's name in the error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mujigae.errors import MujigaeError

__all__ = ["write_whole", "written_to"]


@contextmanager
def written_to(path: Path) -> Iterator[Path]:
    """Turns an OSError into a MujigaeError that names the file."""
    try:
        yield path
    except OSError as error:
        raise MujigaeError(f"{path}: could not be written ({error.strerror or error})") from error


def write_whole(path: Path, text: str) -> None:
    """Writes aside and renames: a kill leaves the file of before. Raises MujigaeError."""
    aside = path.with_name(f".{path.name}.tmp")
    with written_to(path):
        aside.write_text(text, encoding="utf-8", newline="")
        os.replace(aside, path)
