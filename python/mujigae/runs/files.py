"""How a run writes its files: aside first, then renamed, and with the file's name in the error."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mujigae.errors import MujigaeError

__all__ = ["replaced", "sync_folder", "write_whole", "written_to"]


@contextmanager
def written_to(path: Path) -> Iterator[Path]:
    """Turns an OSError into a MujigaeError that names the file."""
    try:
        yield path
    except OSError as error:
        raise MujigaeError(f"{path}: could not be written ({error.strerror or error})") from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; at the end it becomes `path`, and after any error it is gone.

    Whoever reads `path`, and a kill at any moment, finds the file of before or the new one. Raises OSError.
    """
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def write_whole(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 in the place of what `path` holds; raises MujigaeError."""
    with written_to(path), replaced(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="")


def sync_folder(folder: Path) -> None:
    """Puts the names in `folder` on the disk; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
