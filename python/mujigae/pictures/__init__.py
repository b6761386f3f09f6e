"""Pictures of a run: learning curves (`curves`), films of the trained agent (`video`), and what it expected
along a game (`distributions`)."""

from __future__ import annotations

__all__ = ["curves", "distributions", "video"]

from mujigae.pictures import curves, distributions, video
