"""Rainbow as an agent of Stable-Baselines3, saved, loaded and evaluated as all of them.

pip install "mujigae[sb3]" && python stable_baselines3_rainbow.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from mujigae.integrations.stable_baselines3 import Rainbow


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50_000)
    steps = parser.parse_args().steps
    agent = Rainbow(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=5e-4,
        buffer_size=100_000,
        learning_starts=1000,
        batch_size=64,
        train_freq=256,
        gradient_steps=128,
        target_update_interval=10,
        # A reward of 1 at every step: no return is above 1 / (1 - gamma).
        policy_kwargs={"net_arch": [256, 256], "v_min": 0.0, "v_max": 100.0},
        seed=1,
    )
    agent.learn(steps)
    with tempfile.TemporaryDirectory() as folder:
        agent.save(Path(folder) / "rainbow")
        agent = Rainbow.load(Path(folder) / "rainbow")
    mean, _ = evaluate_policy(agent, make_vec_env("CartPole-v1", seed=1000), n_eval_episodes=20)
    print(f"mean return {mean:.1f} over 20 episodes")


if __name__ == "__main__":
    main()
