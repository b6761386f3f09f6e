"""Signals for a whole group, as Ctrl-C in a terminal: they are for the process that started the others, which says what follows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

__all__ = ["SIGNALS", "blocked_signals"]

SIGNALS = signal.SIGINT, signal.SIGTERM


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Processes that are spawned meanwhile begin with them blocked."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
