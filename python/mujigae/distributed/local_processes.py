"""Processes of this machine as `Processes` of a run (see `calls`), without any other library.

Each server listens at a socket in a folder that only its user may enter. The process that started it holds the listening
end too: calls that are made while a server is started again wait in the socket, and it begins with them. A server ends when
the process that started it does, and leaves no file and no memory behind.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from mujigae.distributed.calls import CallRefusedError, CannotStartError
from mujigae.distributed.local_calls import Failure, LocalCalls, Server, connection_of
from mujigae.distributed.session_folder import session_folder
from mujigae.errors import MujigaeError
from mujigae.signals import SIGNALS, blocked_signals

__all__ = ["LocalProcesses", "local_processes", "require_sockets"]

MAX_PATH_BYTES = 100  # of a socket; systems differ
BACKLOG = 128  # processes that may connect while a server is busy


def require_sockets() -> None:
    """Raises MujigaeError on a system without sockets that have a path."""
    if not hasattr(socket, "AF_UNIX"):
        raise MujigaeError("workers: expected ray on a system without Unix sockets, got processes")


@contextmanager
def local_processes() -> Iterator[LocalProcesses]:
    """Room for processes, of which none is left at the end of the block."""
    require_sockets()
    with session_folder() as folder:
        processes = LocalProcesses(folder)
        try:
            yield processes
        finally:
            processes.close()


class _Started:
    """A server as its starter knows it."""

    def __init__(self, address: str, server: type, arguments: tuple[Any, ...]) -> None:
        if len(os.fsencode(address)) > MAX_PATH_BYTES:
            raise MujigaeError(f"TMPDIR: expected a shorter path, for a socket {address} in it")
        self._address, self._what = address, (server, arguments)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen(BACKLOG)
        self.process = self._begin()

    def _begin(self) -> Any:
        # Spawned: threads of torch do not survive a fork.
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(self.listener, f"{self._address}.log", *self._what)
        )
        with blocked_signals():
            process.start()
        return process

    def revive(self) -> None:
        """Starts it again where it died."""
        if not self.process.is_alive():
            self.process.join()
            self.process = self._begin()

    def end(self) -> None:
        """For good."""
        self.process.kill()
        self.process.join()
        self.listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._address)


class LocalProcesses(LocalCalls):
    """As `Processes`. Sockets are in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._started: dict[Server, _Started] = {}

    def start(self, name: str, server: type, *arguments: Any) -> Server:
        """As in `Processes`."""
        handle = Server(str(self._folder / name))
        self.kill(handle)
        self._started[handle] = _Started(handle.address, server, arguments)
        return handle

    def _watched(self) -> Sequence[int]:
        return [started.process.sentinel for started in self._started.values()]

    def _has_ended(self, sentinel: int) -> None:
        """A server has died: it is started again."""
        for started in self._started.values():
            started.revive()

    def kill(self, server: Server) -> None:
        """As in `Processes`."""
        started = self._started.pop(server, None)
        if started is not None:
            started.end()

    def shortage(self, count: int) -> str:
        """As in `Processes`."""
        return ""

    def close(self) -> None:
        """Ends them all."""
        for server in [*self._started]:
            self.kill(server)


def _serve(listener: socket.socket, log: str, server_class: type, arguments: tuple[Any, ...]) -> None:
    """Answers calls, one after the other, until the process that started this one is gone."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)  # not ignored: processes of an environment would inherit that
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _write_to(log)
    parent = multiprocessing.parent_process()
    assert parent is not None
    server: Any
    try:
        server = server_class(*arguments)
    except Exception as error:
        server = Failure(CannotStartError, _reason(error))
    lines: list[Connection] = []
    while True:
        ready: list[Any] = wait([parent.sentinel, listener, *lines])
        if parent.sentinel in ready:
            if not isinstance(server, Failure):
                server.close()
            return
        for one in ready:
            if one is listener:
                lines.append(_accepted(listener))
            elif not _answer_next(one, server):
                lines.remove(one)
                one.close()


def _write_to(log: str) -> None:
    """What servers print is not for the user's terminal."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _accepted(listener: socket.socket) -> Connection:
    taken, _ = listener.accept()
    return connection_of(taken)


def _answer_next(line: Connection, server: Any) -> bool:
    """Makes the next call of those who are at the other end; returns whether they are still there."""
    try:
        number, method, arguments = line.recv()
    except (EOFError, OSError):
        return False
    try:
        answer = server if isinstance(server, Failure) else getattr(server, method)(*arguments)
    except Exception as error:
        answer = Failure(CallRefusedError, _reason(error))
    try:
        line.send((number, answer))
    except OSError:
        return False
    return True


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
