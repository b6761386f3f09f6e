"""Pictures of a run: learning curves (`curves`) and films of the trained agent (`video`)."""

from __future__ import annotations

__all__ = ["curves", "video"]

from mujigae.pictures import curves, video
