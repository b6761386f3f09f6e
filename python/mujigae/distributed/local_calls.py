"""Calls from one process of this machine to another, through sockets: the caller's side of `local_processes`."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import pickle
import socket
import struct
import sys
import time
import weakref
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from mujigae.distributed.calls import CallError, NoAnswerError, ServerDiedError
from mujigae.distributed.shared_memory import SharedMemory, Where, opened

__all__ = ["Failure", "LocalCalls", "Server", "connection_of"]

MESSAGE_SECONDS = 60  # until a message to or from a process that stands still is given up, with its line


class Server(NamedTuple):
    """What answers calls, for any process of the run."""

    address: str


class Failure(NamedTuple):
    """An answer that is an error."""

    kind: type[CallError]
    message: str


class Call:
    """A call that was begun. It keeps its arguments until it is over: what they refer to is read over there."""

    def __init__(self, arguments: Any, line: Line | None = None) -> None:
        self.arguments, self.line = arguments, line
        self.is_over, self.result = False, None

    def end(self, result: Any) -> None:
        self.is_over, self.result, self.arguments = True, result, None


class Line:
    """A connection to a server, and the calls that are under way on it. One that breaks ends all of them."""

    def __init__(self, address: str) -> None:
        self.is_broken = False
        self._under_way: weakref.WeakValueDictionary[int, Call] = weakref.WeakValueDictionary()
        self._numbers = itertools.count()
        socket_ = socket.socket(socket.AF_UNIX)
        socket_.connect(address)
        self.connection = connection_of(socket_)

    def send(self, method: str, arguments: Any) -> Call:
        """Begins a call. Raises ConnectionError, and breaks, where nobody is at the other end, who made no such call then."""
        call, number = Call(arguments, self), next(self._numbers)
        self._under_way[number] = call
        try:
            self.connection.send((number, method, arguments))
        except OSError as error:
            self.break_off(str(error))
            if isinstance(error, ConnectionError):
                raise
        return call

    def receive_all(self) -> None:
        """Takes every answer that is there."""
        while not self.is_broken and self.connection.poll():
            self.receive()

    def receive(self) -> None:
        """Takes the next answer, which is there; nobody may wait for it any more."""
        try:
            number, result = self.connection.recv()
        except (EOFError, OSError) as error:
            self.break_off(str(error) or "its socket was closed")
            return
        call = self._under_way.pop(number, None)
        if call is not None:
            call.end(result)

    def break_off(self, reason: str) -> None:
        self.is_broken = True
        self.connection.close()
        for call in [*self._under_way.values()]:
            call.end(Failure(ServerDiedError, reason))
        self._under_way.clear()


class LocalCalls:
    """As `Calls`. In a process that was started for a run, any of these ends it where the run's own process is gone."""

    def __init__(self) -> None:
        self._lines: dict[Server, Line] = {}

    def __reduce__(self) -> Any:
        return LocalCalls, ()

    def call(self, server: Server, method: str, *arguments: Any) -> Call:
        """As in `Calls`."""
        self._receive((), 0.0)
        line = self._lines.get(server)
        if line is not None:
            line.receive_all()  # or the server might wait for room for its answers, and read no more calls
            if not line.is_broken:
                with contextlib.suppress(ConnectionError):  # its process died: a new line leads to the next
                    return line.send(method, arguments)
        try:
            line = self._lines[server] = Line(server.address)
            return line.send(method, arguments)
        except OSError as error:
            return _failed(error)

    def wait(self, calls: Sequence[Call], count: int, seconds: float) -> list[Call]:
        """As in `Calls`."""
        give_up_at = time.monotonic() + seconds
        while True:
            over = [call for call in calls if call.is_over]
            if len(over) >= count:
                return over
            lines = {call.line for call in calls if call.line is not None and not call.is_over}
            if not self._receive(lines, max(give_up_at - time.monotonic(), 0.0)):
                return over

    def answer(self, call: Call, seconds: float) -> Any:
        """As in `Calls`."""
        if not self.wait([call], 1, seconds):
            raise NoAnswerError(f"expected an answer within {seconds:g} seconds, got none")
        if isinstance(call.result, Failure):
            raise call.result.kind(call.result.message)
        return call.result

    def _receive(self, lines: Iterable[Line], seconds: float) -> bool:
        """Takes one answer of each line that has one within so many seconds; returns whether any had."""
        by_connection: dict[Any, Line] = {line.connection: line for line in lines}
        ready: list[Any] = wait([*by_connection, *self._watched()], seconds)
        for one in ready:
            if one in by_connection:
                by_connection[one].receive()
            else:
                self._has_ended(one)
        return bool(ready)

    def _watched(self) -> Sequence[int]:
        """What is ready when a process has ended that these calls depend on: here the one that started this one."""
        parent = multiprocessing.parent_process()
        return [] if parent is None else [parent.sentinel]

    def _has_ended(self, sentinel: int) -> None:
        sys.exit("the run is gone")

    def put(self, value: Any) -> Stored:
        """As in `Calls`."""
        return Stored(pickle.dumps(value, protocol=5))

    def get(self, reference: Reference, seconds: float) -> Any:
        """As in `Calls`."""
        data: Any = reference.data
        if reference.where is not None:
            data = opened(reference.where)
            if data is None:
                raise ServerDiedError("the value is gone with the process that had it")
        return pickle.loads(
            data
        )  # from the run's own process: only its user reaches this memory, and the sockets


class Reference(NamedTuple):
    """Where a value lies, or its bytes where processes share no memory."""

    where: Where | None
    data: bytes = b""


class Stored:
    """A value that is there as long as this object; other processes get its `Reference`."""

    def __init__(self, data: bytes) -> None:
        self._memory = SharedMemory.make(len(data))
        if self._memory is None:
            self._reference = Reference(None, data)
        else:
            self._memory.bytes[:] = data
            self._reference = Reference(self._memory.where)

    def __reduce__(self) -> Any:
        return Reference, tuple(self._reference)


def connection_of(socket_: socket.socket) -> Connection:
    """What messages go through: a process at the other end that does not move breaks it after a while."""
    limit = struct.pack("ll", MESSAGE_SECONDS, 0)
    for direction in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        socket_.setsockopt(socket.SOL_SOCKET, direction, limit)
    return Connection(socket_.detach())


def _failed(error: OSError) -> Call:
    call = Call(None)
    call.end(Failure(ServerDiedError, str(error)))
    return call
