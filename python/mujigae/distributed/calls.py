"""How the processes of a run call each other, whoever carries the calls: Ray, or sockets of one machine.

    call = calls.call(server, "pull", 512)   at once; nobody waits
    calls.wait([call], 1, seconds)           those that have been answered by then
    calls.answer(call, seconds)              what the method returned
    reference = calls.put(value)             a value that many calls hand over, copied once; `get` reads it over there

A call is carried out once at most. Of one that fails with ServerDiedError or NoAnswerError nobody knows whether it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = [
    *("BusyError", "CallError", "CallRefusedError", "Calls", "CannotStartError", "NoAnswerError"),
    *("Processes", "ServerDiedError"),
]


class CallError(Exception):
    """A call brought no result."""


class ServerDiedError(CallError):
    """The server, which is started again, died before it had answered."""


class CannotStartError(ServerDiedError):
    """The server cannot be made: the message is what its constructor raised."""


class NoAnswerError(CallError):
    """There was no answer in the time that it had."""


class CallRefusedError(CallError):
    """The method raised: the message is what it said."""


class BusyError(CallError):
    """The call was not made: too many are under way at the server."""


class Calls(Protocol):
    """See the module. It can be pickled, and is then the other process's way to call.

    Threads: one of each process.
    """

    def call(self, server: Any, method: str, *arguments: Any) -> Any:
        """Begins a call. Raises BusyError."""
        ...

    def wait(self, calls: Sequence[Any], count: int, seconds: float) -> list[Any]:
        """Those that are over, as soon as there are `count` of them, or so many seconds have passed."""
        ...

    def answer(self, call: Any, seconds: float) -> Any:
        """What the method returned. Raises ServerDiedError, CannotStartError, NoAnswerError or CallRefusedError."""
        ...

    def put(self, value: Any) -> Any:
        """A reference to the value, as long as it or a call with it is there."""
        ...

    def get(self, reference: Any, seconds: float) -> Any:
        """The value. Raises ServerDiedError or NoAnswerError."""
        ...


class Processes(Calls, Protocol):
    """Calls, and the processes that answer them: each has one server, which makes one call after the other."""

    def start(self, name: str, server: type, *arguments: Any) -> Any:
        """A process with server(*arguments), which is started again whenever it dies; one of this name ends first."""
        ...

    def kill(self, server: Any) -> None:
        """Ends the process for good."""
        ...

    def shortage(self, count: int) -> str:
        """What may be lacking where `count` servers do not start in time, as the rest of a sentence; or nothing."""
        ...
