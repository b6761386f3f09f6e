"""How a person or a scheduler stops a run: Ctrl-C (SIGINT), or SIGTERM as Slurm, Kubernetes and `docker stop` send it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "stop_on_signals"]


class Stop:
    """Whether a run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextmanager
def stop_on_signals(message: str) -> Iterator[Stop]:
    """The first SIGINT or SIGTERM sets the `Stop`, for the loop to see, and says `message`; a second ends the process.

    A second SIGINT is a KeyboardInterrupt, a second SIGTERM ends the process at once. Outside the main thread, which alone
    may have handlers, nothing is changed.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop.signal = signal.Signals(number)
        _say(message)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(message: str) -> None:
    """Past Python's streams: the signal may have come in the middle of a print, which cannot be entered twice."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"\n{message}\n".encode("ascii", "replace"))
