"""Pictures of runs: learning curves (`curves`), curves over seeds (`bands`), loss and epsilon (`progress`), films of the
trained agent (`video`), and what it expected along a game (`distributions`)."""

from __future__ import annotations

__all__ = ["bands", "curves", "distributions", "progress", "video"]

from mujigae.pictures import bands, curves, distributions, progress, video
