"""Hindsight on a goal environment: Stable-Baselines3's SAC on FetchReach-v4 with mujigae's HerReplayBuffer and with its own.

    python bench/integrations/hindsight.py     writes bench/results/hindsight.json; needs gymnasium-robotics and mujigae[sb3]

The settings are those of RL Baselines3 Zoo for FetchReach (gamma 0.95, goals of the future, four of five rows). A run is a
process of its own; both buffers get the same seeds, one after the other in turns. Success is the share of 20 episodes, played without noise,
that end at the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.hardware import describe

RESULT = Path(__file__).resolve().parents[1] / "results/hindsight.json"
NUM_STEPS, PERIOD, NUM_EPISODES = 10_000, 1_000, 20
BUFFERS = ("mujigae", "stable_baselines3")
PACKAGES = ("stable-baselines3", "gymnasium-robotics", "mujoco", "torch", "numpy")


def train(buffer: str, seed: int) -> dict[str, Any]:
    """Success after every 1,000 steps, and the bytes of the buffer."""
    import gymnasium
    import gymnasium_robotics
    import torch
    from stable_baselines3 import SAC, her
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    from mujigae.integrations.stable_baselines3 import HerReplayBuffer

    torch.set_num_threads(1)
    gymnasium.register_envs(gymnasium_robotics)
    env = VecNormalize(make_vec_env("FetchReach-v4", seed=seed))
    agent = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer if buffer == "mujigae" else her.HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        buffer_size=NUM_STEPS,
        batch_size=256,
        gamma=0.95,
        learning_rate=1e-3,
        learning_starts=1000,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
    )
    success = []
    for steps in range(PERIOD, NUM_STEPS + 1, PERIOD):
        agent.learn(PERIOD, reset_num_timesteps=False)
        success.append({"steps": steps, "share": success_of(agent, env, seed)})
    return {
        "seed": seed,
        "rows": NUM_STEPS,
        "success": success,
        "bytes": bytes_of(agent.replay_buffer),
    }


def success_of(agent: Any, trained: Any, seed: int) -> float:
    """The share of episodes that end at the goal, in an environment of their own."""
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env("FetchReach-v4", seed=1000 + seed)
    obs, reached = env.reset(), []
    while len(reached) < NUM_EPISODES:
        action, _ = agent.predict(trained.normalize_obs(obs), deterministic=True)
        obs, _, done, infos = env.step(action)
        if done[0]:
            reached.append(float(infos[0]["is_success"]))
    env.close()
    return sum(reached) / NUM_EPISODES


def bytes_of(buffer: Any) -> int:
    """Of everything that is stored."""
    if hasattr(buffer, "replay"):
        return int(buffer.nbytes)
    arrays = [
        *buffer.observations.values(),
        *buffer.next_observations.values(),
        buffer.actions,
        buffer.rewards,
    ]
    arrays += [buffer.dones, buffer.timeouts, buffer.ep_start, buffer.ep_length, buffer.infos]
    return sum(int(array.nbytes) for array in arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--run", nargs=2, metavar=("BUFFER", "SEED"), help="one run in this process")
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(train(arguments.run[0], int(arguments.run[1]))))
        return
    runs: dict[str, list[Any]] = {buffer: [] for buffer in BUFFERS}
    for seed in range(arguments.seeds):
        for buffer in BUFFERS:
            runs[buffer].append(run(buffer, seed))
        write(runs)


def run(buffer: str, seed: int) -> dict[str, Any]:
    """What `train` found in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--run", buffer, str(seed)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(buffer, found, flush=True)
    return found


def write(runs: dict[str, list[Any]]) -> None:
    """The seeds that both buffers have been given so far."""
    result = {
        "command": f"python bench/integrations/hindsight.py --seeds {len(runs[BUFFERS[0]])}",
        "environment": "FetchReach-v4",
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "machine": describe(),
        **runs,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
