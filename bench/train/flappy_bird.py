"""Flappy Bird from its twelve numbers: trained through the command line, then how many pipes it passes in a game.

    python bench/train/flappy_bird.py runs/flappy-bird bench/results/flappy_bird.json --seeds 1

The reward of the environment is a tenth for each step as well; what is evaluated counts pipes alone. A game ends after 10,000 steps
at the latest, about 270 pipes. A run that has been evaluated is not run again. It needs mujigae[envs].
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import gymnasium

from bench.train.collect import machine, packages, train, training
from mujigae.envs.make import make
from mujigae.runs import folder
from mujigae.seeds import child_seed
from mujigae.training.evaluate import MAX_NUM_ENVS, evaluate

ENVIRONMENT, MAX_STEPS = "FlappyBird-v0", 10_000
PIPE_REWARD = 1.0


class PipesAlone(gymnasium.RewardWrapper[Any, Any, Any]):
    """A reward of one for each pipe."""

    def reward(self, reward: Any) -> float:
        return float(reward == PIPE_REWARD)


def main() -> None:
    options = parser().parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    runs = [once(seed, options) for seed in range(options.first_seed, options.first_seed + options.seeds)]
    told = {"env_id": ENVIRONMENT, "episodes": options.episodes, "max_steps": MAX_STEPS}
    results = {**told, "machine": machine(), "packages": packages(), "runs": runs}
    options.out.write_text(json.dumps(results, indent=1) + "\n")


def once(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    name = f"{options.preset}-{seed}"
    done = options.runs / f"{name}.json"
    if not done.exists():
        arguments = [options.preset, "--env", ENVIRONMENT, "--env-kwargs", "use_lidar=False"]
        command = train([*arguments, "--seed", str(seed), *options.more], options.runs, name)
        run = options.runs / name
        networks: tuple[Literal["best", "latest"], ...] = ("best", "latest")
        pipes = {network: pipes_of(run, options.episodes, network) for network in networks}
        told = {"command": command, "seed": seed, "training": training(run), "pipes": pipes}
        done.write_text(json.dumps(told, indent=1) + "\n")
        print(done.read_text(), flush=True)
    measured: dict[str, Any] = json.loads(done.read_text())
    return measured


def pipes_of(run: Path, num_episodes: int, network: Literal["best", "latest"]) -> dict[str, Any]:
    """Pipes a game, of games that begin with seeds of their own."""
    config, unused, agent = folder.load_player(run, num_envs=1, network=network)
    unused.close()
    counted = replace(
        config.env, num_envs=min(num_episodes, MAX_NUM_ENVS), wrapper=("bench.train.flappy_bird:PipesAlone",)
    )
    environment = make(counted, training=False)
    seed = child_seed(config.seed, "evaluation")
    scores = evaluate(agent, environment, num_episodes=num_episodes, seed=seed, max_steps=MAX_STEPS)
    environment.close()
    return {
        "mean": round(float(scores.mean()), 2),
        "standard_error": round(float(scores.std(ddof=1)) / num_episodes**0.5, 2),
        "lowest": float(scores.min()),
        "highest": float(scores.max()),
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("out", type=Path, help="the results, JSON")
    made.add_argument("--preset", default="double")
    made.add_argument("--seeds", type=int, default=1, help="how many")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    made.add_argument("more", nargs="*", help="further arguments of mujigae train, behind --")
    return made


if __name__ == "__main__":
    main()
