"""Who starts the processes of a run and carries their calls: this machine, or Ray on one machine or many."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from mujigae.config.run import refuse_unless
from mujigae.distributed.calls import Processes

__all__ = ["Carrier"]


@dataclass(frozen=True)
class Carrier:
    """See the module.

    name: processes (of this machine alone), or ray.
    address: of the Ray cluster to join; None: one is started for the run.
    """

    name: Literal["processes", "ray"] = "processes"
    address: str | None = None

    @classmethod
    def of(cls, name: str | None, address: str | None) -> Carrier:
        """The one that the command line asks for; an address is of Ray. Raises ConfigError."""
        refuse_unless(address is None or name != "processes", "workers", "ray with --address", name)
        return cls("processes") if name != "ray" and address is None else cls("ray", address)

    def require(self) -> None:
        """Raises MissingExtraError, or MujigaeError where this system cannot do it."""
        if self.name == "ray":
            from mujigae.distributed.ray_processes import require_ray

            require_ray()
        else:
            from mujigae.distributed.local_processes import require_sockets

            require_sockets()

    def processes(self, run: str, num_processes: int, store_bytes: int) -> AbstractContextManager[Processes]:
        """Room for so many processes of the run, of which none is left at the end of the block.

        store_bytes: the object store of a Ray that is started has so many bytes of shared memory. Raises MujigaeError.
        """
        if self.name == "ray":
            from mujigae.distributed.ray_processes import ray_processes

            return ray_processes(run, self.address, num_processes, store_bytes)
        from mujigae.distributed.local_processes import local_processes

        return local_processes()

    def note(self, store_bytes: int) -> str:
        """A part of a sentence for the user."""
        if self.name == "processes":
            return "processes of this machine"
        where = "Ray on this machine" if self.address is None else f"the cluster at {self.address}"
        return f"{where}, object store {store_bytes / 2**20:,.0f} MiB"
