"""What a million Atari transitions cost Stable-Baselines3's DQN, with mujigae's replay buffer and with its own.

    python bench/integrations/stable_baselines3_memory.py    writes bench/results/stable_baselines3_memory.json

Real Pong: make_atari_env, VecFrameStack(4), CnnPolicy, random actions, 100,000 transitions, collected by `learn` into a
buffer of that size; no update is made. Each buffer has a process of its own. Bytes times ten are those of a million.
Resident growth is everything since before the agent was built: buffer, networks and what Python keeps.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "bench/results/stable_baselines3_memory.json"
ENV_ID = "PongNoFrameskip-v4"
NUM_STACKED = 4
NUM_TRANSITIONS, SCALE = 100_000, 10
LIMIT_BYTES = 8e9
BUFFERS = ("mujigae", "stable_baselines3")
PACKAGES = ("mujigae", "stable-baselines3", "torch", "numpy", "gymnasium", "ale-py", "opencv-python-headless")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def collect(buffer: str) -> dict[str, int]:
    """Fills a buffer in this process, looks at what is drawn, and returns what it cost."""
    before, replay = filled(buffer)
    growth = resident_bytes() - before
    check(replay)
    counted = replay.replay.nbytes if buffer == "mujigae" else array_bytes(replay)
    return {"resident_bytes": growth, "counted_bytes": counted}


def filled(buffer: str) -> tuple[int, Any]:
    """Resident bytes before the agent was built, and its buffer after collecting."""
    import ale_py
    import gymnasium
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    from mujigae.integrations.stable_baselines3 import ReplayBuffer

    gymnasium.register_envs(ale_py)
    env = VecFrameStack(make_atari_env(ENV_ID, seed=0), NUM_STACKED)
    ours = {"replay_buffer_class": ReplayBuffer, "replay_buffer_kwargs": {"frame_stack": NUM_STACKED}}

    def learn(num_transitions: int) -> Any:
        options = ours if buffer == "mujigae" else {}
        agent = DQN(
            "CnnPolicy", env, buffer_size=num_transitions, learning_starts=num_transitions, seed=0, **options
        )
        return agent.learn(num_transitions).replay_buffer

    learn(100)  # loads and warms up what every agent needs
    before = resident_bytes()
    return before, learn(NUM_TRANSITIONS)


def check(replay: Any) -> None:
    """Full, and what is drawn are rolling stacks."""
    assert replay.full
    batch = replay.sample(256)
    assert tuple(batch.observations.shape) == (256, NUM_STACKED, 84, 84)
    assert (batch.observations[:, 1:] == batch.next_observations[:, :-1]).all()
    assert batch.observations.float().std() > 0


def array_bytes(replay: Any) -> int:
    names = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    return sum(int(getattr(replay, name).nbytes) for name in names)


def measured(buffer: str) -> dict[str, int]:
    """`collect` in a fresh process, with the bytes of a million."""
    command = [sys.executable, __file__, buffer]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    cost: dict[str, int] = json.loads(lines[-1])
    return cost | {f"million_{name}": value * SCALE for name, value in cost.items()}


def main() -> None:
    if sys.argv[1:]:
        print(json.dumps(collect(sys.argv[1])))
        return
    costs = {buffer: measured(buffer) for buffer in BUFFERS}
    result = {
        "command": "python bench/integrations/stable_baselines3_memory.py",
        "environment": f"{ENV_ID}, make_atari_env, VecFrameStack({NUM_STACKED})",
        "num_transitions": NUM_TRANSITIONS,
        "scaled_to": NUM_TRANSITIONS * SCALE,
        "versions": {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in PACKAGES},
        **costs,
    }
    print(json.dumps(result, indent=2))
    assert (
        max(costs["mujigae"]["million_resident_bytes"], costs["mujigae"]["million_counted_bytes"])
        < LIMIT_BYTES
    )
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
