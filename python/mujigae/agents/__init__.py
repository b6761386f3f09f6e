"""Agents: what acts and learns. `dqn.DQN` is the whole DQN family, switched by Config."""

from __future__ import annotations

from mujigae.agents.dqn import DQN, Learned

__all__ = ["DQN", "Learned"]
