"""Every error that mujigae raises on purpose, and the one way to ask for an optional package."""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from types import ModuleType

__all__ = [
    *("BrokenEnvironmentError", "CheckpointError", "ConfigError", "MissingExtraError", "MujigaeError"),
    *("SnapshotError", "UnsupportedVersionError", "require"),
]


class MujigaeError(Exception):
    """Base of the errors below; the command line prints one as a single line and exits with status 2."""


class ConfigError(MujigaeError, ValueError):
    """An unknown environment, preset or option, or a space that the agent cannot handle."""


class BrokenEnvironmentError(MujigaeError):
    """An environment failed or broke Gymnasium's contract; the message names it, the step and what was expected."""


class MissingExtraError(MujigaeError, ImportError):
    """An optional package is not installed; the message names the pip command."""


class UnsupportedVersionError(MujigaeError, ImportError):
    """An optional package is installed in a version that the adapter does not support; the message says which are."""


class CheckpointError(MujigaeError):
    """A checkpoint is corrupt, foreign or could not be written; the previous one is untouched."""


class SnapshotError(MujigaeError):
    """A replay snapshot is truncated, corrupt, foreign or of another version; the message says what and where."""


def require(module: str, extra: str, *, first: str | None = None, below: str | None = None) -> ModuleType:
    """Imports `module`, or raises MissingExtraError naming the extra that brings it.

    With `first` and `below`, such as "2.0" and "2.1", UnsupportedVersionError for a version that is not from `first` on and
    before `below`; the distribution has to be named as its module.
    """
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise  # installed, but broken by something else: hiding that would mislead
        raise MissingExtraError(
            f'{root} is not installed; it comes with: python -m pip install "mujigae[{extra}]"'
        ) from error
    if first is not None and below is not None:
        _check_version(module, extra, first, below)
    return imported


def _check_version(module: str, extra: str, first: str, below: str) -> None:
    version = metadata.version(module)
    if not _numbers(first) <= _numbers(version) < _numbers(below):
        raise UnsupportedVersionError(
            f"{module} {version} is installed; supported are versions from {first} on and below {below}: "
            f'python -m pip install "mujigae[{extra}]"'
        )


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (2, 0, 1) for "2.0.1rc1"."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
