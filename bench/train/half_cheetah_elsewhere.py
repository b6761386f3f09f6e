"""Stable-Baselines3's TD3 on HalfCheetah, with its own buffer and with ours, beside `mujigae train td3 --env HalfCheetah-v5`.

    python bench/train/sweep.py runs/half-cheetah bench/results/half_cheetah.json --env HalfCheetah-v5 --presets td3 --seeds 3
    python bench/train/half_cheetah_elsewhere.py runs/half-cheetah bench/results/half_cheetah_elsewhere.json

All have the numbers of the preset: four environments stepped together, one update for each step, networks of layers of 400 and 300,
batches of 100, 10,000 random steps first. Every run is a process of its own with one thread. A score is the mean of the evaluation's games by
the last network, without noise. A run that is finished is not run again. It needs mujoco (gymnasium[mujoco]) and Stable-Baselines3.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, packages

ENVIRONMENT = "HalfCheetah-v5"
NUM_ENVS = 4
SUBJECTS = ("Stable-Baselines3", "Stable-Baselines3 on mujigae's buffer")


def main() -> None:
    options = parser().parse_args()
    if options.child is not None:
        print(json.dumps(trained(options.child, options.seed, options)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    options.runs.mkdir(parents=True, exist_ok=True)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    runs = [once(subject, seed, options) for seed in seeds for subject in SUBJECTS]
    versions = {**packages(), **{name: version(name) for name in ("stable-baselines3", "mujoco")}}
    told = {"env_id": ENVIRONMENT, "steps": options.steps, "episodes": options.episodes}
    results = {**told, "machine": machine(), "packages": versions, "runs": runs}
    options.out.write_text(json.dumps(results, indent=1) + "\n")


def once(subject: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    done = options.runs / f"elsewhere-{SUBJECTS.index(subject)}-{seed}.json"
    if not done.exists():
        told = {"subject": subject, "seed": seed, **in_a_process(subject, seed, options)}
        done.write_text(json.dumps(told, indent=1) + "\n")
        print(done.read_text(), flush=True)
    measured: dict[str, Any] = json.loads(done.read_text())
    return measured


def in_a_process(subject: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, str(options.runs), str(options.out), "--child", subject]
    command += ["--seed", str(seed), "--steps", str(options.steps), "--episodes", str(options.episodes)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def trained(subject: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """`gradient_steps=-1` is one update for each step."""
    import numpy as np
    import torch
    from stable_baselines3 import TD3
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.noise import NormalActionNoise

    from mujigae.integrations.stable_baselines3 import ReplayBuffer

    torch.set_num_threads(1)
    environments = make_vec_env(ENVIRONMENT, n_envs=NUM_ENVS, seed=seed)
    num_numbers = int(np.prod(environments.action_space.shape))
    model = TD3(
        *("MlpPolicy", environments),
        **{"learning_rate": 1e-3, "buffer_size": 1_000_000, "learning_starts": 10_000, "batch_size": 100},
        **{"tau": 0.005, "gamma": 0.99, "train_freq": 1, "gradient_steps": -1, "seed": seed, "device": "cpu"},
        action_noise=NormalActionNoise(np.zeros(num_numbers), np.full(num_numbers, 0.1)),
        policy_kwargs={"net_arch": [400, 300]},
        replay_buffer_class=ReplayBuffer if subject == SUBJECTS[1] else None,
    )
    began = time.monotonic()
    model.learn(options.steps)
    seconds = time.monotonic() - began
    games = make_vec_env(ENVIRONMENT, n_envs=10, seed=10_000 + seed)
    scores, _ = evaluate_policy(model, games, options.episodes, return_episode_rewards=True)
    return {
        "mean": round(float(np.mean(scores)), 2),
        "standard_error": round(float(np.std(scores, ddof=1)) / options.episodes**0.5, 2),
        "seconds": round(seconds, 1),
        "steps_per_second": round(options.steps / seconds, 1),
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("out", type=Path, help="the results, JSON")
    made.add_argument("--seeds", type=int, default=3, help="how many")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--steps", type=int, default=100_000)
    made.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    made.add_argument("--child", choices=SUBJECTS, help=argparse.SUPPRESS)
    made.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    main()
