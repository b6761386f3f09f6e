"""An actor in a process of its own. It never waits for long.

Every call may fail, and none is repeated by itself: a `Sender` decides what is sent again.
"""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from mujigae.config.run import Run
from mujigae.distributed.calls import CallRefusedError, Calls, NoAnswerError, ServerDiedError
from mujigae.distributed.collector import Collector, Policy
from mujigae.distributed.ledger import Standing
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Answer
from mujigae.envs.steps import Episode
from mujigae.errors import MujigaeError

__all__ = ["CALL_SECONDS", "ActorPlan", "ActorServer", "Report"]

CALL_SECONDS = 60.0  # after which a call that has no answer has failed
PAUSE_SECONDS = 0.005  # after an answer "wait"


class ActorPlan(NamedTuple):
    """What an actor is made of."""

    config: Run
    actor: int
    num_actors: int
    first_lane: int  # of its shard
    chunk_steps: int


class Report(NamedTuple):
    """What an actor did in one call."""

    episodes: tuple[Episode, ...]  # games that ended, raw scores; env_id counts over all actors
    num_rows: int  # that it collected
    wait_seconds: float  # for the shard
    seconds: float
    version: int  # of the policy that it acts by
    scalars: dict[str, float | None]  # the agent's `scalars_of_acting`
    process: int


class ActorServer:
    """An actor in a process of its own, which collects while it is called, and sends to one shard."""

    def __init__(self, plan: ActorPlan, shard: Any, calls: Calls) -> None:
        self._plan, self._shard, self._calls = plan, shard, calls
        life = time.time_ns()
        lanes = tuple(range(plan.first_lane, plan.first_lane + plan.config.env.num_envs))
        self._sender = Sender(plan.actor, life, self._standing(), lanes=lanes)
        self._collector = Collector(
            plan.config,
            actor=plan.actor,
            num_actors=plan.num_actors,
            life=life,
            first_lane=plan.first_lane,
            chunk_steps=plan.chunk_steps,
        )
        self._sent: dict[Any, tuple[int, float]] = {}  # call -> sequence, when it was made
        self._pause_until = 0.0

    def _standing(self) -> Standing:
        """How far the shard has come with this actor; it may be starting again itself."""
        give_up_at = time.monotonic() + 2 * CALL_SECONDS
        while True:
            try:
                call = self._calls.call(self._shard, "standing", self._plan.actor)
                standing: Standing = self._calls.answer(call, CALL_SECONDS)
                return standing
            except (ServerDiedError, NoAnswerError):
                if time.monotonic() > give_up_at:
                    raise
            time.sleep(0.2)

    def work(self, seconds: float, policy: Any) -> Report:
        """Collects and sends for so long; `policy`: a reference to the newest one, or None."""
        began = time.monotonic()
        episodes: list[Episode] = []
        num_rows, waited = 0, 0.0
        if policy is not None:
            self._collector.take(Policy(*self._calls.get(policy, CALL_SECONDS)))
        while (now := time.monotonic()) - began < seconds:
            self._send(now)
            if self._sender.has_room:
                rows, ended = self._collector.collect(seconds)
                self._sender.put(rows)
                num_rows += len(rows.env_ids)
                episodes += ended
                self._receive(0.0)
            else:
                self._receive(PAUSE_SECONDS)
                waited += time.monotonic() - now
        first = self._plan.actor * self._plan.config.env.num_envs
        moved = tuple(episode._replace(env_id=first + episode.env_id) for episode in episodes)
        seconds, collector = time.monotonic() - began, self._collector
        return Report(moved, num_rows, waited, seconds, collector.version, collector.scalars(), os.getpid())

    def _send(self, now: float) -> None:
        if now < self._pause_until:
            return
        while (chunk := self._sender.next()) is not None:
            self._sent[self._calls.call(self._shard, "add", chunk)] = chunk.sequence, now

    def _receive(self, seconds: float) -> None:
        """Takes the answers that come within so many seconds."""
        if not self._sent:
            time.sleep(seconds)
            return
        over = self._calls.wait([*self._sent], 1, seconds)
        late = [call for call, (_, made) in self._sent.items() if time.monotonic() - made > CALL_SECONDS]
        for call in {*over, *late}:
            sequence, _ = self._sent.pop(call)
            if self._sender.answered(sequence, self._answer(call)):
                self._pause_until = time.monotonic() + PAUSE_SECONDS

    def _answer(self, call: Any) -> Answer | None:
        """None where the shard died or is silent; MujigaeError for rows that it refuses."""
        try:
            answer: Answer = self._calls.answer(call, 1.0)
        except (ServerDiedError, NoAnswerError):
            self._pause_until = time.monotonic() + 20 * PAUSE_SECONDS
            return None
        except CallRefusedError as error:
            env_id = self._plan.config.env.env_id
            raise MujigaeError(
                f"{env_id}: the replay refuses what the environment returned: {error}"
            ) from None
        return answer

    def close(self) -> None:
        """Closes the environments."""
        self._collector.close()
