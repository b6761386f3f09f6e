"""RecordTransitions: whatever the autoreset mode, the buffer holds the episodes that were played, and nothing else."""

from __future__ import annotations

import copy
import subprocess
import sys
from importlib import metadata
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from example_runs import output_of  # noqa: E402
from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorWrapper  # noqa: E402
from gymnasium.wrappers import Autoreset, TimeLimit  # noqa: E402
from gymnasium.wrappers.vector import RecordEpisodeStatistics  # noqa: E402

import mujigae  # noqa: E402
from mujigae.errors import UnsupportedVersionError  # noqa: E402
from mujigae.integrations.gymnasium import RecordTransitions  # noqa: E402

LENGTHS = (
    (3, 1, 4),
    (1, 2, 2),
    (2, 5, 3),
)  # of the episodes that environment e plays in turn; every other one is cut
MODES = list(AutoresetMode)


class Script(gymnasium.Env[Any, Any]):
    """Observes (environment, episode, step); the reward is the action plus a hundredth."""

    def __init__(self, env_id: int = 0, structure: str = "array") -> None:
        self.env_id, self.structure, self.episode = env_id, structure, -1
        where = spaces.Box(-1000, 1000, (3,), np.float32)
        self.observation_space = {
            "array": where,
            "dict": spaces.Dict({"where": where, "inner": spaces.Tuple((spaces.Discrete(100),))}),
            "number": spaces.Discrete(1000),
        }[structure]
        self.action_space = spaces.Discrete(100)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        over = self.time == length(self.env_id, self.episode)
        is_cut = self.episode % 2 == 1
        return self.observe(), int(action) + 0.01, over and not is_cut, over and is_cut, {}

    def observe(self) -> Any:
        where = np.array([self.env_id, self.episode, self.time], np.float32)
        number = 100 * self.env_id + 10 * self.episode + self.time
        return {"array": where, "dict": {"where": where, "inner": (number % 100,)}, "number": number}[
            self.structure
        ]


def length(env_id: int, episode: int) -> int:
    return LENGTHS[env_id][episode % 3]


def vector(mode: AutoresetMode, **options: Any) -> SyncVectorEnv:
    return SyncVectorEnv([lambda e=e: Script(e) for e in range(3)], autoreset_mode=mode, **options)


def buffer_of(env: Any, num_envs: int = 1, **options: Any) -> mujigae.ReplayBuffer:
    space = getattr(env, "single_observation_space", env.observation_space)
    action = getattr(env, "single_action_space", env.action_space)
    return mujigae.ReplayBuffer(1000, space, action, num_envs=num_envs, **options)


def play(envs: Any, num_steps: int, mode: AutoresetMode) -> list[np.ndarray]:
    """Plays with actions that differ from step to step, as Gymnasium's documentation says for the mode."""
    envs.reset(seed=0)
    actions = []
    for t in range(num_steps):
        actions.append(np.array([t, t + 20, t + 40]))
        _, _, terminated, truncated, _ = envs.step(actions[-1])
        over = terminated | truncated
        if mode is AutoresetMode.DISABLED and over.any():
            envs.reset(options={"reset_mask": over})
    return actions


def recorded(buffer: mujigae.ReplayBuffer, env_id: int) -> list[Any]:
    """The episodes of one environment: (episode, number of rows, whether it ended so, action of each row)."""
    found = []
    for episode in buffer.episodes():
        if episode.env_id != env_id:
            continue
        steps = len(episode.reward)
        number = int(episode.obs[0, 1])
        expected = np.array([[env_id, number, t] for t in range(steps + 1)], np.float32)
        np.testing.assert_array_equal(episode.obs, expected)
        np.testing.assert_array_equal(episode.reward, episode.action + 0.01)
        end = bool(episode.terminated[-1]), bool(episode.truncated[-1])
        found.append((number, steps, end, episode.action.tolist()))
    return found


def played(env_id: int, num_steps: int, mode: AutoresetMode) -> list[Any]:
    """The same, worked out by hand from the script."""
    found, t, number = [], 0, 0
    while t < num_steps:
        planned = length(env_id, number)
        steps = min(planned, num_steps - t)
        ends = (number % 2 == 0, number % 2 == 1) if steps == planned else (False, False)
        found.append((number, steps, ends, [t + i + 20 * env_id for i in range(steps)]))
        t += steps + (mode is AutoresetMode.NEXT_STEP)  # the step that resets
        number += 1
    return found


# --- vector environments ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_copied", [True, False])
def test_episodes_in_the_buffer_are_those_that_were_played(mode: AutoresetMode, is_copied: bool) -> None:
    envs = vector(mode, copy=is_copied)
    buffer = buffer_of(envs, 3)
    play(RecordTransitions(envs, buffer), 40, mode)
    for e in range(3):
        assert recorded(buffer, e) == played(e, 40, mode)
    assert buffer.num_silent_boundaries == 0


@pytest.mark.parametrize("mode", MODES)
def test_steps_and_resets_return_what_the_environment_returned(mode: AutoresetMode) -> None:
    plain, wrapped = vector(mode), vector(mode)
    wrapped = RecordTransitions(wrapped, buffer_of(wrapped, 3))
    assert isinstance(wrapped, VectorWrapper)
    np.testing.assert_array_equal(plain.reset(seed=1)[0], wrapped.reset(seed=1)[0])
    for t in range(20):
        answers = [envs.step(np.array([t, t, t])) for envs in (plain, wrapped)]
        for ours, theirs in zip(answers[1][:4], answers[0][:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert answers[0][4].keys() == answers[1][4].keys()
        over = answers[0][2] | answers[0][3]
        if mode is AutoresetMode.DISABLED and over.any():
            first, second = (envs.reset(options={"reset_mask": over}) for envs in (plain, wrapped))
            np.testing.assert_array_equal(first[0], second[0])


def test_environments_in_processes_are_recorded_alike() -> None:
    makers = [lambda e=e: gymnasium.make("CartPole-v1") for e in range(2)]
    held = []
    for envs in (SyncVectorEnv(makers), AsyncVectorEnv(makers, context="forkserver")):
        buffer = buffer_of(envs, 2)
        recorder = RecordTransitions(envs, buffer)
        recorder.reset(seed=3)
        for t in range(50):
            recorder.step(np.array([t % 2, 1]))
        held.append([(episode.env_id, episode.obs.tobytes()) for episode in buffer.episodes()])
        recorder.close()
    assert held[0] == held[1]
    assert len(held[0]) > 4


def test_vectorised_environment_and_wrappers_around_and_within_are_recorded() -> None:
    envs = gymnasium.make_vec("CartPole-v1", num_envs=4, vectorization_mode="vector_entry_point")
    buffer = buffer_of(envs, 4)
    recorder = RecordEpisodeStatistics(RecordTransitions(envs, buffer))
    recorder.reset(seed=0)
    for _ in range(100):
        recorder.step(np.ones(4, np.int64))
    closed = [len(episode.reward) for episode in buffer.episodes() if not episode.is_open]
    assert closed
    assert sorted(closed) == sorted(int(steps) for steps in recorder.length_queue)


def test_reset_mask_that_another_wrapper_takes_away_is_respected() -> None:
    envs = vector(AutoresetMode.DISABLED)
    buffer = buffer_of(envs, 3)
    play(RecordTransitions(RecordEpisodeStatistics(envs), buffer), 30, AutoresetMode.DISABLED)
    for e in range(3):
        assert recorded(buffer, e) == played(e, 30, AutoresetMode.DISABLED)


def test_reset_of_all_environments_cuts_the_open_episodes() -> None:
    envs = vector(AutoresetMode.SAME_STEP)
    buffer = buffer_of(envs, 3)
    recorder = RecordTransitions(envs, buffer)
    recorder.reset(seed=0)
    recorder.step(np.array([1, 2, 3]))
    recorder.reset()
    first = next(iter(buffer.episodes()))
    assert (first.env_id, first.is_open, first.truncated.tolist()) == (0, False, [True])
    assert buffer.num_silent_boundaries == 0


def test_lost_life_ends_an_episode_of_the_learner_only() -> None:
    envs = vector(AutoresetMode.SAME_STEP)
    buffer = buffer_of(envs, 3)

    def nobody(info: Any, terminated: Any, truncated: Any) -> Any:
        return np.zeros(3, bool)

    recorder = RecordTransitions(envs, buffer, game_over=nobody)
    recorder.reset(seed=0)
    recorder.step(np.zeros(3, np.int64))  # environment 1 terminates
    ended = [episode for episode in buffer.episodes() if not episode.is_open]
    assert [(episode.env_id, episode.terminated.tolist()) for episode in ended] == [(1, [True])]


def test_buffer_of_another_number_of_environments_is_refused() -> None:
    envs = vector(AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match="buffer: expected num_envs=3, as the environment has, got 2"):
        RecordTransitions(envs, buffer_of(envs, 2))


# --- single environments ---


def test_single_environment_is_recorded_until_it_ends_and_again_after_a_reset() -> None:
    env = Script()
    buffer = buffer_of(env)
    recorder = RecordTransitions(env, buffer)
    for episode in range(3):
        recorder.reset()
        for t in range(length(0, episode) + 2):  # two steps too many: of no meaning, not recorded
            recorder.step(t)
    found = [row[:3] for row in recorded(buffer, 0)]
    assert found == [(0, 3, (True, False)), (1, 1, (False, True)), (2, 4, (True, False))]


def test_reset_before_the_end_cuts_the_episode() -> None:
    env = Script()
    buffer = buffer_of(env)
    recorder = RecordTransitions(env, buffer)
    for _ in range(2):
        recorder.reset()
        recorder.step(5)
    assert recorded(buffer, 0)[0] == (0, 1, (False, True), [5])


@pytest.mark.parametrize("is_inside", [True, False])
def test_autoreset_wrapper_makes_no_phantom_row(is_inside: bool) -> None:
    env = Script()
    buffer = buffer_of(env)
    recorder = (
        RecordTransitions(Autoreset(env), buffer) if is_inside else Autoreset(RecordTransitions(env, buffer))
    )
    recorder.reset()
    for t in range(12):
        recorder.step(t)
    assert recorded(buffer, 0) == played(0, 12, AutoresetMode.NEXT_STEP)


@pytest.mark.parametrize("structure", ["dict", "number"])
def test_observations_of_any_structure_are_recorded(structure: str) -> None:
    env = Script(structure=structure)
    buffer = buffer_of(env)
    recorder = RecordTransitions(TimeLimit(env, 100), buffer)
    recorder.reset()
    for t in range(3):
        recorder.step(t)
    (episode,) = buffer.episodes()
    numbers = episode.obs if structure == "number" else episode.obs["inner"][0]
    np.testing.assert_array_equal(numbers, [0, 1, 2, 3])
    assert episode.terminated.tolist() == [False, False, True]


def test_recorder_can_be_copied_and_finds_its_own_buffer() -> None:
    env = Script()
    recorder = RecordTransitions(env, buffer_of(env))
    recorder.reset()
    recorder.step(0)
    other = copy.deepcopy(recorder)
    other.step(1)
    assert (len(recorder.buffer), len(other.buffer)) == (1, 2)


# --- what is installed ---


def test_adapter_needs_gymnasium_and_numpy_only() -> None:
    blocked = set(metadata.packages_distributions()) - {
        *("mujigae", "numpy", "gymnasium", "cloudpickle", "farama_notifications", "typing_extensions"),
    }
    script = f"""
import sys
for name in {sorted(blocked)!r}: sys.modules.setdefault(name, None)
import mujigae.integrations.gymnasium
"""
    assert "torch" in blocked, "else this would prove nothing"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_unsupported_version_says_which_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.29.1")
    monkeypatch.delitem(sys.modules, "mujigae.integrations.gymnasium")
    expected = r"gymnasium 0.29.1 is installed; supported are versions from 1.1 on and below 2: .*mujigae\[gymnasium\]"
    with pytest.raises(UnsupportedVersionError, match=expected):
        import mujigae.integrations.gymnasium  # noqa: F401


def test_example_learns_the_shortest_path() -> None:
    printed = output_of("gymnasium_loop")
    assert printed.splitlines()[-1] == "the goal is reached in 6 steps"
