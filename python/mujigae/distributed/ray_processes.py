"""Ray as `Processes` of a run (see `calls`).

Actors of Ray are named and detached, and Ray starts them again wherever they die (`max_restarts=-1`); a call that was
under way then fails, and is not repeated (`max_task_retries=0`). A cluster that is joined by its address may still have those
of a run that was killed: they are ended first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mujigae.distributed.calls import (
    BusyError,
    CallRefusedError,
    CannotStartError,
    NoAnswerError,
    ServerDiedError,
)
from mujigae.distributed.session_folder import session_folder
from mujigae.errors import MujigaeError, require

__all__ = ["FLAGS", "RayCalls", "RayProcesses", "ray_processes", "require_ray"]

FLAGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # nor announced in the terminal
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


def require_ray() -> Any:
    """Ray, or MissingExtraError."""
    for name, value in FLAGS.items():
        os.environ.setdefault(name, value)
    return require("ray", "ray", first="2.60", below="2.61")


class RayCalls:
    """Calls of the process that makes it, which Ray knows."""

    def __init__(self) -> None:
        self.ray: Any = require_ray()

    def __reduce__(self) -> Any:
        return RayCalls, ()

    def call(self, server: Any, method: str, *arguments: Any) -> Any:
        """As in `Calls`."""
        try:
            return getattr(server, method).remote(*arguments)
        except self.ray.exceptions.PendingCallsLimitExceeded as error:
            raise BusyError(_reason(error)) from None

    def wait(self, calls: Sequence[Any], count: int, seconds: float) -> list[Any]:
        """As in `Calls`."""
        ready, _ = self.ray.wait([*calls], num_returns=count, timeout=seconds)
        return list(ready)

    def answer(self, call: Any, seconds: float) -> Any:
        """As in `Calls`."""
        exceptions = self.ray.exceptions
        try:
            return self.ray.get(call, timeout=seconds)
        except exceptions.GetTimeoutError as error:
            raise NoAnswerError(_reason(error)) from None
        except exceptions.RayTaskError as error:
            raise CallRefusedError(str(error.cause)) from None
        except (exceptions.RayActorError, exceptions.ObjectLostError) as error:
            is_at_birth = isinstance(error, exceptions.ActorDiedError) and "creation" in str(error)
            raise (CannotStartError if is_at_birth else ServerDiedError)(_reason(error)) from None

    def put(self, value: Any) -> Any:
        """As in `Calls`: one copy in the object store. In a list: what Ray finds outside one it hands over read."""
        return [self.ray.put(value)]

    def get(self, reference: Any, seconds: float) -> Any:
        """As in `Calls`."""
        return self.answer(reference[0], seconds)


class RayProcesses(RayCalls):
    """Actors of Ray of the run `run`, whose names are its own."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self._namespace = f"mujigae-{run}"

    def start(self, name: str, server: type, *arguments: Any) -> Any:
        """As in `Processes`."""
        with contextlib.suppress(ValueError):  # there is none
            self.kill(self.ray.get_actor(name, namespace=self._namespace))
        options = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": 0, "max_pending_calls": 1000}
        where = {"name": name, "namespace": self._namespace, "lifetime": "detached"}
        return self.ray.remote(server).options(**options, **where).remote(*arguments)

    def kill(self, server: Any) -> None:
        """As in `Processes`."""
        self.ray.kill(server, no_restart=True)

    def shortage(self, count: int) -> str:
        """As in `Processes`."""
        there, free = (
            found.get("CPU", 0) for found in (self.ray.cluster_resources(), self.ray.available_resources())
        )
        return f": expected a processor for each of {count}, the cluster has {there:g}, {free:g} of them free"


@contextmanager
def ray_processes(
    run: str, address: str | None, num_processes: int, store_bytes: int
) -> Iterator[RayProcesses]:
    """Ray with room for so many processes: an own one, of which nothing is left at the end, or the cluster at `address`.

    store_bytes: the object store of an own one may have so many bytes of shared memory, and never more.
    Raises MujigaeError where it cannot be started or joined.
    """
    ray = require_ray()
    worker: Any = ray._private.worker
    worker.print_to_stdstream = lambda *args, **options: (
        None
    )  # reports of killed workers, into the user's terminal
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with contextlib.ExitStack() as stack:
        if address is None:
            folder = str(stack.enter_context(session_folder()))
            store = {"object_store_memory": store_bytes, "_temp_dir": folder}
            options |= {"num_cpus": num_processes, "include_dashboard": False, **store}
        stack.callback(ray.shutdown)
        try:
            with _handlers_kept():
                ray.init(address=address or "local", **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            wants_token = address is not None and "RAY_AUTH_MODE" not in os.environ
            hint = (
                "; a cluster that was started with tokens needs RAY_AUTH_MODE=token here"
                if wants_token
                else ""
            )
            raise MujigaeError(f"ray: could not be started or joined ({error}){hint}") from error
        yield RayProcesses(run)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes over SIGTERM, which ends a run with a checkpoint."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _reason(error: Exception) -> str:
    """The last line of what Ray says, which is the cause in the other process."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
