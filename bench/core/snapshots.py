"""Saving and loading a million Atari transitions, beside `dd` with as many bytes on the same disk.

    python bench/core/snapshots.py --folder /tmp    writes bench/results/<machine>/snapshots.json

The rows are those of tests/core/fill.py, frames of noise, so that no disk can make them smaller. `dd` copies the snapshot itself, out
of memory, and syncs as `save` does; before each reading the file's pages are dropped from memory. The two take turns. It needs 16 GB of memory and
twice the bytes of the snapshot on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

import mujigae
from bench.core.hardware import describe, results_folder

ROOT = Path(__file__).resolve().parents[2]
NUM_ROWS, ROUNDS = 1_000_000, 3


def main() -> None:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = measured(Path(folder), options.rows)
    path = results_folder(ROOT / "bench/results", Path(sys.executable)) / "snapshots.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, other in (("save", "write"), ("load", "read")):
        share = result["seconds"][f"dd_{other}"] / result["seconds"][name]
        print(f"{name}: {result['seconds'][name]:.1f} s, {share:.0%} of the rate of dd")


def measured(folder: Path, num_rows: int) -> dict[str, Any]:
    snapshot = folder / "snapshot"
    seconds = saved(snapshot, num_rows) | loaded(snapshot)
    medians = {name: round(statistics.median(each), 3) for name, each in seconds.items()}
    told = {"rows": num_rows, "bytes": snapshot.stat().st_size, "machine": describe()}
    return {**told, "seconds": medians, "rounds": seconds}


def saved(snapshot: Path, num_rows: int) -> dict[str, list[float]]:
    """Leaves the snapshot there, and what the buffer would have drawn next beside it."""
    sys.path.append(str(ROOT / "tests/core"))
    from fill import filled

    buffer, copy = filled(num_rows), snapshot.with_name("copy")
    buffer.save(snapshot)
    seconds: dict[str, list[float]] = {"save": [], "dd_write": []}
    for _ in range(ROUNDS):
        seconds["save"].append(timed(lambda: buffer.save(snapshot)))
        seconds["dd_write"].append(timed(lambda: dd(snapshot, copy, "conv=fsync")))
    copy.unlink()
    np.save(expected_of(snapshot), buffer.sample(256).obs)
    return seconds


def loaded(snapshot: Path) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"load": [], "dd_read": []}
    for _ in range(ROUNDS):
        forget(snapshot)
        seconds["dd_read"].append(timed(lambda: dd(snapshot, Path(os.devnull))))
        forget(snapshot)
        seconds["load"].append(timed(lambda: check_loaded(snapshot)))
    return seconds


def check_loaded(snapshot: Path) -> None:
    """The generator was saved too: the loaded buffer draws what the saved one did. The draw is a thousandth of the time."""
    assert (mujigae.load(snapshot).sample(256).obs == np.load(expected_of(snapshot))).all()


def expected_of(snapshot: Path) -> Path:
    return snapshot.with_name("expected.npy")


def timed(work: Callable[[], Any]) -> float:
    os.sync()
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 3)


def dd(source: Path, target: Path, *options: str) -> None:
    command = ["dd", f"if={source}", f"of={target}", "bs=1M", "status=none", *options]
    subprocess.run(command, check=True)


def forget(path: Path) -> None:
    """Drops the file's pages from memory: it is read from the disk again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    described.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk that is measured"
    )
    described.add_argument("--rows", type=int, default=NUM_ROWS)
    return described


if __name__ == "__main__":
    main()
