"""Processes of a run within one process: calls are made when somebody waits for them, and some of them fail."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from mujigae.distributed.calls import CallError, CallRefusedError, ServerDiedError


class Call:
    """A call that was not made yet, or what it brought."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._value: Any = None
        self._error: CallError | None = None

    def result(self) -> Any:
        if self._make is not None:
            make, self._make = self._make, None
            try:
                self._value = make()
            except CallError as error:
                self._error = error
            except Exception as error:
                self._error = CallRefusedError(str(error))
        if self._error is not None:
            raise self._error
        return self._value


class Server:
    """A process: `make` makes what it serves, anew after each death. `dies()` says whether a call kills it, and when."""

    def __init__(self, make: Callable[[], Any], dies: Callable[[], str] = lambda: "") -> None:
        self.make, self.dies = make, dies
        self.server = make()
        self.num_deaths = 0

    def call(self, name: str, arguments: Any) -> Any:
        moment = self.dies()
        if moment != "before":
            result = getattr(self.server, name)(*arguments)
        if moment:
            self.num_deaths += 1
            self.server = self.make()
            raise ServerDiedError(f"died {moment} {name}")
        return result


class FakeCalls:
    """As `mujigae.distributed.calls.Calls`."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def call(self, server: Server, method: str, *arguments: Any) -> Call:
        return Call(lambda: server.call(method, arguments))

    def wait(self, calls: Sequence[Call], count: int, seconds: float) -> list[Call]:
        """One of them, any one, is over by now."""
        done = self._random.choice([*calls])
        with contextlib.suppress(CallError):
            done.result()
        return [done]

    def answer(self, call: Call, seconds: float) -> Any:
        return call.result()

    def put(self, value: Any) -> Any:
        return [value]

    def get(self, reference: Any, seconds: float) -> Any:
        return reference[0]
