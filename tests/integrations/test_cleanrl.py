"""CleanRL's buffers and ours, given the same rows: what comes out is the same.

CleanRL is a set of scripts, not a package: with the variable CLEANRL set to a checkout, its own classes are compared and its
own scripts are run; without, Stable-Baselines3's buffer, of which CleanRL's is a copy, stands for it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from example_runs import output_of
from gymnasium import spaces

from mujigae.integrations.cleanrl import PrioritizedReplayBuffer, ReplayBuffer

CHECKOUT = os.environ.get("CLEANRL")
IMAGES, VECTORS = spaces.Box(0, 255, (4, 3, 3), np.uint8), spaces.Box(-9, 9, (4,), np.float32)
needs_checkout = pytest.mark.skipif(CHECKOUT is None, reason="CLEANRL names no checkout of CleanRL")


def games(num_steps: int, seed: int = 0) -> Any:
    """(obs, next_obs, action, reward, terminated) of one environment that plays stacks of 4 frames, [1, ...] each.

    As CleanRL's scripts have them: the successor of a terminal row is the stack after the reset, that of a cut one is true.
    """
    random = np.random.default_rng(seed)
    stack = np.repeat(random.integers(256, size=(1, 3, 3)), 4, axis=0).astype(np.uint8)
    for _ in range(num_steps):
        frame, fresh = random.integers(256, size=(2, 1, 3, 3)).astype(np.uint8)
        after, start = np.concatenate([stack[1:], frame]), np.repeat(fresh, 4, axis=0)
        is_terminal, is_cut = random.random(2) < 0.1
        is_cut &= not is_terminal
        successor = start if is_terminal else after
        yield (stack[None], successor[None], np.array([random.integers(5)]), random.integers(-9, 9, 1) / 8,
               np.array([is_terminal]))  # fmt: skip
        stack = start if is_terminal or is_cut else after


def table(samples: Any) -> dict[bytes, tuple[Any, ...]]:
    """The rows of a batch: observation -> (action, reward, done, successor where one is bootstrapped from)."""
    columns = (
        samples.observations,
        samples.actions,
        samples.rewards,
        samples.dones,
        samples.next_observations,
    )
    return {
        obs.numpy().tobytes(): (
            *action.tolist(),
            *reward.tolist(),
            *done.tolist(),
            None if done else after.tolist(),
        )
        for obs, action, reward, done, after in zip(*columns, strict=True)
    }


def their_buffer(*arguments: Any, **options: Any) -> Any:
    if CHECKOUT is None:
        module = pytest.importorskip("stable_baselines3.common.buffers")
    else:
        sys.path.insert(0, CHECKOUT)
        from cleanrl_utils import buffers as module
    return module.ReplayBuffer(*arguments, **options)


# --- dqn_atari.py, c51_atari.py ---


@pytest.mark.parametrize("num_steps", [20, 120])
def test_rows_are_those_of_cleanrl(num_steps: int) -> None:
    arguments = 60, IMAGES, spaces.Discrete(5), "cpu"
    ours = ReplayBuffer(*arguments, optimize_memory_usage=True, handle_timeout_termination=False)
    theirs = their_buffer(*arguments, handle_timeout_termination=False)
    for row in games(num_steps):
        for buffer in (ours, theirs):
            buffer.add(*row, [{}])
    assert ours.size() == theirs.size() == min(num_steps, 60)
    assert table(ours.sample(3000)) == table(theirs.sample(3000))


def test_shapes_and_dtypes_are_those_of_cleanrl() -> None:
    arguments = 60, VECTORS, spaces.Box(-1, 1, (2,), np.float64), "cpu"
    ours, theirs = ReplayBuffer(*arguments, n_envs=3), their_buffer(*arguments, n_envs=3)
    random = np.random.default_rng(0)
    for _ in range(5):
        obs, after = random.normal(size=(2, 3, 4)).astype(np.float32)
        row = obs, after, random.normal(size=(3, 2)), random.normal(size=3), np.array([True, False, False])
        for buffer in (ours, theirs):
            buffer.add(*row, [{}] * 3)
    first, second = ours.sample(500), theirs.sample(500)
    for name, mine in first._asdict().items():
        assert (mine.shape, mine.dtype) == (getattr(second, name).shape, getattr(second, name).dtype), name
    assert table(first) == table(second)


def test_stacks_are_stored_once_without_being_asked_for() -> None:
    ours = ReplayBuffer(1000, spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(4), "cpu")
    stack = np.zeros((1, 4, 84, 84), np.uint8)
    for t in range(1000):
        after = np.concatenate([stack[:, 1:], np.full((1, 1, 84, 84), t % 256, np.uint8)], axis=1)
        ours.add(stack, after, np.array([0]), np.array([0.0]), np.array([False]))
        stack = after
    assert ours.replay.nbytes < 1000 * 7500


def test_seeded_script_is_repeatable() -> None:
    drawn = []
    for _ in range(2):
        np.random.seed(3)
        buffer = ReplayBuffer(60, IMAGES, spaces.Discrete(5), "cpu")
        for row in games(30):
            buffer.add(*row)
        drawn.append(buffer.sample(20).observations)
    assert torch.equal(*drawn)


def test_images_that_are_no_stack_are_stored_when_told_so() -> None:
    random = np.random.default_rng(0)
    images = random.integers(256, size=(3, 1, 4, 3, 3)).astype(np.uint8)
    with pytest.raises(ValueError, match="next_obs"):
        ReplayBuffer(9, IMAGES, spaces.Discrete(2), "cpu").add(images[0], images[1], 0, 0.0, False)
    buffer = ReplayBuffer(9, IMAGES, spaces.Discrete(2), "cpu", frame_stack=None)
    buffer.add(images[0], images[1], 0, 0.0, False)
    np.testing.assert_array_equal(buffer.sample(1).next_observations.numpy(), images[1])


# --- rainbow_atari.py ---


def rainbow(num_steps: int, make: Any = PrioritizedReplayBuffer, **options: Any) -> Any:
    buffer = make(500, (4, 3, 3), torch.device("cpu"), 3, 0.5, **options)
    for obs, after, action, reward, done in games(num_steps):
        buffer.add(obs, action, reward, after, done)
    return buffer


def windows(num_steps: int) -> dict[bytes, tuple[float, bool]]:
    """Return and end of every three-step window, worked out from the stream; gamma is 1/2."""
    rows = list(games(num_steps))
    found = {}
    for t in range(num_steps):
        value, done, steps = 0.0, False, 0
        for i in range(t, min(t + 3, num_steps)):
            value, steps, done = value + 0.5 ** (i - t) * rows[i][3][0], steps + 1, bool(rows[i][4])
            is_cut = i + 1 < num_steps and not np.array_equal(rows[i + 1][0], rows[i][1])
            if done or is_cut:
                break
        else:
            if steps < 3:
                continue  # the window is not complete yet
        found[rows[t][0].tobytes()] = (value, done)
    return found


def test_every_window_of_an_episode_can_be_drawn_and_none_crosses_its_end() -> None:
    buffer = rainbow(200)
    batch = buffer.sample(8000)
    found = {
        obs.numpy().tobytes(): (float(reward), bool(done))
        for obs, reward, done in zip(batch.observations, batch.rewards, batch.dones, strict=True)
    }
    assert found == windows(200)
    assert buffer.size == len(found)


@needs_checkout
def test_windows_and_weights_are_those_of_rainbow_atari() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
    os.environ["CLEANRL_RAINBOW"] = f"{CHECKOUT}/cleanrl/rainbow_atari.py"
    from peers.cleanrl import THEIRS

    ours, theirs = rainbow(200), rainbow(200, THEIRS["PrioritizedReplayBuffer"])
    first, second = ours.sample(6000), theirs.sample(6000)
    for name in ("actions", "rewards", "dones", "next_observations", "observations", "weights"):
        assert getattr(first, name).shape == getattr(second, name).shape, name
    mine = {
        obs.numpy().tobytes(): (float(reward), bool(done))
        for obs, reward, done in zip(first.observations, first.rewards, first.dones, strict=True)
    }
    starts = {obs.numpy().tobytes() for obs in second.observations}
    assert starts < set(mine), "rainbow_atari.py leaves the last starts of an episode out"


def test_priorities_and_beta_are_set_as_the_script_does() -> None:
    buffer = rainbow(100)
    batch = buffer.sample(400)
    losses = np.linspace(0.1, 5, 400).astype(np.float32)
    buffer.update_priorities(batch.indices, losses)
    buffer.beta = 0.7
    assert buffer.beta == 0.7
    held = dict(zip(batch.indices.tolist(), losses, strict=True))  # the last one holds
    again = buffer.sample(20_000)
    keys = [key for key in held if key in set(again.indices.tolist())]
    counts = {key: int((again.indices == key).sum()) for key in keys}
    expected = {key: (held[key] + 1e-6) ** 0.6 for key in keys}
    ratio = np.array([counts[key] / expected[key] for key in keys])
    assert ratio.std() / ratio.mean() < 0.25
    assert float(again.weights.max()) == 1.0


# --- the scripts ---


@needs_checkout
@pytest.mark.parametrize("script", ["dqn.py", "c51.py"])
def test_script_learns_the_same_from_either_buffer_at_first(script: str, tmp_path: Path) -> None:
    """Runs the real script on CartPole twice: with its own buffer, and with the one line changed."""
    text = (Path(str(CHECKOUT)) / "cleanrl" / script).read_text(encoding="utf-8")
    line = "from cleanrl_utils.buffers import ReplayBuffer"
    assert line in text
    returns = []
    for name, source in (
        ("theirs", text),
        ("ours", text.replace(line, line.replace("cleanrl_utils.buffers", "mujigae.integrations.cleanrl"))),
    ):
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        options = ["--total-timesteps", "20000", "--learning-starts", "1000", "--seed", "1"]
        done = subprocess.run(
            [sys.executable, f"{name}.py", *options],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(CHECKOUT)])},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        scores = [float(score) for score in re.findall(r"episodic_return=\[?([\d.]+)", done.stdout)]
        returns.append(np.mean(scores[-20:]))
    theirs, ours = returns
    assert ours > 0.7 * theirs
    assert ours > 50


@pytest.mark.skipif(gymnasium.__version__ < "1.1", reason="the example needs Gymnasium 1.1")
def test_example_prints_its_score() -> None:
    printed = output_of("cleanrl_dqn", "--steps", "1500")
    assert re.search(r"return [\d.]+ over", printed)
