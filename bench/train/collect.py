"""Copies the evidence of a finished run into bench/results/: curves, film, configuration and a summary in JSON.

    python bench/train/collect.py runs/pong bench/results/pong --command "mujigae train pong --minutes 45"

Everything in the summary is read from the run's files or measured here; nothing is typed by hand but the command.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.hardware import processor
from mujigae.config.saved import flat_values
from mujigae.runs.reading import read_json

FILES = (
    *("config.json", "protocol.txt", "episodes.csv", "progress.csv", "curve.png", "play.gif", "q_values.png"),
    *("distributions.png", "distributions.gif", "untrained_distributions.png", "untrained_distributions.gif"),
)
PACKAGES = ("mujigae", "numpy", "torch", "gymnasium", "ale-py")


def train(arguments: list[str], runs: Path, name: str) -> str:
    """`mujigae train ARGUMENTS` anew into runs/name, its output beside it; returns the command."""
    shutil.rmtree(runs / name, ignore_errors=True)  # what an interrupted run left
    arguments = ["train", *arguments, "--name", name]
    command = [sys.executable, "-m", "mujigae", *arguments, "--runs", str(runs)]
    with (runs / f"{name}.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    return " ".join(["mujigae", *arguments])


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def configuration(run: Path) -> dict[str, Any]:
    """Every field of the run's configuration by its name."""
    return flat_values(read_json(run / "config.json"))


def training(run: Path) -> dict[str, Any]:
    """What the logs say: scores are raw returns of whole games, played while learning and exploring."""
    episodes, progress = read_rows(run / "episodes.csv"), read_rows(run / "progress.csv")
    scores = [float(row["score"]) for row in episodes]
    best = max(range(len(scores)), key=lambda i: mean(scores[max(i - 19, 0) : i + 1]))
    stop_score = configuration(run)["stop_score"]
    return {
        "steps": int(float(progress[-1]["step"])),
        "frames": int(float(progress[-1]["frames"])),
        "updates": int(float(progress[-1]["updates"])),
        "minutes": round(float(progress[-1]["seconds"]) / 60, 2),
        "episodes": len(scores),
        "first_20_mean": round(mean(scores[:20]), 2),
        "last_20_mean": round(mean(scores[-20:]), 2),
        "last_100_mean": round(mean(scores[-100:]), 2) if len(scores) >= 100 else None,
        "best_20_mean": round(mean(scores[max(best - 19, 0) : best + 1]), 2),
        "stop_score": stop_score,
        "minutes_to_stop_score": {n: minutes_to(stop_score, n, episodes) for n in (20, 100)},
    }


def minutes_to(score: float | None, num_games: int, episodes: list[dict[str, str]]) -> float | None:
    """When the mean of `num_games` games was first at `score`; None if it never was."""
    scores = [float(row["score"]) for row in episodes]
    ends = range(num_games, len(scores) + 1) if score is not None else ()
    first = next((end for end in ends if mean(scores[end - num_games : end]) >= score), None)
    return None if first is None else round(float(episodes[first - 1]["seconds"]) / 60, 2)


def evaluation(
    run: Path,
    num_episodes: int,
    network: Literal["latest", "best"] = "latest",
    wrapper: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The trained agent in environments of its own: raw rewards, those of the `wrapper` if there is one, whole games."""
    from mujigae.runs.session import evaluate_run

    scores = (
        wrapped_scores(run, num_episodes, network, wrapper)
        if wrapper
        else evaluate_run(run, num_episodes, network=network)
    )
    return {
        "episodes": num_episodes,
        "mean": round(float(scores.mean()), 2),
        "standard_error": round(float(scores.std(ddof=1)) / num_episodes**0.5, 2),
        "lowest": float(scores.min()),
        "highest": float(scores.max()),
    }


def wrapped_scores(
    run: Path, num_episodes: int, network: Literal["latest", "best"], wrapper: tuple[str, ...]
) -> Any:
    """Returns [num_episodes] by the rewards of `wrapper`, games as evaluate_run plays them."""
    from mujigae.envs.make import make
    from mujigae.runs import folder
    from mujigae.seeds import child_seed
    from mujigae.training.evaluate import MAX_NUM_ENVS, evaluate, most_steps

    config, unused, agent = folder.load_player(run, num_envs=1, network=network)
    unused.close()
    wrapped = replace(config.env, num_envs=min(num_episodes, MAX_NUM_ENVS), wrapper=wrapper)
    environment = make(wrapped, training=False)
    seed, max_steps = (
        child_seed(config.seed, "evaluation"),
        most_steps(environment, config.budget.eval_max_steps),
    )
    scores = evaluate(agent, environment, num_episodes=num_episodes, seed=seed, max_steps=max_steps)
    environment.close()
    return scores


def machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def packages() -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--command", required=True, help="the command that made the run")
    parser.add_argument("--episodes", type=int, default=100, help="of the evaluation")
    options = parser.parse_args()

    config = configuration(options.run)
    summary = {
        "command": options.command,
        "preset": config["preset"],
        "env_id": config["env_id"],
        "seed": config["seed"],
        "protocol": (options.run / "protocol.txt").read_text().strip(),
        "training": training(options.run),
        "evaluation": evaluation(options.run, options.episodes),
        "machine": machine(),
        "packages": packages(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (options.run / name).exists():
            shutil.copyfile(options.run / name, options.out / name)
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
