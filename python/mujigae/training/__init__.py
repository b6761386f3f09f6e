"""Training: what a run is (config, presets), the loop, and what is left behind (log, checkpoint).

`config` and `presets` need nothing but NumPy; the rest needs the train extra and is imported on demand.
"""

from __future__ import annotations

from mujigae.training.config import Config

__all__ = ["Config"]
