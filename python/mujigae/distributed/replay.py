"""The replay of a run whose rows are in shards, as far as logs, display and checkpoints want to know of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mujigae.distributed.cluster import Cluster
from mujigae.distributed.puller import Puller
from mujigae.errors import CheckpointError, MujigaeError

__all__ = ["FORMAT", "ShardedReplay"]

FORMAT = "mujigae sharded replay"


class ShardedReplay:
    """Stands where a buffer does in a `Training`. Its rows stay in the shards' files, beside the checkpoints."""

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self.puller: Puller | None = None

    def __len__(self) -> int:
        return 0 if self.puller is None else self.puller.shares.num_rows

    @property
    def nbytes(self) -> int:
        """Bytes that the shards held when they were looked at last."""
        looks = () if self.puller is None else self.puller.looks
        return sum(look.counts.nbytes for look in looks if look is not None)

    def end_episodes(self) -> None:
        """Nothing: a new process of an actor ends what the one before it left open."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Flushes every shard, and writes what they hold to `path`; CheckpointError where a shard cannot."""
        assert self.cluster is not None
        try:
            counts = self.cluster.flush()
        except MujigaeError as error:
            raise CheckpointError(str(error)) from error
        shards: list[dict[str, Any]] = [count._asdict() for count in counts]
        with Path(path).open("x", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "shards": shards}, file)
            file.flush()
            os.fsync(file.fileno())
