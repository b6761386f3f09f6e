"""Reads films back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np


def decode(path: Path) -> tuple[np.ndarray, str]:
    """All frames of a film [T, H, W, 3], and what ffmpeg says of the stream."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    stream = next(line for line in done.stderr.decode().splitlines() if "Video:" in line)
    size = re.search(r", (\d+)x(\d+)[ ,]", stream)
    assert size is not None
    width, height = map(int, size.groups())
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3), stream
