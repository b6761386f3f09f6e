"""RLlib's DQN of Ray 2.60 on mujigae's engine: batches go to the learners as they are drawn, priorities come back by key.

    from mujigae.integrations.rllib import DQNConfig        # instead of ray.rllib.algorithms.dqn

RLlib's own buffers give a Python list of one-step episodes, which a pipeline of connectors makes a batch of. Here the buffer
gives the `MultiAgentBatch`, and `DQN` hands it to `learner_group.update`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mujigae
from mujigae.errors import require

require("ray", "rllib", first="2.60", below="2.61")  # first: the imports below would fail less clearly

from ray.rllib.algorithms import dqn  # noqa: E402
from ray.rllib.algorithms.dqn.dqn import calculate_rr_weights  # noqa: E402
from ray.rllib.core import DEFAULT_MODULE_ID  # noqa: E402
from ray.rllib.core.columns import Columns  # noqa: E402
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample  # noqa: E402
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch  # noqa: E402
from ray.rllib.utils import metrics as names  # noqa: E402
from ray.rllib.utils.numpy import convert_to_numpy  # noqa: E402

__all__ = ["DQN", "DQNConfig", "EpisodeBuffer"]

_BUFFERS = {
    "EpisodeReplayBuffer": False,
    "PrioritizedEpisodeReplayBuffer": True,
}  # RLlib's names: is it prioritized


class DQNConfig(dqn.DQNConfig):
    """As RLlib's `DQNConfig`, of the new API stack.

    `replay_buffer_config` of `training()` takes "type" ("EpisodeReplayBuffer" or "PrioritizedEpisodeReplayBuffer"), "capacity",
    "alpha", "beta" as RLlib does, and further options of mujigae's buffers: frame_stack, compress, path, eps, stratified,
    prefetch, validate, seed. Without a seed it is that of `debugging(seed=)`.
    """

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or DQN)

    def validate(self) -> None:
        """As RLlib's. Raises ValueError for what the batches of the engine do not serve."""
        super().validate()
        kind = self.replay_buffer_config["type"]
        if kind not in _BUFFERS:
            raise ValueError(f'replay_buffer_config["type"]: expected one of {list(_BUFFERS)}, got {kind!r}')
        if not isinstance(self.n_step, int):
            raise ValueError(f"n_step: expected one number of steps, got {self.n_step}")
        for name, is_wrong in (
            ("several agents", self.is_multi_agent),
            ("the old API stack", not self.enable_env_runner_and_connector_v2),
            ("a learner connector, which works on episodes", self._learner_connector is not None),
            ("an LSTM", bool(self.model_config.get("use_lstm"))),
        ):
            if is_wrong:
                raise ValueError(f"config: expected a DQN without {name}, got one with it")


class DQN(dqn.DQN):
    """As RLlib's `DQN`, whose `local_replay_buffer` is an `EpisodeBuffer`."""

    local_replay_buffer: EpisodeBuffer

    @classmethod
    def get_default_config(cls) -> DQNConfig:
        """As RLlib's."""
        return DQNConfig()

    def training_step(self) -> None:
        """Collects, and learns from batches of the buffer, in the proportion of `training_intensity`."""
        num_collections, num_updates = calculate_rr_weights(self.config)
        for _ in range(num_collections):
            self._collect()
        if self._num_steps() < self.config.num_steps_sampled_before_learning_starts:
            return
        modules: set[str] = set()
        for _ in range(num_updates):
            modules = self._learn()
        with self._timed(names.SYNCH_WORKER_WEIGHTS_TIMER):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group,
                policies=modules,
                global_vars=None,
                inference_only=True,
            )

    def _create_local_replay_buffer_if_necessary(self, config: Any) -> EpisodeBuffer:
        options = dict(self.config.replay_buffer_config)
        is_prioritized = _BUFFERS[options.pop("type")]
        num_lanes = max(1, self.config.num_env_runners) * self.config.num_envs_per_env_runner
        options = {"seed": self.config.seed, **options}
        options |= {"n_step": self.config.n_step, "gamma": self.config.gamma}
        return EpisodeBuffer(is_prioritized, num_lanes, **options)

    def _collect(self) -> None:
        with self._timed(names.ENV_RUNNER_SAMPLING_TIMER):
            episodes, results = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                concat=True,
                sample_timeout_s=self.config.sample_timeout_s,
                _uses_new_env_runners=True,
                _return_metrics=True,
            )
        self.metrics.aggregate(results, key=names.ENV_RUNNER_RESULTS)
        with self._timed(names.REPLAY_BUFFER_ADD_DATA_TIMER):
            self.local_replay_buffer.add(episodes)

    def _learn(self) -> set[str]:
        """One update; returns the ids of the modules that it changed."""
        with self._timed(names.REPLAY_BUFFER_SAMPLE_TIMER):
            batch, key = self.local_replay_buffer.sample(self.config.total_train_batch_size)
        with self._timed(names.LEARNER_UPDATE_TIMER):
            results = self.learner_group.update(batch=batch, timesteps=self._timesteps())
        errors = [
            convert_to_numpy(part)
            for result in results
            for part in result[DEFAULT_MODULE_ID].pop(names.TD_ERROR_KEY).peek()
        ]
        self.metrics.aggregate(results, key=names.LEARNER_RESULTS)
        with self._timed(names.REPLAY_BUFFER_UPDATE_PRIOS_TIMER):
            self.local_replay_buffer.update_priorities(key, np.concatenate(errors))
        return set(results[0]) - {names.ALL_MODULES}

    def _timed(self, name: str) -> Any:
        return self.metrics.log_time((names.TIMERS, name))

    def _num_steps(self) -> int:
        steps = self._timesteps()
        by_agent = steps[names.NUM_AGENT_STEPS_SAMPLED_LIFETIME]
        if self.config.count_steps_by == "agent_steps":
            return int(sum(by_agent.values()))
        return int(steps[names.NUM_ENV_STEPS_SAMPLED_LIFETIME])

    def _timesteps(self) -> dict[str, Any]:
        peek, place = self.metrics.peek, names.ENV_RUNNER_RESULTS
        return {
            names.NUM_ENV_STEPS_SAMPLED_LIFETIME: peek(
                (place, names.NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0
            ),
            names.NUM_AGENT_STEPS_SAMPLED_LIFETIME: peek(
                (place, names.NUM_AGENT_STEPS_SAMPLED_LIFETIME), default={}
            ),
        }


class EpisodeBuffer:
    """Pieces of RLlib's episodes in, batches for its learners out.

    Args:
        is_prioritized: by priority, or uniform.
        num_lanes: environments that are played at a time, E; each open episode has a lane of the engine.
        capacity: rows.
        alpha, beta: of the priorities; not read by a uniform buffer.
        **options: further ones of mujigae's buffers: n_step, gamma, frame_stack, compress, path, seed, ...

    `replay` is the engine's buffer, which has the shapes and dtypes of the first episode; None before it.
    """

    replay: mujigae.ReplayBuffer | None

    def __init__(
        self,
        is_prioritized: bool,
        num_lanes: int,
        capacity: int = 50_000,
        *,
        alpha: float = 0.6,
        beta: float = 0.4,
        **options: Any,
    ) -> None:
        self._make = mujigae.PrioritizedReplayBuffer if is_prioritized else mujigae.ReplayBuffer
        priorities = {"alpha": alpha, "beta": beta} if is_prioritized else {}
        self._options = {"capacity": capacity, "num_envs": num_lanes, **priorities, **options}
        self._lanes: dict[str, int] = {}  # of the open episodes, the one that was extended last at the end
        self.replay = None

    def __len__(self) -> int:
        """Rows that can be drawn."""
        return 0 if self.replay is None else len(self.replay)

    def add(self, episodes: Iterable[Any]) -> None:
        """Adds pieces of `SingleAgentEpisode`s, each continuing the one of its id; no steps: nothing.

        Raises ValueError for observations that are no single arrays, before anything of their episode is added.
        """
        for episode in episodes:
            if len(episode):
                self._add(episode)

    def sample(self, batch_size: int) -> tuple[MultiAgentBatch, NDArray[np.int64]]:
        """A batch as RLlib's DQN learners take it, and the key [B] of its rows. Raises ValueError before the first row.

        Columns: obs and new_obs [B, *obs_shape], actions, rewards (n-step) [B], terminateds [B] bool, weights [B], n_step
        [B]: the learner discounts by gamma^n_step.
        """
        if self.replay is None:
            raise ValueError("sample: expected an episode first, got none")
        batch = self.replay.sample(batch_size)
        columns = {
            Columns.OBS: batch.obs,
            Columns.ACTIONS: batch.action,
            Columns.REWARDS: batch.reward,
            Columns.NEXT_OBS: batch.next_obs,
            Columns.TERMINATEDS: batch.terminated,
            "weights": batch.weight,
            "n_step": _num_steps(batch, self.replay.gamma, self.replay.n_step),
        }
        return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=batch_size), batch.key

    def update_priorities(self, key: NDArray[np.int64], td_errors: NDArray[np.float32]) -> int:
        """Sets the priorities |td_errors| [B] of rows that are still there, and returns how many; none in a uniform buffer."""
        if not isinstance(self.replay, mujigae.PrioritizedReplayBuffer):
            return 0
        return self.replay.update_priorities(key, np.abs(td_errors))

    def _add(self, episode: Any) -> None:
        obs = _array_of(episode.get_observations())  # [T + 1, ...]
        action = np.asarray(episode.get_actions())
        replay = self._made(obs, action) if self.replay is None else self.replay
        terminated, truncated = np.zeros((2, len(action), 1), bool)
        terminated[-1], truncated[-1] = episode.is_terminated, episode.is_truncated
        reward = np.asarray(episode.get_rewards(), np.float64)[:, None]
        lane = self._lane(episode.id_, is_over=bool(episode.is_done))
        replay.extend(obs[:-1, None], action[:, None], reward, obs[1:, None], terminated, truncated, [lane])
        self.replay = replay

    def _made(self, *arrays: NDArray[Any]) -> mujigae.ReplayBuffer:
        """An empty buffer for observations and actions like these [T, ...]."""
        spaces = [(array.shape[1:], array.dtype) for array in arrays]
        return self._make(observation_space=spaces[0], action_space=spaces[1], **self._options)

    def _lane(self, name: str, *, is_over: bool) -> int:
        """The lane of an episode; of a new one, a free lane, or that of the episode which has been quiet for longest."""
        lane = self._lanes.pop(name, None)
        if lane is None:
            free = set(range(self._options["num_envs"])) - set(self._lanes.values())
            lane = min(free) if free else self._given_up()
        if not is_over:
            self._lanes[name] = lane
        return lane

    def _given_up(self) -> int:
        """The lane of the episode which has been quiet for longest, and ends here."""
        assert self.replay is not None
        lane = self._lanes.pop(next(iter(self._lanes)))
        self.replay.end_episodes([lane])
        return lane


def _array_of(observations: Any) -> NDArray[Any]:
    """[T, ...]; ValueError for dicts and tuples, which RLlib's DQN networks do not take either."""
    one = observations[0] if isinstance(observations, list) and observations else observations
    if isinstance(one, Mapping | tuple):
        raise ValueError(
            f"observations: expected single arrays, got a {type(one).__name__}; add FlattenObservations (of "
            "ray.rllib.connectors.env_to_module) as env_to_module_connector of config.env_runners()"
        )
    return np.asarray(observations)


def _num_steps(batch: mujigae.Batch, gamma: float, n_step: int) -> NDArray[np.float32]:
    """The steps [B] of each window, out of its discount gamma^m; of a terminal one, which has no bootstrap, any."""
    steps = np.full(batch.discount.shape, n_step, np.float32)
    if 0 < gamma < 1:
        goes_on = batch.discount > 0
        steps[goes_on] = np.rint(np.log(batch.discount[goes_on]) / np.log(gamma))
    return steps
