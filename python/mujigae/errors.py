"""Every error that mujigae raises on purpose, and the one way to ask for an optional package."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    *("BrokenEnvironmentError", "CheckpointError", "ConfigError", "MissingExtraError", "MujigaeError"),
    *("SnapshotError", "require"),
]


class MujigaeError(Exception):
    """Base of the errors below; the command line prints one as a single line and exits with status 2."""


class ConfigError(MujigaeError, ValueError):
    """An unknown environment, preset or option, or a space that the agent cannot handle."""


class BrokenEnvironmentError(MujigaeError):
    """An environment failed or broke Gymnasium's contract; the message names it, the step and what was expected."""


class MissingExtraError(MujigaeError, ImportError):
    """An optional package is not installed; the message names the pip command."""


class CheckpointError(MujigaeError):
    """A checkpoint is corrupt, foreign or could not be written; the previous one is untouched."""


class SnapshotError(MujigaeError):
    """A replay snapshot is truncated, corrupt, foreign or of another version; the message says what and where."""


def require(module: str, extra: str) -> ModuleType:
    """Imports `module`, or raises MissingExtraError naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise  # installed, but broken by something else: hiding that would mislead
        raise MissingExtraError(
            f'{root} is not installed; it comes with: python -m pip install "mujigae[{extra}]"'
        ) from error
