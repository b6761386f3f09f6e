"""Exploration: objects that an agent owns and asks for the actions that it takes while it learns.

schedules.py    linear and exponential numbers over the steps of a run
epsilon.py      a random action with probability epsilon
"""

from __future__ import annotations

from mujigae.exploration.epsilon import EpsilonGreedy, explore

__all__ = ["EpsilonGreedy", "explore"]
