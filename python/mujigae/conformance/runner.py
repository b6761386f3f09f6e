"""Runs cases on an adapter, each with a time limit, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import platform
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mujigae.conformance.adapter import Adapter, NotOffered
from mujigae.conformance.case import CASES, Case, Subject
from mujigae.conformance.ledger import Failed

__all__ = ["TIMEOUT_SECONDS", "Result", "report", "run", "run_case"]

TIMEOUT_SECONDS = 120.0


class Result(NamedTuple):
    """What a case said of a buffer."""

    id: str
    name: str
    status: str  #: "passed", "failed" or "not offered"
    reason: str  #: of a failure: what was expected and what came; else what is not offered, or ""


def run(
    adapter: type[Adapter],
    cases: Iterable[Case] | None = None,
    *,
    is_isolated: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_result: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Runs the cases in order.

    Args:
        adapter: the class around the buffer.
        cases: some of `CASES`; None for all.
        is_isolated: each case in a fork of this process, so that a crash or a hang inside of native code fails that case only.
        timeout_seconds: for each case; not isolated, it interrupts Python code in the main thread only.
        on_result: called with each result as it comes.
    """
    results = []
    for one in CASES if cases is None else cases:
        result = (_run_apart if is_isolated else _run_here)(adapter, one, timeout_seconds)
        on_result(result)
        results.append(result)
    return results


def run_case(adapter: type[Adapter], one: Case) -> Result:
    """Runs one case in this thread, without a time limit."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        status, reason = "passed", ""
        try:
            one.check(Subject(adapter, Path(folder)))
        except NotOffered as missing:
            status, reason = "not offered", str(missing)
        except Failed as failure:
            status, reason = "failed", str(failure)
        except _TimeIsUp:
            raise
        except Exception as error:
            status, reason = "failed", f"expected no error, got {type(error).__name__}: {error}"
    return Result(one.id, one.name, status, _one_line(reason))


def report(adapter: type[Adapter], results: list[Result]) -> dict[str, Any]:
    """The results with the versions that they belong to, for JSON."""
    return {
        "name": adapter.name,
        "version": adapter.version,
        "python": platform.python_version(),
        "packages": {"numpy": np.__version__} | _installed("torch", "gymnasium"),
        "counts": {status: sum(r.status == status for r in results) for status in STATUSES},
        "cases": [result._asdict() for result in results],
    }


STATUSES = ("passed", "failed", "not offered")


class _TimeIsUp(BaseException):
    """No `except Exception` of a buffer stops it."""


def _run_here(adapter: type[Adapter], one: Case, timeout_seconds: float) -> Result:
    try:
        with _time_limit(timeout_seconds):
            return run_case(adapter, one)
    except _TimeIsUp:
        return _late(one, timeout_seconds)


def _run_apart(adapter: type[Adapter], one: Case, timeout_seconds: float) -> Result:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send_result, args=(adapter, one, sender))
    child.start()
    sender.close()
    try:
        if receiver.poll(timeout_seconds):
            return Result(*receiver.recv())
        return _late(one, timeout_seconds)
    except EOFError:
        child.join()
        reason = f"expected an answer, got the end of the process with status {child.exitcode}"
        return Result(one.id, one.name, "failed", reason)
    finally:
        child.kill()
        child.join()


def _send_result(adapter: type[Adapter], one: Case, sender: Any) -> None:
    sender.send(tuple(run_case(adapter, one)))


def _late(one: Case, timeout_seconds: float) -> Result:
    reason = f"expected an end within {timeout_seconds:g} seconds, got none"
    return Result(one.id, one.name, "failed", reason)


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raises `_TimeIsUp` in the main thread when the time is up; other threads have no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _one_line(reason: str) -> str:
    text = " ".join(reason.split())
    return text if len(text) <= 300 else text[:297] + "..."


def _installed(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
