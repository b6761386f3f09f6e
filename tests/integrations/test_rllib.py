"""RLlib: its DQN learns from the engine's batches as from its own buffer's, and every row is where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

ray = pytest.importorskip("ray")
pytest.importorskip("ray.rllib")

import gymnasium  # noqa: E402
import torch  # noqa: E402
from example_runs import output_of  # noqa: E402
from ray.rllib.algorithms.dqn import DQNConfig as TheirConfig  # noqa: E402
from ray.rllib.core import DEFAULT_MODULE_ID  # noqa: E402
from ray.rllib.env.single_agent_episode import SingleAgentEpisode  # noqa: E402

import mujigae  # noqa: E402
from mujigae.integrations.rllib import DQN, DQNConfig, EpisodeBuffer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # RLlib's own


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray on two processors with a small object store, ended with its processes after the tests of this file."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    patch.undo()


def config(kind: Any = DQNConfig, **training: Any) -> Any:
    options = {
        "lr": 1e-3,
        "n_step": 3,
        "train_batch_size": 32,
        "training_intensity": 8,
        "num_steps_sampled_before_learning_starts": 500,
        "epsilon": [(0, 1.0), (4000, 0.05)],
        **training,
    }
    return (
        kind()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .debugging(seed=0, log_level="ERROR")
        .training(**options)
    )


def built(made: Any) -> Iterator[Any]:
    algorithm = made.build_algo()
    try:
        yield algorithm
    finally:
        algorithm.stop()


@pytest.fixture
def algorithm() -> Iterator[Any]:
    yield from built(config())


# --- the buffer ---


def pieces(length: int, cuts: list[int], *, is_terminated: bool, first: int = 0) -> list[SingleAgentEpisode]:
    """An episode whose step t observes t, acts t % 3 and earns t, in pieces that are cut at `cuts`."""
    episode = SingleAgentEpisode(
        observation_space=gymnasium.spaces.Box(-1, 1000, (2,), np.float32),
        action_space=gymnasium.spaces.Discrete(3),
    )
    episode.add_env_reset(observation(first))
    found = []
    for t in range(length):
        over = t == length - 1
        episode.add_env_step(
            observation(first + t + 1),
            t % 3,
            float(t),
            terminated=over and is_terminated,
            truncated=over and not is_terminated,
        )
        if t + 1 in cuts:
            found.append(episode)
            episode = episode.cut()
    return [*found, episode]


def observation(t: int) -> Any:
    return np.array([t, -1], np.float32)


@pytest.mark.parametrize("is_prioritized", [True, False])
@pytest.mark.parametrize("is_terminated", [True, False])
def test_pieces_of_episodes_make_the_windows_of_whole_ones(is_prioritized: bool, is_terminated: bool) -> None:
    buffer = EpisodeBuffer(is_prioritized, 2, 100, n_step=3, gamma=0.5, seed=0)
    one, other = (pieces(10, [1, 4, 9], is_terminated=is_terminated, first=first) for first in (0, 100))
    for pair in zip(one, other, strict=True):
        buffer.add(pair)
    assert len(buffer) == 20
    columns, _ = buffer.sample(500)
    columns = columns[DEFAULT_MODULE_ID]
    first, last = columns["obs"][:, 0], columns["new_obs"][:, 0]
    t = first % 100
    steps = np.minimum(3, 10 - t)
    np.testing.assert_array_equal(last - first, steps)
    np.testing.assert_allclose(
        columns["rewards"],
        [sum(0.5**i * (a + i) for i in range(int(m))) for a, m in zip(t, steps, strict=True)],
    )
    ends = t + steps == 10
    np.testing.assert_array_equal(columns["terminateds"], ends & is_terminated)
    np.testing.assert_array_equal(columns["n_step"][~columns["terminateds"]], steps[~columns["terminateds"]])
    np.testing.assert_array_equal(columns["actions"], t % 3)
    assert set(first) == {*range(10), *range(100, 110)}


@pytest.mark.parametrize("first", [50, 2], ids=["elsewhere", "where the other stopped"])
def test_episode_that_never_ends_gives_up_its_lane(first: int) -> None:
    buffer = EpisodeBuffer(False, 1, 100, seed=0)
    buffer.add(pieces(4, [2], is_terminated=True)[:1])
    buffer.add(pieces(3, [], is_terminated=True, first=first))
    ends = [(len(episode.reward), bool(episode.truncated[-1])) for episode in buffer.replay.episodes()]
    assert ends == [(2, True), (3, False)]


def test_lane_that_is_given_up_leaves_the_episodes_of_others_open() -> None:
    buffer = EpisodeBuffer(False, 2, 100, seed=0, n_step=3)
    for first, length in ((0, 4), (20, 4), (40, 2)):
        buffer.add(pieces(length + 1, [length], is_terminated=True, first=first)[:1])
    held = {int(one.obs[0, 0]): (len(one.reward), bool(one.is_open)) for one in buffer.replay.episodes()}
    assert held == {0: (4, False), 20: (4, True), 40: (2, True)}
    assert len(buffer) == 4 + 2


@pytest.mark.parametrize("is_numpy", [False, True])
@pytest.mark.parametrize("kind", [gymnasium.spaces.Dict, gymnasium.spaces.Tuple])
def test_observations_in_dicts_are_refused_with_what_makes_arrays_of_them(kind: Any, is_numpy: bool) -> None:
    part = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    space = kind({"a": part} if kind is gymnasium.spaces.Dict else (part,))
    episode = SingleAgentEpisode(observation_space=space, action_space=gymnasium.spaces.Discrete(3))
    episode.add_env_reset(space.sample())
    for _ in range(2):
        episode.add_env_step(space.sample(), 0, 1.0)
    buffer = EpisodeBuffer(True, 1, 100)
    with pytest.raises(
        ValueError, match=r"observations: expected single arrays, got a .*FlattenObservations"
    ):
        buffer.add([episode.to_numpy() if is_numpy else episode])
    assert buffer.replay is None


def test_first_episode_that_is_refused_leaves_nothing_behind() -> None:
    buffer = EpisodeBuffer(True, 1, 100)
    (episode,) = pieces(3, [], is_terminated=True)
    episode.rewards[1] = np.nan
    with pytest.raises(ValueError, match="reward"):
        buffer.add([episode])
    assert buffer.replay is None


def test_piece_without_a_step_adds_nothing() -> None:
    buffer = EpisodeBuffer(True, 1, 100)
    buffer.add([SingleAgentEpisode(observations=[observation(0)])])
    assert len(buffer) == 0
    with pytest.raises(ValueError, match="sample: expected an episode first, got none"):
        buffer.sample(4)


def test_priorities_reach_the_rows_of_their_key() -> None:
    buffer = EpisodeBuffer(True, 1, 100, seed=0, eps=0.0, alpha=1.0)
    buffer.add(pieces(10, [], is_terminated=True))
    every = np.unique(buffer.replay.draw(500)[0])
    assert buffer.update_priorities(every, np.where(every == every[3], -2.0, 0.0)) == 10
    columns, drawn = buffer.sample(16)
    assert set(drawn) == {every[3]}
    assert set(columns[DEFAULT_MODULE_ID]["obs"][:, 0]) == {3.0}


# --- the algorithm ---


def test_learner_computes_the_errors_of_the_batch_it_was_handed(algorithm: Any) -> None:
    """The priorities of a batch are the errors that its targets give, worked out by hand."""
    for _ in range(2):
        algorithm.train()
    buffer = algorithm.local_replay_buffer
    handed: dict[str, Any] = {}
    sample, update = buffer.sample, buffer.update_priorities

    def keep_batch(batch_size: int) -> Any:
        answer = sample(batch_size)
        handed["batch"] = answer[0][DEFAULT_MODULE_ID].copy()
        handed["key"] = answer[1]
        handed["expected"] = errors_by_hand(algorithm, handed["batch"])
        return answer

    def keep_errors(key: Any, errors: Any) -> int:
        handed["errors"] = errors
        assert key is handed["key"]
        return int(update(key, errors))

    buffer.sample, buffer.update_priorities = keep_batch, keep_errors
    algorithm._learn()
    np.testing.assert_allclose(handed["errors"], handed["expected"], rtol=1e-4, atol=1e-4)


def errors_by_hand(algorithm: Any, batch: Any) -> Any:
    module = algorithm.learner_group._learner.module[DEFAULT_MODULE_ID].unwrapped()
    obs, next_obs = (torch.as_tensor(np.array(batch[name])) for name in ("obs", "new_obs"))
    rows = torch.arange(len(obs))
    with torch.no_grad():
        online, target = module.compute_q_values, module.forward_target
        best = online({"obs": next_obs})["qf_preds"].argmax(1)
        later = target({"obs": next_obs})["qf_preds"][rows, best].numpy() * ~batch["terminateds"]
        now = online({"obs": obs})["qf_preds"][
            rows, torch.as_tensor(np.array(batch["actions"])).long()
        ].numpy()
    return np.abs(now - (batch["rewards"] + 0.99 ** batch["n_step"] * later))


def test_rows_are_those_that_were_played(algorithm: Any) -> None:
    algorithm.train()
    replay = algorithm.local_replay_buffer.replay
    assert isinstance(replay, mujigae.PrioritizedReplayBuffer)
    assert (replay.num_envs, replay.n_step, replay.num_silent_boundaries) == (4, 3, 0)
    env = gymnasium.make("CartPole-v1").unwrapped
    for episode in replay.episodes():
        for t in range(len(episode.reward)):
            env.reset()
            env.state = episode.obs[t]
            expected, *_ = env.step(int(episode.action[t]))
            np.testing.assert_allclose(episode.obs[t + 1], expected, rtol=1e-5, atol=1e-6)
        assert episode.is_open or episode.terminated[-1] or len(episode.reward) == 500


def test_uniform_buffer_learns_too() -> None:
    kind = {"type": "EpisodeReplayBuffer", "capacity": 2000}
    for algorithm in built(config(replay_buffer_config=kind)):
        result = algorithm.train()
        assert not isinstance(algorithm.local_replay_buffer.replay, mujigae.PrioritizedReplayBuffer)
        assert np.isfinite(result["learners"][DEFAULT_MODULE_ID]["qf_loss"])


def test_a_remote_env_runner_is_served() -> None:
    made = config(num_steps_sampled_before_learning_starts=50)
    made = made.env_runners(num_env_runners=1, num_envs_per_env_runner=2)
    made = made.reporting(min_sample_timesteps_per_iteration=200)
    for algorithm in built(made):
        algorithm.train()
        assert algorithm.local_replay_buffer.replay.num_envs == 2
        assert algorithm.local_replay_buffer.replay.num_silent_boundaries == 0


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"n_step": (1, 5)}, r"n_step: expected one number of steps, got \(1, 5\)"),
        (
            {"replay_buffer_config": {"type": "MultiAgentReplayBuffer"}},
            r'replay_buffer_config\["type"\]: .* got',
        ),
        ({"learner_connector": lambda *_: []}, "config: expected a DQN without a learner connector"),
    ],
)
def test_what_the_engine_does_not_serve_is_refused(training: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**training).validate()


def test_config_builds_the_algorithm_of_the_engine(algorithm: Any) -> None:
    assert type(algorithm) is DQN
    assert type(DQN.get_default_config()) is DQNConfig


@pytest.mark.learns
def test_learns_cartpole_as_well_as_with_the_buffer_of_rllib() -> None:
    best = {}
    for kind in (DQNConfig, TheirConfig):
        for algorithm in built(config(kind)):
            best[kind] = max(algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(8))
    assert best[DQNConfig] > 150
    assert best[DQNConfig] > 0.7 * best[TheirConfig]


@pytest.mark.learns
def test_example_learns_cartpole() -> None:
    assert float(output_of("rllib_dqn").split()[-1]) > 150
