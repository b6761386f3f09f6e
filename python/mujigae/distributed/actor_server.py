"""An actor in a process of Ray. It never waits for long.

Every call may fail, and none is repeated by Ray (`max_task_retries=0`): a `Sender` decides what is sent again.
"""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from mujigae.config.run import Run
from mujigae.distributed.collector import Collector, Policy
from mujigae.distributed.ledger import Standing
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Answer
from mujigae.envs.steps import Episode
from mujigae.errors import MujigaeError, require

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

    def __init__(self, plan: ActorPlan, shard: Any) -> None:
        self._ray: Any = require("ray", "ray")
        self._plan, self._shard = plan, shard
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
        self._calls: dict[Any, tuple[int, float]] = {}  # reference -> sequence, when it was made
        self._pause_until = 0.0

    def _standing(self) -> Standing:
        """How far the shard has come with this actor; it may be starting again itself."""
        give_up_at = time.monotonic() + 2 * CALL_SECONDS
        while True:
            try:
                standing: Standing = self._ray.get(
                    self._shard.standing.remote(self._plan.actor), timeout=CALL_SECONDS
                )
                return standing
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError):
                if time.monotonic() > give_up_at:
                    raise
            time.sleep(0.2)

    def work(self, seconds: float, policies: list[Any]) -> Report:
        """Collects and sends for so long; `policies`: references to the newest one, or none."""
        began = time.monotonic()
        episodes: list[Episode] = []
        num_rows, waited = 0, 0.0
        for reference in policies:
            self._collector.take(Policy(*self._ray.get(reference, timeout=CALL_SECONDS)))
        while (now := time.monotonic()) - began < seconds:
            self._send(now)
            if self._sender.has_room:
                rows, ended = self._collector.collect()
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
            self._calls[self._shard.add.remote(chunk)] = chunk.sequence, now

    def _receive(self, seconds: float) -> None:
        """Takes the answers that come within so many seconds."""
        if not self._calls:
            time.sleep(seconds)
            return
        ready, _ = self._ray.wait([*self._calls], num_returns=1, timeout=seconds)
        late = [call for call, (_, made) in self._calls.items() if time.monotonic() - made > CALL_SECONDS]
        for call in {*ready, *late}:
            sequence, _ = self._calls.pop(call)
            if self._sender.answered(sequence, self._answer(call)):
                self._pause_until = time.monotonic() + PAUSE_SECONDS

    def _answer(self, call: Any) -> Answer | None:
        """None where the shard died or is silent; MujigaeError for rows that it refuses."""
        exceptions = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(call, timeout=1.0)
        except (exceptions.RayActorError, exceptions.GetTimeoutError, exceptions.ObjectLostError):
            self._pause_until = time.monotonic() + 20 * PAUSE_SECONDS
            return None
        except exceptions.RayTaskError as error:
            env_id = self._plan.config.env.env_id
            raise MujigaeError(
                f"{env_id}: the replay refuses what the environment returned: {error.cause}"
            ) from None
        return answer

    def close(self) -> None:
        """Closes the environments."""
        self._collector.close()
