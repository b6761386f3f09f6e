"""Every preset with several seeds through the command line, each evaluated: what the family learns on one environment.

    python bench/train/sweep.py runs/cartpole bench/results/cartpole.json --env CartPole-v1 --seeds 5

A run that has been evaluated is not run again, so the sweep can be stopped at any time and goes on where it was. The score of a
preset is the interquartile mean (Agarwal et al. 2021) over its seeds of the mean over the evaluation's games.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from collect import evaluation, machine, packages, training

PRESETS = ("dqn", "double", "dueling", "prioritized", "n_step", "noisy", "c51", "rainbow")


def main() -> None:
    options = parser().parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for preset in options.presets:
            summary = options.runs / f"{preset}-{seed}.json"
            if not summary.exists():
                summary.write_text(json.dumps(run(preset, seed, options), indent=1) + "\n")
                print(summary.read_text(), flush=True)
    presets = {preset: of_preset(preset, options) for preset in options.presets}
    results = {"env_id": options.env, "machine": machine(), "packages": packages(), "presets": presets}
    options.out.write_text(json.dumps(results, indent=1) + "\n")


def run(preset: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    name = f"{preset}-{seed}"
    arguments = ["train", preset, "--env", options.env, "--seed", str(seed), "--name", name]
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "mujigae", *arguments, "--runs", str(options.runs)], check=True)
    seconds = time.monotonic() - began
    return {
        "command": " ".join(["mujigae", *arguments]),
        "seed": seed,
        "seconds": round(seconds, 1),
        "training": training(options.runs / name),
        "evaluation": evaluation(options.runs / name, options.episodes),
    }


def of_preset(preset: str, options: argparse.Namespace) -> dict[str, Any]:
    runs = [json.loads((options.runs / f"{preset}-{seed}.json").read_text()) for seed in range(options.seeds)]
    means = [one["evaluation"]["mean"] for one in runs]
    return {
        "interquartile_mean": round(interquartile_mean(means), 2),
        "best": max(means),
        "worst": min(means),
        "seconds": min(one["seconds"] for one in runs),
        "runs": runs,
    }


def interquartile_mean(scores: list[float]) -> float:
    """Without the lowest and the highest quarter, rounded down to whole scores, as rliable counts."""
    cut = len(scores) // 4
    return float(np.mean(sorted(scores)[cut : len(scores) - cut]))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("out", type=Path, help="the results, JSON")
    made.add_argument("--env", default="CartPole-v1")
    made.add_argument("--seeds", type=int, default=5, help="0 to this")
    made.add_argument("--presets", nargs="*", default=PRESETS)
    made.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    return made


if __name__ == "__main__":
    main()
