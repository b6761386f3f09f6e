"""Adapters: one module or package a library, imported on demand; each has an extra of the package that brings its library.

    gymnasium (mujigae[gymnasium])    stable_baselines3 (mujigae[sb3])    tianshou (mujigae[tianshou])
    torchrl (mujigae[torchrl])        cleanrl (mujigae[cleanrl])        cpprb (needs nothing)
    minari (mujigae[minari])          envpool (mujigae[envpool])
    jax (mujigae[jax])                sb3_contrib (mujigae[sb3-contrib])
    agilerl (mujigae[agilerl])        d3rlpy (mujigae[d3rlpy])
    rllib (mujigae[rllib])            skrl (mujigae[skrl])

`docs/from-<library>.md` shows what to change in a program that uses the library's own buffer.
"""

from __future__ import annotations
