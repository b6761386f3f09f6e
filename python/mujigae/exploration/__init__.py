"""Exploration: objects that an agent owns and asks for the actions that it takes while it learns.

schedules.py              linear and exponential numbers over the steps of a run
epsilon.py                a random action with probability epsilon
action_noise.py           what is added to continuous actions: the contract
gaussian.py               noise of its own in every step
ornstein_uhlenbeck.py     noise that persists from step to step
"""

from __future__ import annotations

from mujigae.exploration.action_noise import ACTION_NOISES, ActionNoise
from mujigae.exploration.epsilon import EpsilonGreedy, explore
from mujigae.exploration.gaussian import GaussianNoise
from mujigae.exploration.ornstein_uhlenbeck import OrnsteinUhlenbeckNoise

__all__ = [
    "ACTION_NOISES",
    "ActionNoise",
    "EpsilonGreedy",
    "GaussianNoise",
    "OrnsteinUhlenbeckNoise",
    "explore",
]
