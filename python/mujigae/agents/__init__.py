"""Agents: what acts and learns.

agent.py       Agent, the Protocol that the loop knows, and what its methods return
registry.py    agents by name: those of this package, those that `register` adds, entry points, module:Class
presets.py     from a preset, an environment and options to a whole configuration
compiled.py    torch.compile, applied to a learner's functions from outside
tensors.py     the tensors of a checkpoint, checked before they are taken back
dqn/           the DQN family
continuous/    what agents with continuous actions share
ddpg/          DDPG and TD3
sac/           SAC
naf/           NAF
cem/           CEM

An agent of your own derives from `Agent` and is reached from the command line in one of three ways:

    mujigae train my_module:MyAgent --env CartPole-v1        my_module.py in the current folder, or installed
    mujigae train mine                                       an entry point of the group "mujigae.agents" named mine
    mujigae.agents.register("mine", MyAgent)                 before `mujigae.cli.main` is called

Importing this package needs neither torch nor gymnasium.
"""

from __future__ import annotations

from mujigae.agents.agent import ActionValues, Agent, Update
from mujigae.agents.registry import register
from mujigae.config.run import AgentConfig, Run

__all__ = ["ActionValues", "Agent", "AgentConfig", "Run", "Update", "register"]
