"""The replay buffer for Stable-Baselines3 against SB3's own buffers, given the same transitions."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_streams import ACTION, OBS, Noise, all_rows, collect_into_both, each, transitions
from stable_baselines3 import DQN
from stable_baselines3.common import buffers
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from mujigae.integrations.stable_baselines3 import PrioritizedReplayBuffer, ReplayBuffer

IMAGE = spaces.Box(0, 255, (16, 15, 1), np.uint8)
COLOUR = spaces.Box(0, 255, (16, 15, 3), np.uint8)
VECTOR = spaces.Box(-1, 1, (3,), np.float32)
MATRIX = spaces.Box(
    -1, 1, (2, 3), np.float64
)  # no image: VecFrameStack stacks its last axis, and nobody turns it


def filled(cls: Any, num_steps: int, *, buffer_size: int = 600, n_envs: int = 1, is_closed: bool = False, **options: Any) -> Any:  # fmt: skip
    buffer = cls(buffer_size, OBS, ACTION, n_envs=n_envs, **options)
    for transition in transitions(num_steps, n_envs, is_closed=is_closed):
        buffer.add(*transition)
    return buffer


def stacked(space: spaces.Space[Any], num_stacked: int, num_envs: int = 2) -> VecEnv:
    return VecFrameStack(
        DummyVecEnv([lambda i=i: Noise(space, seed=i) for i in range(num_envs)]), num_stacked
    )


# --- the same transitions ---


@pytest.mark.parametrize("num_steps", [50, 500], ids=["filling", "wrapped"])
@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("handles_timeouts", [True, False])
def test_the_rows_are_those_of_sb3(num_steps: int, n_envs: int, handles_timeouts: bool) -> None:
    options = {"buffer_size": 240, "n_envs": n_envs, "handle_timeout_termination": handles_timeouts}
    theirs = all_rows(filled(buffers.ReplayBuffer, num_steps, **options))
    ours = all_rows(filled(ReplayBuffer, num_steps, **options))
    assert len(ours) == min(num_steps * n_envs, 240)
    assert ours == theirs


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("handles_timeouts", [True, False])
@pytest.mark.parametrize("is_done", [True, False])
def test_a_time_limit_in_infos_ends_an_episode_as_in_sb3(
    is_done: bool, handles_timeouts: bool, n_envs: int
) -> None:
    def rows(cls: Any) -> set[tuple[float, float]]:
        """The return and `dones` of every row."""
        options = {"n_envs": n_envs, "handle_timeout_termination": handles_timeouts}
        buffer = cls(40, VECTOR, ACTION, n_steps=3, gamma=0.5, **options)
        obs, action = np.zeros((n_envs, 3), np.float32), np.zeros(n_envs, np.int64)
        for step in range(20):
            infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(n_envs)]
            infos[0]["TimeLimit.truncated"] = step == 2
            done = np.full(n_envs, step == 19)
            done[0] |= is_done and step == 2
            buffer.add(obs, obs, action, np.full(n_envs, step), done, infos)
        batch = buffer.sample(2_000)
        return {*zip(batch.rewards[:, 0].tolist(), batch.dones[:, 0].tolist(), strict=True)}

    ours = rows(ReplayBuffer)
    assert ours == rows(buffers.NStepReplayBuffer)
    is_cut = is_done or handles_timeouts
    assert ((2.0, float(not handles_timeouts)) in ours) == is_cut  # step 2 alone, though three were asked for


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("n_steps", [2, 3, 7])
def test_n_step_rows_of_ended_episodes_are_those_of_sb3(n_steps: int, n_envs: int) -> None:
    options = {"n_envs": n_envs, "n_steps": n_steps, "gamma": 0.5, "is_closed": True}
    theirs = all_rows(filled(buffers.NStepReplayBuffer, 60, **options))
    assert all_rows(filled(ReplayBuffer, 60, **options)) == theirs
    assert len(theirs) == 60 * n_envs


@pytest.mark.parametrize("num_steps", [40, 500], ids=["filling", "wrapped"])
def test_n_step_rows_wait_for_their_window_where_sb3_cuts_it_short(num_steps: int) -> None:
    options = {"buffer_size": 120, "n_envs": 2, "n_steps": 4, "gamma": 0.5}
    theirs = all_rows(filled(buffers.NStepReplayBuffer, num_steps, **options))
    ours = all_rows(filled(ReplayBuffer, num_steps, **options))
    shared = theirs.keys() & ours.keys()
    assert {start: ours[start] for start in shared} == {start: theirs[start] for start in shared}
    assert len(theirs) - 3 * 2 <= len(shared) < len(theirs)  # 3 starts in each environment at most
    assert len(ours) - len(shared) <= (6 if num_steps == 500 else 0)  # older rows, kept instead


@pytest.mark.parametrize(
    "space", [IMAGE, COLOUR, VECTOR, MATRIX], ids=["image", "colour", "vector", "matrix"]
)
def test_rows_of_a_vec_frame_stack_are_those_of_sb3(space: spaces.Box) -> None:
    def make(*arguments: Any, **options: Any) -> ReplayBuffer:
        return ReplayBuffer(*arguments, **options, frame_stack=4)

    theirs, ours = collect_into_both(stacked(space, 4), make, 304)
    rows = all_rows(ours)
    assert rows == all_rows(theirs)
    assert len(rows) == 304


def test_rows_of_stacked_dicts_are_those_of_sb3() -> None:
    image = spaces.Box(0, 255, (36, 40, 1), np.uint8)  # the least that SB3's network takes
    kept = spaces.Dict({"image": image, "speed": VECTOR})
    space = spaces.Dict({"place": spaces.Discrete(7), "speed": VECTOR})

    def make(*arguments: Any, **options: Any) -> ReplayBuffer:
        return ReplayBuffer(*arguments, **options, frame_stack={"image": 3, "speed": 3})

    theirs, ours = collect_into_both(stacked(kept, 3), make, 80)
    assert all_rows(ours, num_draws=2000) == all_rows(theirs, num_draws=2000)
    theirs, ours = collect_into_both(DummyVecEnv([lambda: Noise(space)]), ReplayBuffer, 200)
    assert all_rows(ours) == all_rows(theirs)


@pytest.mark.parametrize("channels", ["first", "last"])
def test_the_order_of_channels_can_be_said(channels: str) -> None:
    env = DummyVecEnv([lambda: Noise(MATRIX)])
    env = VecFrameStack(env, 3, channels_order=channels)

    def make(*arguments: Any, **options: Any) -> ReplayBuffer:
        return ReplayBuffer(*arguments, **options, frame_stack=3, channels_order=channels)

    theirs, ours = collect_into_both(env, make, 200)
    assert all_rows(ours) == all_rows(theirs)


def test_rows_are_normalized_as_sb3_normalizes_them() -> None:
    env = VecNormalize(DummyVecEnv([lambda: Noise(VECTOR)]))
    theirs, ours = collect_into_both(env, ReplayBuffer, 300)
    assert all_rows(ours, env) == all_rows(theirs, env)
    assert all_rows(ours, env).keys() != all_rows(ours).keys()


def test_final_stacks_that_vec_normalize_rounded_are_mended() -> None:
    def make(*arguments: Any, **options: Any) -> ReplayBuffer:
        return ReplayBuffer(*arguments, **options, frame_stack=3)

    env = VecNormalize(stacked(VECTOR, 3), clip_obs=0.5)
    theirs, ours = collect_into_both(env, make, 300)
    their_batch, our_batch = theirs.sample(2000), ours.sample(2000)
    assert not torch.equal(their_batch.observations[:, 3:], their_batch.next_observations[:, :-3])
    assert torch.equal(our_batch.observations[:, 3:], our_batch.next_observations[:, :-3])


# --- the same interface ---


@pytest.mark.parametrize(
    "observation_space",
    [OBS, MATRIX, IMAGE, spaces.Discrete(4), spaces.MultiDiscrete([3, 4]), spaces.MultiBinary(3)],
    ids=str,
)
@pytest.mark.parametrize(
    "action_space",
    [
        ACTION,
        spaces.Box(-1, 1, (2,), np.float64),
        spaces.Box(-1, 1, (2, 2), np.float32),
        spaces.MultiBinary(2),
    ],
    ids=str,
)
def test_fields_have_the_types_and_shapes_of_sb3(observation_space: Any, action_space: Any) -> None:
    samples = []
    for cls in (buffers.ReplayBuffer, ReplayBuffer):
        buffer = cls(10, observation_space, action_space, device="cpu", n_envs=2)
        obs = np.stack([observation_space.sample() for _ in range(2)])
        action = np.stack([action_space.sample() for _ in range(2)])
        buffer.add(obs, obs, action, np.ones(2), np.zeros(2), [{}, {}])
        samples.append(buffer.sample(7))
    theirs, ours = samples
    assert type(ours) is type(theirs)
    assert ours.discounts is theirs.discounts is None
    for name in ("observations", "actions", "next_observations", "dones", "rewards"):
        their_field, our_field = getattr(theirs, name), getattr(ours, name)
        assert (our_field.shape, our_field.dtype) == (their_field.shape, their_field.dtype), name
        assert our_field.is_contiguous()


def test_n_step_fields_have_the_types_and_shapes_of_sb3() -> None:
    theirs = filled(buffers.NStepReplayBuffer, 20, n_steps=3).sample(7)
    ours = filled(ReplayBuffer, 20, n_steps=3, gamma=0.99).sample(7)
    assert [(f.shape, f.dtype) for f in ours] == [(f.shape, f.dtype) for f in theirs]


def test_steps_and_discount_can_be_read_as_from_the_buffer_of_sb3() -> None:
    for make in (ReplayBuffer, buffers.NStepReplayBuffer):
        buffer = filled(make, 20, n_steps=3, gamma=0.5)
        assert (buffer.n_steps, buffer.gamma) == (3, 0.5)


def test_position_and_size_are_those_of_sb3() -> None:
    theirs = buffers.ReplayBuffer(10, OBS, ACTION, n_envs=3)
    ours = ReplayBuffer(10, OBS, ACTION, n_envs=3)
    for transition in transitions(8, 3):
        for buffer in (theirs, ours):
            buffer.add(*transition)
        assert (ours.pos, ours.full, ours.size()) == (theirs.pos, theirs.full, theirs.size())
        assert ours.buffer_size == theirs.buffer_size
    assert len(ours.replay) == 10  # SB3 keeps 9: its capacity is a multiple of n_envs
    ours.reset()
    assert (ours.pos, ours.full, ours.size(), len(ours.replay)) == (0, False, 0, 0)


def test_extend_adds_a_sequence_of_steps() -> None:
    ours = ReplayBuffer(100, OBS, ACTION, n_envs=2)
    ours.extend(*zip(*transitions(30, 2), strict=True))
    assert all_rows(ours) == all_rows(filled(buffers.ReplayBuffer, 30, n_envs=2))


def test_a_seeded_model_draws_the_same_batches_again() -> None:
    def drawn(model_seed: int, **options: Any) -> list[tuple[bytes, ...]]:
        agent = DQN("MlpPolicy", "CartPole-v1", seed=model_seed, learning_starts=10**6, buffer_size=1000,
                    replay_buffer_class=ReplayBuffer, replay_buffer_kwargs=options).learn(100)  # fmt: skip
        assert agent.replay_buffer is not None
        return each(agent.replay_buffer.sample(16).observations)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(1, seed=5)


def test_learning_again_closes_the_open_episode_whatever_sb3_writes() -> None:
    options = {"frame_stack": 2, "n_steps": 3, "gamma": 0.9}
    agent = DQN("MlpPolicy", stacked(VECTOR, 2, num_envs=1), learning_starts=10**6, buffer_size=1000,
                optimize_memory_usage=True, replay_buffer_class=ReplayBuffer, replay_buffer_kwargs=options)  # fmt: skip
    agent.learn(20)
    with pytest.warns(UserWarning, match="will be truncated"):
        agent.learn(20)
    assert isinstance(agent.replay_buffer, ReplayBuffer)
    assert agent.replay_buffer.replay.num_silent_boundaries <= 1
    assert agent.replay_buffer.replay.check_valid()
    assert len(agent.replay_buffer.replay) >= 40 - 2


# --- saving ---


def test_a_saved_buffer_goes_on_as_the_original(tmp_path: Path) -> None:
    def agent() -> DQN:
        return DQN("MlpPolicy", "CartPole-v1", learning_starts=10**6, buffer_size=1000,
                   replay_buffer_class=ReplayBuffer, replay_buffer_kwargs={"n_steps": 3, "gamma": 0.99})  # fmt: skip

    first, second = agent().learn(200), agent()
    first.save_replay_buffer(tmp_path / "replay")
    second.load_replay_buffer(tmp_path / "replay")
    ours, loaded = first.replay_buffer, second.replay_buffer
    assert isinstance(loaded, ReplayBuffer)
    assert (loaded.pos, loaded.full, loaded.device) == (200, False, second.device)
    for mine, other in zip(ours.sample(64), loaded.sample(64), strict=True):  # type: ignore[union-attr]
        assert torch.equal(mine, other)


def test_an_empty_buffer_of_atari_size_is_saved_in_a_few_bytes() -> None:
    space = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    buffer = ReplayBuffer(1_000_000, space, ACTION, frame_stack=4)
    num_space_bytes = len(pickle.dumps(space))  # its bounds are arrays
    assert len(pickle.dumps(buffer)) < num_space_bytes + 4_000


def test_a_saved_buffer_takes_the_bytes_of_its_frames() -> None:
    space = spaces.Box(0, 255, (20, 20, 1), np.uint8)
    theirs, ours = collect_into_both(
        stacked(space, 4), lambda *a, **o: ReplayBuffer(*a, **o, frame_stack=4), 300
    )
    assert len(pickle.dumps(ours)) < 300 * 400 * 1.5  # one frame a row, and those that begin and end episodes
    assert theirs.observations.nbytes + theirs.next_observations.nbytes == 1000 * 400 * 8  # what theirs takes


def test_priorities_are_saved_too() -> None:
    ours = filled(PrioritizedReplayBuffer, 50)
    batch = ours.sample(8)
    assert ours.update_priorities(batch.keys, torch.linspace(1, 50, 8)) == 8
    loaded = pickle.loads(pickle.dumps(ours))
    mine, other = ours.sample(32), loaded.sample(32)
    assert torch.equal(mine.weights, other.weights)
    np.testing.assert_array_equal(mine.keys, other.keys)


# --- refusals ---


def test_n_step_returns_need_the_discount_of_the_algorithm() -> None:
    with pytest.raises(ValueError, match="gamma: expected the algorithm's discount, since n_steps is 3"):
        ReplayBuffer(10, OBS, ACTION, n_steps=3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"frame_stack": 3}, "frame_stack: expected axis 0"),
        ({"channels_order": "both"}, "channels_order: expected 'first', 'last' or None, got 'both'"),
        ({"frame_stack": {"x": 2}}, "frame_stack"),
        ({"n_step": 3}, "n_step: expected SB3's name for it, n_steps"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        ReplayBuffer(10, OBS, ACTION, **options)


@pytest.mark.parametrize("value", [4, {"other": 2}], ids=str)
def test_dict_spaces_want_stacks_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match=r"frame_stack: expected a dict with keys among \['x'\]"):
        ReplayBuffer(10, spaces.Dict({"x": VECTOR}), ACTION, frame_stack=value)


def test_observations_that_are_no_stacks_are_refused_and_nothing_is_stored() -> None:
    ours = ReplayBuffer(10, OBS, ACTION, frame_stack=2)
    obs, next_obs, *rest = next(iter(transitions(1, 1)))
    with pytest.raises(ValueError, match="next_obs"):
        ours.add(obs, next_obs, *rest)
    assert (ours.pos, len(ours.replay)) == (0, 0)


def test_sampling_an_empty_buffer_and_by_index_is_refused() -> None:
    ours = ReplayBuffer(10, OBS, ACTION)
    with pytest.raises(ValueError, match="sample"):
        ours.sample(4)
    with pytest.raises(NotImplementedError, match="cannot be addressed by index"):
        ours._get_samples(np.arange(2))
