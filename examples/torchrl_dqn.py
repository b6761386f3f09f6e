"""TorchRL's DQN on CartPole with mujigae's sampler and storage.

pip install "mujigae[torchrl]" && python torchrl_dqn.py
"""

from __future__ import annotations

import argparse

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MLP, EGreedyModule, QValueModule
from torchrl.objectives import DQNLoss, SoftUpdate

from mujigae.integrations.torchrl import FrameStorage, PrioritizedSampler

CAPACITY, BATCH_SIZE, FRAMES_PER_BATCH, UPDATES_PER_BATCH = 20_000, 64, 20, 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    env = GymEnv("CartPole-v1", categorical_action_encoding=True)
    env.set_seed(0)

    network = MLP(in_features=4, out_features=2, num_cells=[64, 64])
    values = TensorDictModule(network, ["observation"], ["action_value"])
    policy = TensorDictSequential(values, QValueModule(spec=env.action_spec))
    explore = EGreedyModule(env.action_spec, annealing_num_steps=max(steps // 4, 1), eps_end=0.05)
    loss = DQNLoss(policy, action_space="categorical", delay_value=True, double_dqn=True)
    loss.make_value_estimator(gamma=0.99)
    target = SoftUpdate(loss, eps=0.99)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)

    buffer = TensorDictReplayBuffer(
        storage=FrameStorage(CAPACITY, frame_stack={"observation": 1}),  # {"pixels": 4} for stacks of frames
        sampler=PrioritizedSampler(CAPACITY, alpha=0.6, beta=0.4, stratified=True, seed=0),
        batch_size=BATCH_SIZE,
    )
    actor = TensorDictSequential(policy, explore)
    for rows in Collector(env, actor, frames_per_batch=FRAMES_PER_BATCH, total_frames=steps):
        buffer.extend(rows.reshape(-1))
        explore.step(FRAMES_PER_BATCH)
        for _ in range(UPDATES_PER_BATCH):
            batch = buffer.sample()
            result = loss(batch)["loss"]
            optimizer.zero_grad()
            result.backward()
            optimizer.step()
            target.step()
            buffer.update_tensordict_priority(batch)

    with set_exploration_type(ExplorationType.DETERMINISTIC), torch.no_grad():
        returns = [float(env.rollout(500, policy)["next", "reward"].sum()) for _ in range(5)]
    print(f"return {sum(returns) / len(returns):.1f} over {len(returns)} episodes")
    print(f"{len(buffer)} rows, their observations in {buffer.storage.frames.nbytes} bytes")


if __name__ == "__main__":
    main()
