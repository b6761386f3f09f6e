"""Minari's datasets and our buffers: every episode comes over as it is, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

minari = pytest.importorskip("minari", reason="minari is not installed: pip install 'mujigae[minari]'")

import gymnasium  # noqa: E402
from example_runs import output_of  # noqa: E402
from gymnasium import spaces  # noqa: E402
from minari.data_collector import EpisodeBuffer  # noqa: E402

import mujigae  # noqa: E402
from mujigae import cli  # noqa: E402
from mujigae.integrations.gymnasium import RecordTransitions  # noqa: E402
from mujigae.integrations.minari import add_episodes, from_minari, to_minari  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Minari warns of metadata that is not there
IMAGE = spaces.Box(0, 255, (3, 40, 40), np.uint8)
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "vector": spaces.Box(-np.inf, np.inf, (3,), np.float32),
    "number": spaces.Discrete(50),
    "image": spaces.Box(0, 255, (40, 40, 3), np.uint8),
    "dict": spaces.Dict({"b": IMAGE, "a": spaces.Dict({"x": spaces.Box(-9, 9, (2,), np.float64)})}),
    "tuple": spaces.Tuple((spaces.Box(-9, 9, (), np.float64), spaces.MultiBinary(4))),
}
ACTIONS = {"discrete": spaces.Discrete(5), "box": spaces.Box(-1, 1, (2,), np.float32)}


@pytest.fixture(autouse=True)
def datasets_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))


def stacked(samples: list[Any]) -> Any:
    if isinstance(samples[0], dict):
        return {name: stacked([sample[name] for sample in samples]) for name in samples[0]}
    if isinstance(samples[0], tuple):
        return tuple(stacked(list(part)) for part in zip(*samples, strict=True))
    return np.stack(samples)


def episodes(observation: str, action: str = "discrete", num_episodes: int = 6) -> list[EpisodeBuffer]:
    """Episodes of 1 to 6 steps of random values, that terminate and are truncated in turn."""
    space, action_space = OBSERVATIONS[observation], ACTIONS[action]
    random = np.random.default_rng(0)
    for one in (space, action_space):
        one.seed(0)
    found = []
    for number in range(num_episodes):
        steps = number + 1
        ends = np.arange(steps) == steps - 1
        found.append(EpisodeBuffer(id=number, observations=stacked([space.sample() for _ in range(steps + 1)]),
                                   actions=stacked([action_space.sample() for _ in range(steps)]),
                                   rewards=random.normal(size=steps), terminations=ends & (number % 2 == 0),
                                   truncations=ends & (number % 2 == 1)))  # fmt: skip
    return found


def dataset_of(observation: str, action: str = "discrete") -> Any:
    spaces_of = {"observation_space": OBSERVATIONS[observation], "action_space": ACTIONS[action]}
    return minari.create_dataset_from_buffers(
        "test/source-v0", episodes(observation, action), jpeg_encoding=False, **spaces_of
    )


def assert_same(mine: Any, other: Any) -> None:
    if isinstance(other, dict):
        assert set(mine) == set(other)
        for name in other:
            assert_same(mine[name], other[name])
    elif isinstance(other, tuple):
        for first, second in zip(mine, other, strict=True):
            assert_same(first, second)
    else:
        assert np.asarray(mine).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(mine, other)


def assert_same_episodes(mine: Any, other: Any) -> None:
    mine, other = list(mine), list(other)
    assert len(mine) == len(other) > 0
    for first, second in zip(mine, other, strict=True):
        for name in ("observations", "actions", "rewards", "terminations", "truncations"):
            assert_same(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_dataset_goes_through_a_buffer_bit_for_bit(observation: str, action: str) -> None:
    source = dataset_of(observation, action)
    buffer = from_minari(source)
    assert len(buffer) == source.total_steps
    copy = to_minari(buffer, "test/copy-v0", observation_space=source.observation_space,
                     action_space=source.action_space)  # fmt: skip
    assert copy.total_steps == source.total_steps
    assert_same_episodes(copy.iterate_episodes(), source.iterate_episodes())


def test_buffer_goes_through_a_dataset_bit_for_bit() -> None:
    envs = gymnasium.make_vec("CartPole-v1", num_envs=2)
    buffer = mujigae.ReplayBuffer(500, envs.single_observation_space, envs.single_action_space, num_envs=2)
    recorder = RecordTransitions(envs, buffer)
    recorder.reset(seed=0)
    recorder.action_space.seed(0)
    for _ in range(200):
        recorder.step(recorder.action_space.sample())
    loaded = from_minari(to_minari(buffer, "test/cartpole-v0", env="CartPole-v1"))
    assert loaded.num_silent_boundaries == 0
    for mine, other in zip(loaded.episodes(), buffer.episodes(), strict=True):
        for name in ("obs", "action", "reward", "terminated"):
            assert_same(getattr(mine, name), getattr(other, name))
        assert mine.truncated[-1] == (not mine.terminated[-1])


def test_spaces_that_nobody_names_are_boxes_of_the_arrays() -> None:
    buffer = from_minari(dataset_of("dict"))
    copy = to_minari(buffer, "test/copy-v0")
    assert copy.observation_space["b"].dtype == np.uint8
    flags = mujigae.ReplayBuffer(5, ((2,), np.bool_), ((), np.int64))
    flags.add(np.array([True, False]), 1, 0.0, np.array([True, True]), True, False)
    assert to_minari(flags, "test/flags-v0").observation_space.dtype == np.bool_
    assert_same_episodes(copy.iterate_episodes(), minari.load_dataset("test/source-v0").iterate_episodes())


def test_stacks_are_stored_once_and_written_whole() -> None:
    frames = np.random.default_rng(0).integers(256, size=(40, 40, 40)).astype(np.uint8)
    stacks = np.stack([frames[t : t + 4] for t in range(36)])
    ends = np.arange(35) == 34
    source = minari.create_dataset_from_buffers(
        "test/source-v0", [EpisodeBuffer(observations=stacks, actions=np.zeros(35, np.int64), rewards=np.zeros(35),
        terminations=ends, truncations=np.zeros(35, bool))], jpeg_encoding=False,
        observation_space=spaces.Box(0, 255, (4, 40, 40), np.uint8), action_space=spaces.Discrete(2))  # fmt: skip
    buffer = from_minari(source, frame_stack=4)
    assert buffer.nbytes < from_minari(source).nbytes
    assert_same_episodes(to_minari(buffer, "test/copy-v0").iterate_episodes(), source.iterate_episodes())


def test_windows_and_options_are_those_of_a_buffer() -> None:
    dataset_of("vector")
    buffer = from_minari("test/source-v0", n_step=3, gamma=0.5, sampler=mujigae.Proportional())
    batch = buffer.sample(200)
    assert set(batch.discount[~batch.terminated]) == {0.5, 0.25, 0.125}
    assert buffer.update_priorities(batch.key, np.ones(200)) == 200


def test_episodes_are_added_to_those_that_are_there() -> None:
    source = dataset_of("vector")
    buffer = mujigae.ReplayBuffer(100, OBSERVATIONS["vector"], ACTIONS["discrete"], num_envs=2)
    for env_id in (0, 1, 1):
        add_episodes(buffer, source, env_id)
    assert [episode.env_id for episode in buffer.episodes()].count(1) == 12
    assert len(buffer) == 3 * source.total_steps


def test_nothing_is_refused() -> None:
    buffer = mujigae.ReplayBuffer(10, OBSERVATIONS["vector"], ACTIONS["discrete"])
    with pytest.raises(ValueError, match="buffer: expected at least one row, got none"):
        to_minari(buffer, "test/copy-v0")


def test_example_learns_from_a_dataset() -> None:
    printed = output_of("minari_offline")
    assert printed.splitlines()[-1] == "the goal is reached in 6 steps"


def test_a_saved_buffer_is_exported_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = mujigae.ReplayBuffer(30, ((3,), np.float32), ((), np.int64))
    for t in range(20):
        obs, after = np.full(3, t, np.float32), np.full(3, t + 1, np.float32)
        buffer.add(obs, t, float(t), after, t % 8 == 7, False)
    buffer.save(tmp_path / "buffer")
    command = ["replay", str(tmp_path / "buffer"), "--export", "minari"]
    assert cli.main([*command, "mine/counts-v0"]) == 0
    assert capsys.readouterr().out == "mine/counts-v0: 3 episodes, 20 steps\n"
    loaded = from_minari("mine/counts-v0")
    for mine, other in zip(loaded.episodes(), buffer.episodes(), strict=True):
        np.testing.assert_array_equal(mine.obs, other.obs)
        np.testing.assert_array_equal(mine.reward, other.reward)
    for name in ("mine/counts-v0", "no version at all"):
        assert cli.main([*command, name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"mujigae: export: {name} could not be written: ")
