"""The calls that keep the actors of a run collecting, and what they report."""

from __future__ import annotations

import math
import time
from typing import Any

from mujigae.distributed.actor_server import CALL_SECONDS, Report
from mujigae.distributed.calls import (
    CallRefusedError,
    Calls,
    CannotStartError,
    NoAnswerError,
    ServerDiedError,
)
from mujigae.distributed.collector import Policy
from mujigae.errors import MujigaeError
from mujigae.training.loop import Training

__all__ = ["ActorCalls"]

WORK_SECONDS = 0.25  # of one call
POLICY_PERIOD_SECONDS = 0.25
MAX_UNANSWERED = 10  # calls of an actor in a row that a death ended: two go with each of its processes

_DIES = (
    "actor {}: its process dies again and again, as one that the system kills for its memory, or whose environment ends it; "
    "without --actors the words of the environment are shown"
)


class ActorCalls:
    """The calls that keep the actors collecting: two under way at each, so that it never waits for this process."""

    def __init__(self, calls: Calls, actors: list[Any]) -> None:
        self._calls, self._actors = calls, actors
        self._made: dict[Any, tuple[int, float]] = {}  # call -> actor, when it was made
        self.version, self.num_failures = -1, 0
        self._policy: Any = None
        self._policy_at = -math.inf
        self._rest_until = [0.0] * len(actors)
        self._num_unanswered = [0] * len(actors)  # calls that a death ended since the last answer

    def renew(self, training: Training) -> list[tuple[int, Report]]:
        """What actors report; they are called again, with the newest network."""
        now = time.monotonic()
        reports = self._take(now)
        if now - self._policy_at >= POLICY_PERIOD_SECONDS:
            self._hand_out(training, now)
        for a, actor in enumerate(self._actors):
            num_calls = sum(number == a for number, _ in self._made.values())
            for _ in range(2 - num_calls if now >= self._rest_until[a] else 0):
                self._made[self._calls.call(actor, "work", WORK_SECONDS, self._policy)] = a, now
        return reports

    def _hand_out(self, training: Training, now: float) -> None:
        """One copy for all actors; the one before goes when the last of them has read it."""
        self.version += 1
        self._policy_at = now
        tensors = {
            name: value.numpy() if hasattr(value, "numpy") else value
            for name, value in training.agent.policy().items()
        }
        self._policy = self._calls.put(tuple(Policy(self.version, training.counters.steps, tensors)))

    def _take(self, now: float) -> list[tuple[int, Report]]:
        if not self._made:
            return []
        over = self._calls.wait([*self._made], len(self._made), 0.0)
        late = [call for call, (_, made_at) in self._made.items() if now - made_at > CALL_SECONDS]
        reports = []
        for call in {*over, *late}:
            actor, _ = self._made.pop(call)
            report = self._report(call, actor)
            if report is not None:
                reports.append((actor, report))
        return reports

    def _report(self, call: Any, actor: int) -> Report | None:
        """None where the actor died: it is started again."""
        try:
            report: Report = self._calls.answer(call, 5.0)
        except CannotStartError as error:
            raise MujigaeError(f"actor {actor}: cannot be started again ({error})") from None
        except CallRefusedError as error:
            raise MujigaeError(f"actor {actor}: {error}") from None
        except (ServerDiedError, NoAnswerError) as error:
            self.num_failures += 1
            self._num_unanswered[actor] += isinstance(error, ServerDiedError)  # the silent may be slow
            if self._num_unanswered[actor] >= MAX_UNANSWERED:
                raise MujigaeError(_DIES.format(actor)) from None
            self._rest_until[actor] = time.monotonic() + 0.5
            return None
        self._num_unanswered[actor] = 0
        return report
