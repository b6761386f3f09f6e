"""The processes of one run: Ray, its shards and its actors; started together, ended together.

Shards and actors are named and detached, and Ray starts them again wherever they die (`max_restarts=-1`); a call that was
under way then fails, and is not repeated (`max_task_retries=0`). A cluster that is joined by its address may still have those
of a run that was killed: they are ended first.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mujigae.distributed.actor_server import CALL_SECONDS, ActorPlan, ActorServer
from mujigae.distributed.session_folder import session_folder
from mujigae.distributed.shard_server import ShardPlan, ShardServer
from mujigae.errors import MujigaeError, require

__all__ = ["Cluster", "ray_session", "require_ray"]

START_SECONDS = 180.0  # for all processes, which import torch
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


@contextmanager
def ray_session(address: str | None, num_processes: int, store_bytes: int) -> Iterator[Any]:
    """Ray with room for so many processes: an own one, of which nothing is left at the end, or the cluster at `address`.

    store_bytes: the object store of an own one may have so many bytes of shared memory, and never more.
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
        yield ray


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes over SIGTERM, which ends a run with a checkpoint."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


class Cluster:
    """The shards and actors of the run in `folder`, as handles of Ray."""

    def __init__(
        self, ray: Any, folder: Path, shard_plans: Sequence[ShardPlan], actor_plans: Sequence[ActorPlan]
    ) -> None:
        self._ray = ray
        run = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
        self._namespace = f"mujigae-{run}"
        shard_names = [f"shard-{s}" for s in range(len(shard_plans))]
        actor_names = [f"actor-{a}" for a in range(len(actor_plans))]
        self._end_those_of_before([*shard_names, *actor_names])
        self.shards = [
            self._start(ShardServer, name, plan) for name, plan in zip(shard_names, shard_plans, strict=True)
        ]
        self.actors = [
            self._start(ActorServer, name, plan, self.shards[plan.actor % len(self.shards)])
            for name, plan in zip(actor_names, actor_plans, strict=True)
        ]

    def _start(self, server: type, name: str, *arguments: Any) -> Any:
        options = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": 0, "max_pending_calls": 1000}
        where = {"name": name, "namespace": self._namespace, "lifetime": "detached"}
        return self._ray.remote(server).options(**options, **where).remote(*arguments)

    def _end_those_of_before(self, names: Sequence[str]) -> None:
        for name in names:
            with contextlib.suppress(ValueError):  # there is none
                self._ray.kill(self._ray.get_actor(name, namespace=self._namespace), no_restart=True)

    def wait_until_started(self) -> None:
        """Raises MujigaeError with the reason where one of them cannot start."""
        calls = [shard.look.remote() for shard in self.shards]
        calls += [actor.work.remote(0.0, []) for actor in self.actors]
        try:
            self._ray.get(calls, timeout=START_SECONDS)
        except self._ray.exceptions.GetTimeoutError:
            there, free = (
                found.get("CPU", 0)
                for found in (self._ray.cluster_resources(), self._ray.available_resources())
            )
            raise MujigaeError(
                f"the processes of the run did not start within {START_SECONDS:g} seconds: expected a processor for each of "
                f"{len(calls)}, the cluster has {there:g}, {free:g} of them free"
            ) from None
        except self._ray.exceptions.RayError as error:
            raise MujigaeError(f"the processes of the run could not be started: {_reason(error)}") from error

    def flush(self) -> list[Any]:
        """Everything that is stored survives a kill when this returns; the counts of each shard. Raises MujigaeError.

        A shard that dies meanwhile is asked again when it is back.
        """
        give_up_at = time.monotonic() + CALL_SECONDS
        while True:
            try:
                return list(self._ray.get([s.flush.remote() for s in self.shards], timeout=CALL_SECONDS))
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError) as error:
                if time.monotonic() > give_up_at:
                    raise MujigaeError(f"a shard could not be flushed: {_reason(error)}") from error
            time.sleep(0.2)

    def close(self) -> None:
        """Ends them all, the shards after their last flush; whatever is dead or silent is ended by force."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.get([actor.close.remote() for actor in self.actors], timeout=5.0)
        for actor in self.actors:
            self._ray.kill(actor, no_restart=True)
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.get([shard.close.remote() for shard in self.shards], timeout=CALL_SECONDS)
        for shard in self.shards:
            self._ray.kill(shard, no_restart=True)


def _reason(error: Exception) -> str:
    """The last line of what Ray says, which is the cause in the other process."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
