"""EnvPool: whatever the order of a pool's answers, the buffer holds what every environment played, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

envpool = pytest.importorskip("envpool")

from example_runs import output_of  # noqa: E402
from gymnasium.vector import VectorEnv  # noqa: E402
from gymnasium.wrappers.vector import RecordEpisodeStatistics  # noqa: E402

import mujigae  # noqa: E402
from mujigae.integrations.envpool import RecordTransitions  # noqa: E402
from mujigae.integrations.gymnasium import RecordTransitions as RecordAnything  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*Box (low|high)'s precision.*", "ignore:.*reset.seed=.*")

NUM_ENVS = 5


def pool(task: str = "CartPole-v1", **options: Any) -> Any:
    return envpool.make(
        task, env_type="gymnasium", **{"num_envs": NUM_ENVS, "seed": 3, "num_threads": 2, **options}
    )


def buffer_of(env: Any, **options: Any) -> mujigae.ReplayBuffer:
    spaces = env.observation_space, env.action_space
    return mujigae.ReplayBuffer(20_000, *spaces, num_envs=len(env), **options)


def policy(obs: Any) -> Any:
    """Decided by the observation alone: an environment plays the same in every pool of its seed."""
    return (obs.reshape(len(obs), -1).astype(np.float64).sum(axis=1) * 1e3 % 7 > 2).astype(np.int64)


def played(env: Any, num_steps: int, end: int | None = None) -> list[list[Any]]:
    """The rows of each environment of a synchronous pool, worked out by hand: (obs, action, reward, next_obs, ends)."""
    rows: list[list[Any]] = [[] for _ in range(len(env))]
    obs, _ = env.reset()
    over = np.zeros(len(env), bool)
    for _ in range(num_steps):
        action = policy(obs)
        new_obs, reward, terminated, truncated, _ = env.step(action)
        for e in np.flatnonzero(~over):
            rows[e].append(
                (obs[e], action[e], float(reward[e]), new_obs[e], bool(terminated[e]), bool(truncated[e]))
            )
        obs, over = new_obs, terminated | truncated
    return rows


def recorded(buffer: mujigae.ReplayBuffer) -> list[list[Any]]:
    rows: list[list[Any]] = [[] for _ in range(buffer.num_envs)]
    for episode in buffer.episodes():
        for t in range(len(episode.reward)):
            ends = bool(episode.terminated[t]), bool(episode.truncated[t])
            row = (
                episode.obs[t],
                episode.action[t],
                float(episode.reward[t]),
                episode.obs[t + 1],
                *ends,
            )
            rows[episode.env_id].append(row)
    return rows


def assert_same(found: list[list[Any]], expected: list[list[Any]], at_least: int) -> None:
    """The rows found are the first of those expected, `at_least` of each environment, and the last may be missing its end."""
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) >= at_least
        for row, other in zip(ours, theirs, strict=False):
            for part, other_part in zip(row, other, strict=True):
                np.testing.assert_array_equal(part, other_part)


def play_asynchronously(env: Any, num_answers: int, seed: int = 0) -> None:
    """Sends to some of the idle environments at a time, in any order, so that some stay behind."""
    rng = np.random.default_rng(seed)
    batch_size = env.config["batch_size"]
    env.async_reset()
    idle: dict[int, Any] = {}
    for _ in range(num_answers):
        obs, *_, info = env.recv()
        idle |= dict(zip(info["env_id"].tolist(), obs, strict=True))
        under_way = len(env.all_env_ids) - len(idle)
        fewest = max(1, batch_size - under_way)
        ids = rng.permutation(list(idle))[: rng.integers(fewest, len(idle) + 1)]
        env.send(policy(np.stack([idle.pop(int(e)) for e in ids])), ids)


@pytest.mark.parametrize("options", [{}, {"max_episode_steps": 9}], ids=["ends", "cuts"])
def test_synchronous_pool_is_recorded_as_it_was_played(options: dict[str, Any]) -> None:
    env = pool(**options)
    recorder = RecordTransitions(env, buffer_of(env))
    obs, _ = recorder.reset()
    for _ in range(200):
        obs, *_ = recorder.step(policy(obs))
    expected = played(pool(**options), 200)
    assert_same(recorded(recorder.buffer), expected, at_least=100)
    assert [len(rows) for rows in recorded(recorder.buffer)] == [len(rows) for rows in expected]
    assert recorder.buffer.num_silent_boundaries == 0
    assert any(row[5] if options else row[4] for rows in expected for row in rows)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("options", [{}, {"max_episode_steps": 9}], ids=["ends", "cuts"])
def test_asynchronous_answers_go_to_the_lanes_of_their_environments(
    batch_size: int, options: dict[str, Any]
) -> None:
    env = pool(batch_size=batch_size, **options)
    recorder = RecordTransitions(env, buffer_of(env))
    assert recorder.is_async
    play_asynchronously(recorder, 1200 // batch_size)
    found = recorded(recorder.buffer)
    assert_same(found, played(pool(**options), 1500), at_least=20)
    assert recorder.buffer.num_silent_boundaries == 0
    assert sum(map(len, found)) > 900


def test_lost_lives_end_an_episode_and_frames_are_stored_once() -> None:
    options = {"num_envs": 3, "episodic_life": True, "use_fire_reset": True, "max_episode_steps": 150}
    env = pool("Breakout-v5", batch_size=2, **options)
    recorder = RecordTransitions(env, buffer_of(env, frame_stack=4))
    play_asynchronously(recorder, 500)
    expected = played(pool("Breakout-v5", **options), 600)
    assert_same(recorded(recorder.buffer), expected, at_least=100)
    assert any(row[4] for rows in expected for row in rows)
    assert recorder.buffer.num_silent_boundaries == 0


def test_answers_are_those_of_the_pool() -> None:
    plain, recorder = pool(), RecordTransitions(pool(), buffer_of(pool()))
    first, second = plain.reset(), recorder.reset()
    np.testing.assert_array_equal(first[0], second[0])
    for t in range(30):
        action = np.full(NUM_ENVS, t % 2)
        answers = plain.step(action), recorder.step(action)
        for ours, theirs in zip(answers[1][:4], answers[0][:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(answers[1][4]["env_id"], answers[0][4]["env_id"])


def test_some_environments_of_a_synchronous_pool_may_be_stepped_and_reset() -> None:
    env = pool()
    recorder = RecordTransitions(env, buffer_of(env))
    obs, _ = recorder.reset()
    obs[[4, 1]], *_ = recorder.step(np.array([0, 1]), np.array([4, 1]))
    recorder.reset(np.array([1], np.int32))
    recorder.step(np.array([1, 0]), np.array([1, 4]))
    found = {e: [int(row[1]) for row in rows] for e, rows in enumerate(recorded(recorder.buffer)) if rows}
    assert found == {1: [1, 1], 4: [0, 0]}
    lengths = sorted((episode.env_id, len(episode.reward)) for episode in recorder.buffer.episodes())
    assert lengths == [(1, 1), (1, 1), (4, 2)]


def test_a_reset_environment_that_begins_where_it_was_begins_another_episode() -> None:
    env = pool("FrozenLake-v1")
    recorder = RecordTransitions(env, buffer_of(env))
    recorder.reset()
    obs, *_ = recorder.step(np.zeros(NUM_ENVS, np.int32))
    (e, *_) = np.flatnonzero(obs == 0)  # it stands where every episode begins
    recorder.reset(np.array([e], np.int32))
    recorder.step(np.zeros(1, np.int32), np.array([e]))
    assert [len(one.reward) for one in recorder.buffer.episodes() if one.env_id == e] == [1, 1]


def test_reset_of_one_environment_ends_its_episode_only() -> None:
    env = pool("FrozenLake-v1")
    recorder = RecordTransitions(env, buffer_of(env, n_step=3))
    recorder.reset()
    obs, *_ = recorder.step(np.zeros(NUM_ENVS, np.int32))
    (e, *_) = np.flatnonzero(obs == 0)
    recorder.reset(np.array([e], np.int32))
    others = np.array([other for other in range(NUM_ENVS) if other != e])
    recorder.step(np.zeros(NUM_ENVS - 1, np.int32), others)
    lengths = {one.env_id: (len(one.reward), bool(one.is_open)) for one in recorder.buffer.episodes()}
    assert lengths == dict.fromkeys(others.tolist(), (2, True)) | {int(e): (1, False)}
    assert len(recorder.buffer) == 1
    assert recorder.buffer.num_silent_boundaries == 0


def test_reset_of_all_environments_cuts_the_open_episodes() -> None:
    env = pool()
    recorder = RecordTransitions(env, buffer_of(env))
    for _ in range(2):
        recorder.reset()
        recorder.step(np.zeros(NUM_ENVS, np.int64))
    ends = [episode.truncated.tolist() for episode in recorder.buffer.episodes() if not episode.is_open]
    assert ends == [[True]] * NUM_ENVS
    assert recorder.buffer.num_silent_boundaries == 0


def test_discrete_observations_of_another_integer_type_are_recorded() -> None:
    env = pool("FrozenLake-v1")
    recorder = RecordTransitions(env, buffer_of(env))
    obs, _ = recorder.reset()
    recorder.step(np.full(NUM_ENVS, 2, np.int32))
    assert obs.dtype != env.observation_space.dtype
    assert recorder.buffer.sample(8).next_obs.dtype == env.observation_space.dtype


def test_continuous_actions_are_recorded_as_they_were_sent() -> None:
    env = pool("Pendulum-v1")
    recorder = RecordTransitions(env, buffer_of(env))
    recorder.reset()
    actions = np.linspace(-2, 2, NUM_ENVS, dtype=np.float32)[:, None]
    recorder.step(actions)
    held = {episode.env_id: episode.action[0] for episode in recorder.buffer.episodes()}
    np.testing.assert_array_equal([held[e] for e in range(NUM_ENVS)], actions)


# --- beside Gymnasium's ---


def test_recorder_of_gymnasium_recognises_a_pool() -> None:
    env = pool(batch_size=2)
    recorder = RecordAnything(env, buffer_of(env))
    assert isinstance(recorder, RecordTransitions)
    assert isinstance(recorder, VectorEnv)
    assert recorder.unwrapped is env


def test_wrapper_around_an_asynchronous_pool_is_refused() -> None:
    env = pool(batch_size=2)
    if not isinstance(env, VectorEnv):
        pytest.skip("in this release of EnvPool a pool is no vector environment")
    with pytest.raises(TypeError, match="env: expected the pool itself, got RecordEpisodeStatistics around"):
        RecordAnything(RecordEpisodeStatistics(env), buffer_of(env))


def test_wrappers_of_gymnasium_go_around_the_recorder() -> None:
    env = pool()
    recorder = RecordTransitions(env, buffer_of(env))
    if "autoreset_mode" not in recorder.metadata:
        pytest.skip("this release of EnvPool does not say how it resets")
    outer = RecordEpisodeStatistics(recorder)
    obs, _ = outer.reset()
    for _ in range(100):
        obs, *_ = outer.step(policy(obs))
    closed = [len(episode.reward) for episode in recorder.buffer.episodes() if not episode.is_open]
    assert closed
    assert sorted(closed) == sorted(int(steps) for steps in outer.length_queue)


# --- what is refused ---


def test_action_into_an_environment_whose_answer_is_to_come_is_refused() -> None:
    env = pool(batch_size=2)
    recorder = RecordTransitions(env, buffer_of(env))
    recorder.async_reset()
    with pytest.raises(
        RuntimeError, match=r"send: expected environments whose answer was received, got \[0\]"
    ):
        recorder.send(np.array([0]), np.array([0]))
    with pytest.raises(RuntimeError, match="async_reset: expected environments whose answer was received"):
        recorder.async_reset()


@pytest.mark.parametrize(
    ("action", "ids", "error", "message"),
    [
        ([0, 1], [1, 1], ValueError, r"env_id: expected distinct ids, got \[1, 1\]"),
        ([0, 1], [1, 5], ValueError, "env_id: expected ids of 0 to 4, got 5 at 1"),
        ([0, 1, 0], [1, 2], ValueError, r"action: expected shape \(2,\), got \(3,\)"),
        ([0.5, 1.0], [1, 2], TypeError, "action: expected int64, got float64"),
    ],
)
def test_send_that_does_not_fit_is_refused_before_anything_is_sent(
    action: list[float], ids: list[int], error: type[Exception], message: str
) -> None:
    env = pool()
    recorder = RecordTransitions(env, buffer_of(env))
    recorder.reset()
    with pytest.raises(error, match=message):
        recorder.send(np.array(action), np.array(ids))
    recorder.step(np.zeros(NUM_ENVS, np.int64))
    assert len(recorder.buffer) == NUM_ENVS


def test_pools_that_cannot_be_recorded_are_refused() -> None:
    env = pool()
    with pytest.raises(ValueError, match="buffer: expected num_envs=5, as the pool has environments, got 1"):
        RecordTransitions(env, mujigae.ReplayBuffer(10, env.observation_space, env.action_space))
    with pytest.raises(TypeError, match=r'env: expected a pool of envpool.make\(..., env_type="gymnasium"\)'):
        RecordTransitions(envpool.make("CartPole-v1", env_type="dm", num_envs=5), buffer_of(env))
    with pytest.raises(ValueError, match=r"env: expected a pool of one player .* got max_num_players=2"):
        RecordTransitions(pool(max_num_players=2), buffer_of(env))


def test_example_learns_the_shortest_path() -> None:
    assert output_of("envpool_async").splitlines()[-1] == "the goal is reached in 13 steps"
