"""The shards and the actors of one run, started together and ended together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from mujigae.distributed.actor_server import CALL_SECONDS, ActorPlan, ActorServer
from mujigae.distributed.calls import CallError, NoAnswerError, Processes, ServerDiedError
from mujigae.distributed.shard_server import ShardPlan, ShardServer
from mujigae.errors import MujigaeError

__all__ = ["Cluster"]

START_SECONDS = 180.0  # for all processes, which import torch


class Cluster:
    """See the module: it is started when it is made, and ended by `close`."""

    def __init__(
        self, processes: Processes, shard_plans: Sequence[ShardPlan], actor_plans: Sequence[ActorPlan]
    ) -> None:
        self._processes = processes
        self.shards = [processes.start(f"shard-{s}", ShardServer, plan) for s, plan in enumerate(shard_plans)]
        self.actors = [
            processes.start(
                f"actor-{a}", ActorServer, plan, self.shards[plan.actor % len(self.shards)], processes
            )
            for a, plan in enumerate(actor_plans)
        ]

    def wait_until_started(self) -> None:
        """Raises MujigaeError with the reason where one of them cannot start."""
        call = self._processes.call
        calls = [call(shard, "look") for shard in self.shards]
        calls += [call(actor, "work", 0.0, None) for actor in self.actors]
        give_up_at = time.monotonic() + START_SECONDS
        try:
            for one in calls:
                self._processes.answer(one, max(give_up_at - time.monotonic(), 0.0))
        except NoAnswerError:
            raise MujigaeError(
                f"the processes of the run did not start within {START_SECONDS:g} seconds{self._processes.shortage(len(calls))}"
            ) from None
        except CallError as error:
            raise MujigaeError(f"the processes of the run could not be started: {error}") from error

    def flush(self) -> list[Any]:
        """Everything that is stored survives a kill when this returns; the counts of each shard. Raises MujigaeError.

        A shard that dies meanwhile is asked again when it is back.
        """
        give_up_at = time.monotonic() + CALL_SECONDS
        while True:
            try:
                calls = [self._processes.call(shard, "flush") for shard in self.shards]
                return [self._processes.answer(call, CALL_SECONDS) for call in calls]
            except (ServerDiedError, NoAnswerError) as error:
                if time.monotonic() > give_up_at:
                    raise MujigaeError(f"a shard could not be flushed: {error}") from error
            time.sleep(0.2)

    def close(self) -> None:
        """Ends them all, the shards after their last flush; whatever is dead or silent is ended by force."""
        for servers, seconds in ((self.actors, 5.0), (self.shards, CALL_SECONDS)):
            give_up_at = time.monotonic() + seconds
            for call in [self._processes.call(server, "close") for server in servers]:
                with contextlib.suppress(CallError):
                    self._processes.answer(call, max(give_up_at - time.monotonic(), 0.0))
            for server in servers:
                self._processes.kill(server)
