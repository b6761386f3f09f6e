"""Kills training runs at random moments and resumes them: none may fail to resume, nor lose more than since its last checkpoint.

    python bench/train/kills.py bench/results/kills.json --runs 100 --seed 0

Each run is one of CartPole in a process of its own. By turns it gets SIGKILL, SIGTERM or SIGINT, at a moment drawn uniformly from
the time that a whole run takes, is resumed, and has to reach its end. Every second one has `--exact-resume`: its networks, replay, best
snapshot and tables have to be those of the run that was not killed, byte for byte but for what the clock says.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, packages
from mujigae import cli
from mujigae.agents.presets import resolve
from mujigae.errors import CheckpointError
from mujigae.runs import checkpoint, session
from mujigae.training.loop import build

STEPS, PERIOD, NUM_ENVS = 600, 60, 2
OPTIONS = [
    *("dqn", "--num-envs", str(NUM_ENVS), "--hidden-sizes", "16", "--head-size", "0", "--num-threads", "1"),
    *("--batch-size", "8", "--capacity", "400", "--min-replay-steps", "50", "--learn-period-steps", "8"),
    *("--num-updates", "1", "--steps", str(STEPS), "--checkpoint-period-steps", str(PERIOD)),
    *("--log-period-steps", "20", "--best-episodes", "2", "--stop-evaluation", "None"),
]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KINDS = {False: "resumed", True: "resumed exactly"}


def main() -> None:
    options = parser().parse_args()
    results = kill_runs(options.runs, options.seed)
    results |= {"machine": machine(), "versions": packages(), "seed": options.seed, "options": OPTIONS}
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["totals"]))
    sys.exit(bool(results["failed"]))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("out", type=Path, help="the JSON to write")
    result.add_argument("--runs", type=int, default=100, help="runs to kill")
    result.add_argument("--seed", type=int, default=0, help="of the moments")
    return result


def kill_runs(num_runs: int, seed: int) -> dict[str, Any]:
    """What became of `num_runs` runs: how many were killed by which signal and resumed, and those that failed, with the reason."""
    session._draw = lambda folder, say: None  # type: ignore[assignment]
    _import_everything()
    rng, runs = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        whole = {exact: _whole_run(Path(root), exact) for exact in (False, True)}
        for number in range(num_runs):
            exact, number_of_signal = bool(number % 2), SIGNALS[number // 2 % len(SIGNALS)]
            folder = Path(root) / f"run-{number}"
            folder_of_whole, seconds = whole[exact]
            runs.append(
                _kill_and_resume(folder, exact, number_of_signal, rng.uniform(0, seconds), folder_of_whole)
            )
            shutil.rmtree(folder, ignore_errors=True)
            print(number, runs[-1], flush=True)
    return {"totals": _totals(runs), "failed": [run for run in runs if run["failure"]], "runs": runs}


def _import_everything() -> None:
    """What a run imports on its way, so that its forks need not; no gradients, whose threads no fork can take over."""
    for module in (
        "torch._dynamo",
        "torch.utils.tensorboard",
        "safetensors.torch",
        "safetensors.numpy",
        "rich.progress",
    ):
        import_module(module)
    build(resolve("dqn", "CartPole-v1")).environment.close()


def _whole_run(root: Path, exact: bool) -> tuple[Path, float]:
    """A run that is not killed, and how long it takes from its first moment on."""
    folder = root / f"whole-{exact}"
    process = _start(folder, _new(folder, exact))
    _wait_for(folder / "config.json", process)
    began = time.monotonic()
    if _status(process) != 0:
        raise SystemExit(f"a run that was not killed failed: {_log(folder)}")
    return folder, time.monotonic() - began


def _kill_and_resume(
    folder: Path, exact: bool, number: signal.Signals, after_seconds: float, whole: Path
) -> dict[str, Any]:
    process = _start(folder, _new(folder, exact))
    _wait_for(folder / "config.json", process)
    time.sleep(after_seconds)
    os.kill(process, number)
    status = _status(process)
    seen, kept = _last_step(folder), _kept_step(folder)
    resumed = _status(_start(folder, ["train", "--resume", str(folder)]))
    return {
        "kind": KINDS[exact],
        "signal": number.name,
        "after_seconds": round(after_seconds, 3),
        "status": status,
        "step": seen,
        "resumed_at": kept,
        "failure": _failure(folder, exact, number, status, seen - kept, resumed, whole),
    }


def _failure(
    folder: Path, exact: bool, number: signal.Signals, status: int, lost: int, resumed: int, whole: Path
) -> str | None:
    if status not in (0, -number, 128 + number):
        return f"exit status {status}: {_log(folder)[-500:]}"
    if resumed != 0:
        return f"could not be resumed, exit status {resumed}: {_log(folder)[-500:]}"
    if checkpoint.latest(folder).name != f"checkpoint-{STEPS}":
        return f"ended with {checkpoint.latest(folder).name}"
    most = (
        PERIOD + NUM_ENVS if exact or status == -number else 0
    )  # with a checkpoint where it stopped, nothing
    if lost > most:
        return f"lost {lost} steps, expected at most {most}"
    return _difference(folder, whole) if exact else None


def _difference(folder: Path, whole: Path) -> str | None:
    """The first file in which two runs differ."""
    for name in (f"checkpoint-{STEPS}", "best"):
        for path in sorted((whole / name).iterdir()):
            if path.name != "state.json" and path.read_bytes() != (folder / name / path.name).read_bytes():
                return f"{name}/{path.name} differs from that of the whole run"
    for name in ("episodes.csv", "evaluations.csv", "progress.csv"):
        if _timeless(folder / name) != _timeless(whole / name):
            return f"{name} differs from that of the whole run"
    return None


def _timeless(path: Path) -> list[list[str]]:
    """The rows without the columns that say how long something took."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    keep = [place for place, name in enumerate(rows[0]) if "second" not in name]
    return [[row[place] for place in keep] for row in rows]


def _new(folder: Path, exact: bool) -> list[str]:
    exactly = ["--exact-resume"] if exact else []
    return ["train", *OPTIONS, *exactly, "--runs", str(folder.parent), "--name", folder.name]


def _start(folder: Path, command: Sequence[str]) -> int:
    """The command line in a fork of this process, which has imported everything already; what it says goes to a log."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        log = os.open(_log_of(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = cli.main(command)
    finally:
        os._exit(status)


def _log_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")


def _log(folder: Path) -> str:
    return _log_of(folder).read_text()


def _status(process: int) -> int:
    """The exit status of a child; that of one that a signal ended is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _wait_for(path: Path, process: int) -> None:
    while not path.exists():
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise SystemExit(f"a run ended before it began: {path.parent}")
        time.sleep(0.001)


def _last_step(folder: Path) -> int:
    """Of the last row that reached progress.csv whole."""
    path = folder / "progress.csv"
    text = path.read_text() if path.exists() else ""
    rows = text[: text.rfind("\n") + 1].splitlines()[1:]
    return int(rows[-1].split(",")[0]) if rows else 0


def _kept_step(folder: Path) -> int:
    """Of the checkpoint that a resume takes; 0: it begins anew."""
    try:
        return checkpoint.step_of(checkpoint.latest(folder))
    except CheckpointError:
        return 0


def _totals(runs: Sequence[dict[str, Any]]) -> dict[str, int]:
    totals = {"runs": len(runs), "failed": sum(run["failure"] is not None for run in runs)}
    for kind in KINDS.values():
        totals[kind] = sum(run["kind"] == kind for run in runs)
    for number in SIGNALS:
        totals[number.name] = sum(run["signal"] == number.name for run in runs)
    totals["ended before the signal came"] = sum(run["status"] == 0 for run in runs)
    return totals


if __name__ == "__main__":
    main()
