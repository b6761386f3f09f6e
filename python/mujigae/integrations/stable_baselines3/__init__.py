"""mujigae's replay buffers inside Stable-Baselines3, and the agents that it does not have (as of 2.9.2).

    DQN("CnnPolicy", env, replay_buffer_class=ReplayBuffer, replay_buffer_kwargs={"frame_stack": 4})
    SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer)
    PrioritizedDQN("MlpPolicy", "CartPole-v1")
    Rainbow("CnnPolicy", env, replay_buffer_kwargs={"frame_stack": 4})

    replay.py         ReplayBuffer, and PrioritizedReplayBuffer with what it samples
    her.py            HerReplayBuffer: goals in hindsight
    prioritized.py    what every prioritized agent shares
    dqn.py            PrioritizedDQN
    sac.py, td3.py    PrioritizedSAC, PrioritizedTD3; critics.py: what the two share
    rainbow.py        Rainbow; rainbow_policies.py: its networks
    observations.py   stacks of frames on any axis

QR-DQN comes from another package: `mujigae.integrations.sb3_contrib`.
"""

from __future__ import annotations

from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("stable_baselines3", "sb3", first="2.9", below="3")

from mujigae.integrations.stable_baselines3.dqn import PrioritizedDQN  # noqa: E402
from mujigae.integrations.stable_baselines3.her import HerReplayBuffer  # noqa: E402
from mujigae.integrations.stable_baselines3.rainbow import Rainbow  # noqa: E402
from mujigae.integrations.stable_baselines3.replay import (  # noqa: E402
    PrioritizedReplayBuffer,
    PrioritizedSamples,
    ReplayBuffer,
)
from mujigae.integrations.stable_baselines3.sac import PrioritizedSAC  # noqa: E402
from mujigae.integrations.stable_baselines3.td3 import PrioritizedTD3  # noqa: E402

__all__ = [
    "HerReplayBuffer",
    "PrioritizedDQN",
    "PrioritizedReplayBuffer",
    "PrioritizedSAC",
    "PrioritizedSamples",
    "PrioritizedTD3",
    "Rainbow",
    "ReplayBuffer",
]
