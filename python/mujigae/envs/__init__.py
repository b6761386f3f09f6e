"""Environments: what an agent steps (`make`), honest transitions (`steps`), tiny tasks with a known optimum.

Importing this package registers the tiny ones with Gymnasium; `import mujigae` does not import it.
"""

from __future__ import annotations

from mujigae.errors import require

gymnasium = require("gymnasium", "train")  # first: without it, the imports below would fail less clearly

from mujigae.envs.environment import Environment  # noqa: E402
from mujigae.envs.make import family_of, make  # noqa: E402
from mujigae.envs.steps import Episode, Steps, StepStream  # noqa: E402

__all__ = ["Environment", "Episode", "StepStream", "Steps", "family_of", "make"]

gymnasium.register("mujigae/Chain-v0", "mujigae.envs.chain:Chain", max_episode_steps=40)
gymnasium.register("mujigae/Loop-v0", "mujigae.envs.chain:Loop", max_episode_steps=5)
gymnasium.register("mujigae/Catch-v0", "mujigae.envs.catch:Catch")
