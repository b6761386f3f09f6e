"""Every preset with several seeds through the command line, each evaluated: what the agents learn on a small task.

    python bench/train/sweep.py runs/cartpole bench/results/cartpole.json --seeds 5 --side-by-side 2
    python bench/train/sweep.py runs/pendulum bench/results/pendulum.json --env Pendulum-v1
    python bench/train/sweep.py runs/batches bench/results/minatar_batches_breakout.json --study batches-breakout --seeds 3

`tasks.py` lists the environments, their presets and what these have to reach, `studies.py` variants to be compared.
A run that has been evaluated is not run again, so the sweep can be stopped at any time and goes on where it was. A run's score is
the mean over the evaluation's games, by the best snapshot (chosen by other games) and by the last network; a preset's is the
interquartile mean (Agarwal et al. 2021) over its seeds; the curves of what was asked for are drawn beside the results. Presets that are not
asked for keep what the results have of them, with the machine that it was measured on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import evaluation, machine, packages, train, training
from bench.train.studies import STUDIES
from bench.train.tasks import TASKS
from mujigae.pictures.bands import plot_bands


def main() -> None:
    options = parser().parse_args()
    options.task = task = STUDIES[options.study] if options.study else TASKS[options.env]
    options.presets = options.presets or task.presets
    options.runs.mkdir(parents=True, exist_ok=True)
    pairs = [(preset, seed, options) for seed in seeds(options) for preset in options.presets]
    with ThreadPoolExecutor(options.side_by_side) as side_by_side:
        list(side_by_side.map(lambda pair: once(*pair), pairs))
    measured = measured_before(options.out) | {
        preset: of_preset(preset, options) for preset in options.presets
    }
    presets = {preset: measured[preset] for preset in task.presets if preset in measured}
    results = {"env_id": task.env_id, "episodes": options.episodes, "presets": presets}
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    plot_bands(
        [options.runs / f"{preset}-{seed}" for preset, seed, _ in pairs], options.out.with_suffix(".png")
    )


def seeds(options: argparse.Namespace) -> range:
    return range(options.first_seed, options.first_seed + options.seeds)


def measured_before(out: Path) -> dict[str, Any]:
    presets: dict[str, Any] = json.loads(out.read_text())["presets"] if out.exists() else {}
    return presets


def once(preset: str, seed: int, options: argparse.Namespace) -> None:
    summary = options.runs / f"{preset}-{seed}.json"
    if not summary.exists():
        summary.write_text(json.dumps(run(preset, seed, options), indent=1) + "\n")
        print(summary.read_text(), flush=True)


def run(preset: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    name, task = f"{preset}-{seed}", options.task
    began = time.monotonic()
    command = train([*task.command(preset), "--seed", str(seed)], options.runs, name)
    seconds = time.monotonic() - began  # the interpreter's start, the evaluations and the film included
    return {
        "command": command,
        "seed": seed,
        "seconds": round(seconds, 1),
        "training": training(options.runs / name),
        "best": evaluation(options.runs / name, options.episodes, "best", task.wrapper),
        "last": evaluation(options.runs / name, options.episodes, "latest", task.wrapper),
    }


def of_preset(preset: str, options: argparse.Namespace) -> dict[str, Any]:
    runs = [json.loads((options.runs / f"{preset}-{seed}.json").read_text()) for seed in seeds(options)]
    means = {network: [one[network]["mean"] for one in runs] for network in ("best", "last")}
    return {
        "side_by_side": options.side_by_side,
        "machine": machine(),
        "packages": packages(),
        "interquartile_mean": {network: round(interquartile_mean(means[network]), 2) for network in means},
        "interval": {network: interval(means[network]) for network in means},
        "highest": {network: max(means[network]) for network in means},
        "runs": runs,
    }


def interquartile_mean(scores: list[float]) -> float:
    """Without the lowest and the highest quarter, rounded down to whole scores, as rliable counts."""
    cut = len(scores) // 4
    return float(np.mean(sorted(scores)[cut : len(scores) - cut]))


def interval(scores: list[float], num_resamples: int = 2_000) -> list[float]:
    """Ends of the 95% interval of the interquartile mean: its percentiles over resampled seeds, as rliable has it."""
    drawn = np.random.default_rng(0).choice(scores, (num_resamples, len(scores)))
    means = [interquartile_mean(list(resample)) for resample in drawn]
    return [round(float(end), 2) for end in np.percentile(means, [2.5, 97.5])]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("out", type=Path, help="the results, JSON")
    made.add_argument("--env", choices=TASKS, default="CartPole-v1")
    made.add_argument("--study", choices=STUDIES, help="instead of an environment")
    made.add_argument("--seeds", type=int, default=5, help="how many")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--presets", nargs="*", help="all that suit the environment")
    made.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    made.add_argument("--side-by-side", type=int, default=1, help="runs at a time")
    return made


if __name__ == "__main__":
    main()
