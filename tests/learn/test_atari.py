"""Atari through ale-py's vector environment: frames, lives, limits, resets and seeds, on real games."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import ale_py
import numpy as np
import pytest
from ale_py import roms
from envs_by_hand import one
from numpy.typing import NDArray

from mujigae.config.run import EnvConfig
from mujigae.envs import Environment, Steps, make
from mujigae.envs.atari import AtariGames, atari_ids
from mujigae.errors import ConfigError

NOOP, FIRE = 0, 1


def options(game: str, **changes: Any) -> EnvConfig:
    """Small frames, for speed."""
    return one(f"ALE/{game}-v5", **{"frame_size": 21, **changes})


def random_steps(env: Environment, num_steps: int, seed: int = 0) -> list[Steps]:
    rng, num_actions = np.random.default_rng(seed), int(env.action_space.n)  # type: ignore[attr-defined]
    actions = rng.integers(num_actions, size=(num_steps, env.stream.num_envs))
    return [env.stream.step(action) for action in actions]


@functools.cache
def areas(size_from: int, size_to: int) -> NDArray[np.float64]:
    """[size_to, size_from]: the share of each old pixel in each new one."""
    edges = np.arange(size_to + 1) * size_from / size_to
    low = np.maximum(edges[:-1, None], np.arange(size_from))
    high = np.minimum(edges[1:, None], np.arange(size_from) + 1)
    return np.maximum(high - low, 0) * size_to / size_from


def resized(frame: NDArray[Any], size: int) -> NDArray[np.float64]:
    height, width = frame.shape
    return np.asarray(areas(height, size) @ frame.astype(float) @ areas(width, size).T)


def emulator(game: str, seed: int) -> ale_py.ALEInterface:
    console = ale_py.ALEInterface()
    console.setInt("random_seed", seed)
    console.setFloat("repeat_action_probability", 0.0)
    console.loadROM(str(roms.get_rom_path(game)))
    console.reset_game()
    return console


@pytest.mark.parametrize("size", [84, 42])
def test_frame_is_the_maximum_of_the_last_two_of_four_resized_by_area(size: int) -> None:
    env = make(options("Breakout", frame_size=size, num_noops=0), training=True)
    obs = env.stream.reset(seed=0)
    console = emulator("breakout", 0)
    assert obs.shape == (1, 4, size, size)
    assert not obs[0, :3].any()  # the stack is padded with zeros
    np.testing.assert_allclose(obs[0, 3], resized(console.getScreenGrayscale(), size), atol=0.51)
    flickers = 0
    for action in [FIRE, 2, 2, 2, 3, 3, NOOP, 2, 3, NOOP] * 4:
        steps = env.stream.step(np.array([action]))
        frames = []
        for _ in range(4):
            reward = console.act(console.getMinimalActionSet()[action])
            frames.append(console.getScreenGrayscale())
        flickers += int((frames[2] > frames[3]).any())
        np.testing.assert_allclose(steps.next_obs[0, 3], resized(np.maximum(*frames[2:]), size), atol=0.51)
        assert reward == steps.reward[0] or reward == 0
    assert flickers > 10  # so that leaving the third frame out would show
    env.close()


def test_stacks_roll_through_lost_lives_and_resets_are_never_rows() -> None:
    env = make(options("Breakout", num_envs=3, max_frames_per_episode=700), training=True)
    previous = env.stream.reset(seed=1)
    fresh = np.ones(3, bool)
    lost_lives = games = 0
    for steps in random_steps(env, 400):
        np.testing.assert_array_equal(steps.next_obs[:, :3], steps.obs[:, 1:])
        for row, e in enumerate(steps.env_ids):
            if fresh[e]:
                assert not steps.obs[row, :3].any()  # a new game starts with its reset observation
            else:
                np.testing.assert_array_equal(steps.obs[row], previous[e])
            previous[e], fresh[e] = steps.next_obs[row], False
        fresh[[episode.env_id for episode in steps.episodes]] = True
        lost_lives += int(steps.terminated.sum())
        games += len(steps.episodes)
    assert lost_lives > games >= 6
    env.close()


def test_a_lost_life_is_terminal_in_training_only_and_changes_nothing_else() -> None:
    lives, whole = (make(options("Breakout", num_envs=2), training=training) for training in (True, False))
    for env in (lives, whole):
        env.stream.reset(seed=3)
    training, evaluation = random_steps(lives, 700), random_steps(whole, 700)
    terminals = {True: 0, False: 0}
    for a, b in zip(training, evaluation, strict=True):
        for name in ("env_ids", "obs", "action", "reward", "next_obs", "truncated"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert a.episodes == b.episodes
        assert (a.terminated | ~b.terminated).all()
        terminals[True] += int(a.terminated.sum())
        terminals[False] += int(b.terminated.sum())
    games = sum(len(steps.episodes) for steps in training)
    assert games >= 4
    assert terminals[False] == games
    assert terminals[True] >= 5 * games  # Breakout has five lives
    assert sum(len(steps.env_ids) for steps in training) == 2 * 700 - games  # one idle step a game


def test_score_and_length_are_those_of_the_whole_game_with_raw_rewards() -> None:
    env = make(options("MsPacman", num_envs=1, max_frames_per_episode=2400), training=True)
    env.stream.reset(seed=0)
    rewards: list[float] = []
    games = 0
    for steps in random_steps(env, 1300):
        rewards += steps.reward.tolist()
        for episode in steps.episodes:
            assert (episode.score, episode.length_steps) == (sum(rewards), len(rewards))
            assert max(rewards) >= 10  # a pill is worth ten points: nothing is clipped
            rewards, games = [], games + 1
    assert games >= 2


def test_the_end_of_a_game_without_lives_is_real() -> None:
    env = make(options("Pong", num_envs=2, frame_skip=8), training=True)
    env.stream.reset(seed=0)
    steps = random_steps(env, 800)
    games = [episode for step in steps for episode in step.episodes]
    assert len(games) >= 2
    assert sum(int(step.terminated.sum()) for step in steps) == len(games)
    assert all(-21 <= game.score <= -14 for game in games)
    assert any(len(step.env_ids) < 2 for step in steps)


@pytest.mark.parametrize(("max_frames", "length_steps"), [(100, 25), (101, 26), (1, 1)])
def test_time_limit_counts_frames_after_the_no_ops_and_truncates(max_frames: int, length_steps: int) -> None:
    env = make(options("Pong", num_envs=2, max_frames_per_episode=max_frames), training=True)
    env.stream.reset(seed=0)
    steps = random_steps(env, 2 * (length_steps + 1))
    games = [episode for step in steps for episode in step.episodes]
    assert [game.length_steps for game in games] == [length_steps] * 4
    assert steps[length_steps - 1].truncated.all()
    assert not any(step.terminated.any() for step in steps)


def test_a_life_lost_in_the_very_step_of_the_time_limit_ends_the_game() -> None:
    def first_steps(limit: int) -> list[Steps]:
        env = make(options("Breakout", max_frames_per_episode=limit), training=True)
        env.stream.reset(seed=0)
        return [env.stream.step(np.array([FIRE])) for _ in range(80)]

    lost = next(t for t, step in enumerate(first_steps(108_000)) if step.terminated.any())
    steps = first_steps(4 * (lost + 1))
    assert steps[lost].terminated.tolist() == [True]
    assert steps[lost].truncated.tolist() == [False]
    (game,) = steps[lost].episodes
    assert game.length_steps == lost + 1
    assert steps[lost + 1].env_ids.tolist() == []  # it was reset, with four lives left
    assert not steps[lost + 2].obs[0, :3].any()


def frames_at_reset(**changes: Any) -> set[int]:
    games = AtariGames(options("Breakout", num_envs=4, **changes), life_loss=True)
    games.reset(seed=0)
    return {int(n) for _ in range(12) for n in games.reset()[1]["episode_frame_number"]}


def test_number_of_no_ops_is_zero_to_num_noops() -> None:
    assert frames_at_reset(num_noops=0) == {0}
    assert frames_at_reset(num_noops=3) == {0, 1, 2, 3}


def test_fire_at_reset_is_off_unless_asked_for_and_takes_the_place_of_a_no_op() -> None:
    def ball_moves(fire_reset: bool) -> bool:
        env = make(options("Breakout", frame_size=84, num_noops=0, fire_reset=fire_reset), training=True)
        env.stream.reset(seed=0)
        frames = [env.stream.step(np.array([NOOP])).next_obs[0, 3, 40:70] for _ in range(12)]
        return any((frame != frames[0]).any() for frame in frames)

    assert (ball_moves(True), ball_moves(False)) == (True, False)
    assert frames_at_reset(num_noops=3, fire_reset=True) == {1, 2, 3}


@pytest.mark.parametrize("frame_skip", [1, 4])
def test_a_step_is_frame_skip_frames_and_no_more(frame_skip: int) -> None:
    env = make(options("Pong", frame_skip=frame_skip), training=True)
    games = env.stream.env
    first = games.reset(seed=0)[1]["episode_frame_number"]
    for _ in range(5):
        last = games.step(np.array([NOOP]))[4]["episode_frame_number"]
    assert (last - first).tolist() == [5 * frame_skip]
    assert env.frames_per_step == frame_skip


def hashes(seed: int, **changes: Any) -> list[list[str]]:
    """For each environment, what it showed and paid in its first steps."""
    env = make(options("SpaceInvaders", num_envs=3, **changes), training=True)
    digests = [hashlib.sha256(obs.tobytes()) for obs in env.stream.reset(seed)]
    history: list[list[str]] = [[] for _ in digests]
    for t in range(200):
        steps = env.stream.step(np.full(3, t % 6))
        for row, e in enumerate(steps.env_ids):
            digests[e].update(steps.next_obs[row].tobytes() + steps.reward[row].tobytes())
            history[e].append(digests[e].hexdigest())
    return history


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_same_seed_same_games_and_every_environment_its_own(sticky: float) -> None:
    first = hashes(5, sticky_probability=sticky)
    assert first == hashes(5, sticky_probability=sticky)
    assert len({env[-1] for env in [*first, *hashes(6, sticky_probability=sticky)]}) == 6


@pytest.mark.parametrize("game", ["Breakout", "SpaceInvaders"])
def test_a_seeded_reset_forgets_all_that_was_played_before(game: str) -> None:
    def play(warm_up_steps: int) -> list[bytes]:
        env = make(options(game, num_envs=2, sticky_probability=0.25), training=True)
        env.stream.reset(seed=1)
        random_steps(env, warm_up_steps, seed=1)
        env.stream.reset(seed=9)
        return [steps.next_obs.tobytes() + steps.reward.tobytes() for steps in random_steps(env, 150)]

    assert play(0) == play(130)


def test_sticky_actions_are_off_by_default_and_change_the_game() -> None:
    plain, sticky = hashes(5), hashes(5, sticky_probability=0.25)
    assert plain == hashes(5, sticky_probability=0.0)
    assert all(a[-1] != b[-1] for a, b in zip(plain, sticky, strict=True))


def test_the_picture_follows_game_zero_in_colour_through_lost_lives_and_resets() -> None:
    choice = options(
        "Breakout", num_envs=3, frame_size=84, sticky_probability=0.25, max_frames_per_episode=400
    )
    env = make(choice, training=True, render=True)
    env.stream.reset()  # without a seed too
    colours: set[tuple[int, ...]] = set()
    games = 0
    for t, steps in enumerate(random_steps_lazily(env, 220)):
        games += sum(episode.env_id == 0 for episode in steps.episodes)
        if t % 4:
            continue
        picture = env.render()
        assert picture.shape == (210, 160, 3)
        grey = resized((picture * np.array([0.299, 0.587, 0.114])).sum(axis=2), 84)
        assert np.abs(grey - env.stream.obs[0, 3]).max() < 4, t
        colours |= {tuple(pixel) for pixel in picture[50:100:5, 80].tolist()}
    assert games >= 2
    assert any(max(colour) - min(colour) > 50 for colour in colours)


def random_steps_lazily(env: Environment, num_steps: int) -> Any:
    rng = np.random.default_rng(0)
    for _ in range(num_steps):
        yield env.stream.step(rng.integers(4, size=env.stream.num_envs))


def test_watching_changes_nothing() -> None:
    def play(render: bool) -> list[Any]:
        env = make(options("Breakout", num_envs=2), training=True, render=render)
        env.stream.reset(seed=4)
        return [steps.next_obs.tobytes() for steps in random_steps(env, 60)]

    assert play(True) == play(False)


def test_minimal_action_set_unless_the_full_one_is_asked_for() -> None:
    sizes = {}
    for full in (False, True):
        env = make(options("Pong", full_action_set=full), training=True)
        sizes[full] = int(env.action_space.n)  # type: ignore[attr-defined]
        assert f"{'full' if full else 'minimal'} action set ({sizes[full]})" in env.protocol
    assert sizes == {False: 6, True: 18}


def test_protocol_says_every_number_in_one_line() -> None:
    choice = one("ALE/Breakout-v5", sticky_probability=0.25, num_noops=7, max_frames_per_episode=5000)
    training, evaluation = (make(choice, training=flag).protocol for flag in (True, False))
    for words in (
        "ALE/Breakout-v5",
        "84x84",
        "stack 4",
        "frame skip 4",
        "maximum of the last two",
        "sticky actions 0.25",
        "0 to 7 no-ops without FIRE",
        "minimal action set (4)",
        "limit 5000 frames",
        "raw rewards",
    ):
        assert words in training
        assert words in evaluation
    assert "lost life terminal for the learner" in training
    assert "lost life not terminal" in evaluation
    assert "\n" not in training
    fire = one("ALE/Breakout-v5", num_noops=7, fire_reset=True)
    assert "FIRE and 0 to 6 no-ops" in make(fire, training=True).protocol
    never = one("ALE/MsPacman-v5", fire_reset=True)  # has no FIRE
    assert "0 to 30 no-ops without FIRE" in make(never, training=True).protocol


def test_environment_says_its_stack_and_its_spaces() -> None:
    env = make(one("ALE/Pong-v5", num_envs=2, frame_size=42, frame_stack=3), training=True)
    assert (env.frame_stack, env.family) == (3, "atari")
    assert (env.observation_space.shape, env.observation_space.dtype) == ((3, 42, 42), np.uint8)
    assert env.stream.reset(seed=0).shape == (2, 3, 42, 42)


@pytest.mark.parametrize("game", ["MsPacman", "TicTacToe3D", "UpNDown", "Hero", "Pitfall2"])
def test_names_of_games_are_those_of_gymnasium(game: str) -> None:
    assert f"ALE/{game}-v5" in atari_ids()
    make(options(game), training=True).stream.reset(seed=0)


@pytest.mark.parametrize("game", ["Combat", "Joust", "MazeCraze", "Warlords"])
def test_a_rom_that_would_end_the_process_is_refused(game: str) -> None:
    with pytest.raises(ConfigError, match="cannot run"):
        make(options(game), training=True)


@pytest.mark.parametrize("actions", [[6, 0], [-1, 0], [0], [[0, 0]], [0.0, 1.0]])
def test_an_action_that_would_hang_the_process_is_refused(actions: list[Any]) -> None:
    env = make(options("Pong", num_envs=2), training=True)
    env.stream.reset(seed=0)
    with pytest.raises(ValueError, match="actions: expected"):
        env.stream.step(np.array(actions))
    assert len(env.stream.step(np.array([5, 0])).env_ids) == 2  # and nothing was done


def test_partial_resets_are_refused() -> None:
    games = AtariGames(options("Pong", num_envs=2), life_loss=True)
    with pytest.raises(ValueError, match="options"):
        games.reset(options={"reset_mask": np.array([True, False])})
