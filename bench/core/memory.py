"""Resident memory of a million Atari transitions: python bench/core/memory.py writes bench/results/memory.json.

The measurement is that of tests/core/fill.py, which also checks what is drawn.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NUM_ROWS = 1_000_000


def main() -> None:
    command = [sys.executable, str(ROOT / "tests/core/fill.py"), str(NUM_ROWS)]
    cost = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    cost["resident_bytes_per_transition"] = round(cost["resident_bytes"] / NUM_ROWS)
    (ROOT / "bench/results/memory.json").write_text(json.dumps(cost, indent=2) + "\n")
    print(cost)


if __name__ == "__main__":
    main()
