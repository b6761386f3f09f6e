"""`python -m mujigae`."""

from __future__ import annotations

import sys

from mujigae.cli import main

if __name__ == "__main__":
    sys.exit(main())
