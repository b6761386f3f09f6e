"""Adapters: one module a library, imported on demand. `pip install "mujigae[sb3]"` brings `stable_baselines3`'s."""

from __future__ import annotations
