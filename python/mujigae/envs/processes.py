"""Environments in processes of their own, as Gymnasium's AsyncVectorEnv has them.

Signals for a whole group, as Ctrl-C in a terminal, are for the process that trains: it ends the others when it has written its
checkpoint. One that dies is named.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState

from mujigae.errors import BrokenEnvironmentError
from mujigae.signals import SIGNALS, blocked_signals

__all__ = ["ProcessVectorEnv"]

Env = gymnasium.Env[Any, Any]
_PIPE_ERRORS = EOFError, BrokenPipeError, ConnectionResetError


class ProcessVectorEnv(AsyncVectorEnv):
    """One process for each environment. Raises BrokenEnvironmentError where one of them has died."""

    def __init__(self, makers: Sequence[Callable[[], Env]], autoreset_mode: AutoresetMode) -> None:
        with blocked_signals():
            apart = [partial(_in_a_group_of_its_own, maker, os.getpid()) for maker in makers]
            # Not forkserver: one server starts the processes of the whole program, and others would inherit this.
            super().__init__(apart, context="spawn", autoreset_mode=autoreset_mode)

    def reset_wait(self, timeout: float | None = None) -> Any:
        with self._named_deaths():
            return super().reset_wait(timeout)

    def step_wait(self, timeout: float | None = None) -> Any:
        with self._named_deaths():
            return super().step_wait(timeout)

    def step_async(self, actions: Any) -> None:
        with self._named_deaths():
            super().step_async(actions)

    def close(self, **options: Any) -> None:
        """Ends the processes; where one has died, nobody waits for the answers of the others."""
        if not self.closed and self._dead():
            self._state, options["terminate"] = AsyncState.DEFAULT, True
        super().close(**options)

    def _dead(self) -> list[int]:
        return [number for number, process in enumerate(self.processes) if not process.is_alive()]

    @contextmanager
    def _named_deaths(self) -> Iterator[None]:
        try:
            yield
        except _PIPE_ERRORS as error:
            for process in self.processes:
                process.join(timeout=0.5)  # the pipe breaks a little before its process is gone
                if not process.is_alive():
                    break
            for number in self._dead():
                code = self.processes[number].exitcode
                raise BrokenEnvironmentError(
                    f"environment {number}: expected its process to answer, got its end (exit status {code})"
                ) from error
            raise


def _in_a_group_of_its_own(maker: Callable[[], Env], starter: int) -> Env:
    """In a new process; Gymnasium looks at one environment in the process that starts them, too. Signals for it alone arrive."""
    if hasattr(os, "setpgrp") and os.getpid() != starter:
        with suppress(OSError):
            os.setpgrp()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return maker()
