"""Ray as far as our code knows it, in one process: calls are made when somebody waits for them, and some of them fail."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


EXCEPTIONS = SimpleNamespace(
    RayError=RayError,
    RayActorError=RayActorError,
    ActorDiedError=type("ActorDiedError", (RayActorError,), {}),
    GetTimeoutError=type("GetTimeoutError", (RayError,), {}),
    ObjectLostError=type("ObjectLostError", (RayError,), {}),
    PendingCallsLimitExceeded=type("PendingCallsLimitExceeded", (RayError,), {}),
    RayTaskError=RayTaskError,
)


class Reference:
    """A value, or a call that was not made yet."""

    def __init__(self, call: Callable[[], Any] | None = None, value: Any = None) -> None:
        self._call, self._value = call, value
        self._error: Exception | None = None

    def result(self) -> Any:
        if self._call is not None:
            call, self._call = self._call, None
            try:
                self._value = call()
            except RayActorError as error:
                self._error = error
            except Exception as error:
                self._error = RayTaskError(error)
        if self._error is not None:
            raise self._error
        return self._value


class Handle:
    """A process: `make` makes what it serves, anew after each death. `dies()` says whether a call kills it, and when."""

    def __init__(self, make: Callable[[], Any], dies: Callable[[], str] = lambda: "") -> None:
        self.make, self.dies = make, dies
        self.server = make()
        self.num_deaths = 0

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: Reference(lambda: self._call(name, arguments)))

    def _call(self, name: str, arguments: Any) -> Any:
        moment = self.dies()
        if moment != "before":
            result = getattr(self.server, name)(*arguments)
        if moment:
            self.num_deaths += 1
            self.server = self.make()
            raise RayActorError(f"died {moment} {name}")
        return result


class Calls:
    """The functions of the module `ray`."""

    exceptions = EXCEPTIONS

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def put(self, value: Any) -> Reference:
        return Reference(value=value)

    def get(self, references: Any, timeout: float) -> Any:
        if isinstance(references, Reference):
            return references.result()
        return [reference.result() for reference in references]

    def wait(self, references: Sequence[Reference], num_returns: int, timeout: float) -> Any:
        """One of them, any one, is done by now."""
        done = self._random.choice([*references])
        with contextlib.suppress(RayError):
            done.result()
        return [done], [reference for reference in references if reference is not done]
