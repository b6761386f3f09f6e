"""skrl's DQN with the engine's memory: CartPole in about a minute on one core; `--theirs` runs it with skrl's own.

pip install "mujigae[skrl]" gymnasium[classic-control] && python skrl_dqn.py
"""

from __future__ import annotations

import argparse

import gymnasium
import torch
from skrl.agents.torch.ddqn import DDQN, DDQN_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed

from mujigae.integrations.skrl import ReplayMemory

NUM_STEPS = 15_000


class Network(DeterministicMixin, Model):
    def __init__(self, env) -> None:
        spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
        Model.__init__(self, **spaces, device="cpu")
        DeterministicMixin.__init__(self)
        layers = [torch.nn.Linear(4, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(128, 2))

    def compute(self, inputs: dict, role: str) -> tuple[torch.Tensor, dict]:
        return self.layers(inputs["observations"]), {}

    def random_act(self, inputs: dict, *, role: str = "") -> tuple[torch.Tensor, dict]:
        """skrl 2.1's own draws the same action in every step."""
        return torch.randint(2, (len(inputs["observations"]), 1)), {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--theirs", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    set_seed(arguments.seed)
    recorder = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("CartPole-v1"), NUM_STEPS)
    env = wrap_env(recorder)
    options = {"memory_size": 50_000, "num_envs": 1, "device": "cpu"}
    memory = RandomMemory(**options) if arguments.theirs else ReplayMemory(**options, seed=arguments.seed)
    agent = DDQN(
        models={name: Network(env) for name in ("q_network", "target_q_network")},
        memory=memory,
        cfg=DDQN_CFG(
            learning_starts=500,
            target_update_interval=1,
            exploration_scheduler=lambda step, _: max(0.05, 1 - step / 3000),
        ),
        observation_space=env.observation_space,
        action_space=env.action_space,
        device="cpu",
    )
    SequentialTrainer(cfg={"timesteps": NUM_STEPS, "headless": True}, env=env, agents=agent).train()
    lengths = list(recorder.length_queue)
    print(f"mean return of the last 20 episodes: {sum(lengths[-20:]) / 20:.1f}")


if __name__ == "__main__":
    main()
