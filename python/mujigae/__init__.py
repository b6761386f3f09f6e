"""mujigae (무지개, "rainbow"): a replay engine in C++, and the DQN family up to Rainbow that it was built for.

One transition's way through it:

1. `envs/steps.py`: a vector environment's step, whatever its autoreset mode, becomes honest transitions.
2. `replay/buffer.py`, `prioritized.py`: arguments are checked by name; one call into C++.
3. `frame_ring.hpp`, `row_ring.hpp`: the newest frame is stored once; action, reward and flags beside it.
4. `sum_tree.hpp`: the row gets the largest priority seen, as soon as its n-step window is complete.
5. `sampler.hpp`, `replay_buffer.hpp`: draw, n-step return, gather, without the GIL: a `Batch`.
6. `losses/`: a pure function of the batch.
7. `update_priorities(key, |td|)`: a key whose row was overwritten is ignored and counted.

This module needs NumPy only; `mujigae.agents`, `.training` and the command line need `pip install "mujigae[train]"`.
"""

from __future__ import annotations

from mujigae._core import FrameRing, NStepAccumulator, SumTree, build_info
from mujigae.errors import CheckpointError, ConfigError, MissingExtraError, MujigaeError, SnapshotError
from mujigae.replay.batch import Batch, Episode, SequenceBatch, Validity
from mujigae.replay.buffer import ReplayBuffer
from mujigae.replay.prioritized import PrioritizedReplayBuffer
from mujigae.replay.rate_limiter import RateLimiter
from mujigae.replay.samplers import Proportional, RankBased, Uniform
from mujigae.replay.saving import load

__all__ = [
    "Batch",
    "CheckpointError",
    "ConfigError",
    "Episode",
    "FrameRing",
    "MissingExtraError",
    "MujigaeError",
    "NStepAccumulator",
    "PrioritizedReplayBuffer",
    "Proportional",
    "RankBased",
    "RateLimiter",
    "ReplayBuffer",
    "SequenceBatch",
    "SnapshotError",
    "SumTree",
    "Uniform",
    "Validity",
    "build_info",
    "load",
]

__version__: str = build_info()["version"]
