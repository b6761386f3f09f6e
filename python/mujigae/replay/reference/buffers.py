"""The reference buffers as users have them: the same constructors and calls, on the plain core."""

from __future__ import annotations

from typing import Any, SupportsIndex

from mujigae.replay import buffer, prioritized
from mujigae.replay.reference.buffer import Buffer

__all__ = ["PrioritizedReplayBuffer", "ReplayBuffer"]


class ReplayBuffer(buffer.ReplayBuffer):
    """`mujigae.ReplayBuffer` on the plain core; it is not saved."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return object.__reduce_ex__(self, protocol)  # plain Python: pickled as it is

    def _make_core(self, **arguments: Any) -> Any:
        return Buffer(**arguments)


class PrioritizedReplayBuffer(prioritized.PrioritizedReplayBuffer):
    """`mujigae.PrioritizedReplayBuffer` on the plain core; it is not saved."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return object.__reduce_ex__(self, protocol)

    def _make_core(self, **arguments: Any) -> Any:
        return Buffer(**arguments)
