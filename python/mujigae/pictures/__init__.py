"""Pictures of runs: learning curves (`curves`), curves over seeds (`bands`), films of the trained agent (`video`),
and what it expected along a game (`distributions`)."""

from __future__ import annotations

__all__ = ["bands", "curves", "distributions", "video"]

from mujigae.pictures import bands, curves, distributions, video
