"""The engine's specification in plain NumPy: `buffer.py` is the core of the buffers, `parts.py` what they are made of."""

from __future__ import annotations

from mujigae.replay.reference.buffers import PrioritizedReplayBuffer, ReplayBuffer
from mujigae.replay.reference.parts import FrameRing, NStepAccumulator, SumTree

__all__ = ["FrameRing", "NStepAccumulator", "PrioritizedReplayBuffer", "ReplayBuffer", "SumTree"]
