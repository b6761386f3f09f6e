"""RLlib's DQN with batches of the engine: CartPole in under a minute on one core.

pip install "mujigae[rllib]" torch && python rllib_dqn.py
"""

from __future__ import annotations

import ray

from mujigae.integrations.rllib import DQNConfig  # instead of: from ray.rllib.algorithms.dqn import DQNConfig


def main() -> None:
    ray.init(num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
    config = (
        DQNConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .debugging(seed=0, log_level="ERROR")
        .training(
            lr=1e-3,
            n_step=3,
            train_batch_size=32,
            training_intensity=8,  # rows learned from for each one played
            num_steps_sampled_before_learning_starts=500,
            epsilon=[(0, 1.0), (4000, 0.05)],
            replay_buffer_config={
                "type": "PrioritizedEpisodeReplayBuffer",
                "capacity": 50_000,
                "alpha": 0.6,
                "beta": 0.4,
                "compress": False,  # and every other option of mujigae's buffers
            },
        )
    )
    algorithm = config.build_algo()
    best = 0.0
    for _ in range(8):
        best = max(best, algorithm.train()["env_runners"]["episode_return_mean"])
    replay = algorithm.local_replay_buffer.replay  # the engine's buffer: save, episodes, sequences
    print(f"{len(replay)} rows, {sum(not episode.is_open for episode in replay.episodes())} whole episodes")
    print(f"best mean return: {best:.1f}")
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
