"""An environment whose close() fails has still been played: the failure is said, and stops nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mujigae.envs.environment import Environment
from mujigae.runs.reading import reason_of

__all__ = ["closed_in_the_end", "warn"]


def warn(line: str) -> None:
    """One line on stderr."""
    print(f"mujigae: warning: {line}", file=sys.stderr)


@contextmanager
def closed_in_the_end(environment: Environment, say: Callable[[str], None] = warn) -> Iterator[None]:
    """Closes `environment` after the block; an Exception of its close() is said."""
    try:
        yield
    finally:
        try:
            environment.close()
        except Exception as error:
            say(f"the environment could not be closed ({reason_of(error)})")
            with contextlib.suppress(AttributeError):
                environment.stream.env.unwrapped.closed = (
                    True  # or Gymnasium tries again when it is collected
                )
