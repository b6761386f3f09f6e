"""make(): every environment behind one interface, and every failure in one clear line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from envs_by_hand import Five, Registry, one
from gymnasium.envs.registration import registry

from mujigae.envs import family_of, make
from mujigae.errors import ConfigError, MissingExtraError
from mujigae.networks import SmallPixels


@pytest.fixture
def registered() -> Iterator[Any]:
    """Registers environments for one test."""
    ids: list[str] = []

    def register(env_id: str, entry_point: Any) -> None:
        gymnasium.register(env_id, entry_point)
        ids.append(env_id)

    yield register
    for env_id in ids:
        del registry[env_id]


class Pixels(gymnasium.Env[Any, Any]):
    observation_space = gymnasium.spaces.Box(0, 255, (3, 33, SmallPixels.smallest_side()), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)


class Needy(gymnasium.Env[Any, Any]):
    def __init__(self) -> None:
        raise gymnasium.error.DependencyNotInstalled("the box\nis not installed")


class Broken(gymnasium.Env[Any, Any]):
    def __init__(self) -> None:
        raise RuntimeError("no\nluck")


def test_vector_environment_gives_a_row_for_every_environment_in_every_step() -> None:
    env = make(one("CartPole-v1", num_envs=3), training=True)
    env.stream.reset(seed=0)
    ends = 0
    for _ in range(60):
        steps = env.stream.step(np.ones(3, np.int64))
        assert steps.env_ids.tolist() == [0, 1, 2]
        ends += len(steps.episodes)
    assert ends >= 12  # always pushing right lasts about ten steps
    assert (env.family, env.frame_stack, env.frames_per_step) == ("vector", None, 1)
    assert env.observation_space.shape == (4,)
    assert env.action_space == gymnasium.spaces.Discrete(2)
    env.close()


def test_time_limit_is_a_truncation() -> None:
    env = make(one("mujigae/Loop-v0", num_envs=2), training=True)
    env.stream.reset(seed=0)
    steps = [env.stream.step(np.zeros(2, np.int64)) for _ in range(10)]
    assert [s.truncated.tolist() for s in steps] == ([[False, False]] * 4 + [[True, True]]) * 2
    assert not any(s.terminated.any() for s in steps)
    assert [(e.score, e.length_steps) for e in steps[9].episodes] == [(5.0, 5)] * 2


def test_protocol_is_one_line_with_the_limit() -> None:
    env = make(one("CartPole-v1"), training=True)
    assert "CartPole-v1" in env.protocol
    assert "limit 500 steps" in env.protocol
    assert "raw rewards" in env.protocol
    assert "\n" not in env.protocol


def test_render_draws_environment_zero() -> None:
    env = make(one("mujigae/Catch-v0", num_envs=2), training=False, render=True)
    obs = env.stream.reset(seed=5)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((240, 120, 3), np.uint8)
    np.testing.assert_array_equal(picture[::24, ::24, 0], obs[0, 0])
    obs = env.stream.step(np.array([0, 2])).next_obs
    np.testing.assert_array_equal(env.render()[::24, ::24, 0], obs[0, 0])
    assert picture[::24, ::24, 0].tolist() != obs[0, 0].tolist()  # the first picture is a copy


def test_cartpole_can_be_drawn_without_a_display() -> None:
    env = make(one("CartPole-v1"), training=False, render=True)
    env.stream.reset(seed=0)
    assert env.render().shape == (400, 600, 3)
    assert env.render().std() > 0
    env.close()


def test_render_must_be_asked_for() -> None:
    env = make(one("CartPole-v1"), training=False)
    with pytest.raises(ConfigError, match="render=True"):
        env.render()


def test_environment_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match="Loop-v0"):
        make(one("mujigae/Loop-v0"), training=False, render=True)


@pytest.mark.parametrize(
    ("env_id", "family"),
    [
        ("CartPole-v1", "vector"),
        ("mujigae/Chain-v0", "vector"),
        ("mujigae/Catch-v0", "tiny_pixels"),
        ("FrozenLake-v1", "flattened"),
        ("ALE/Pong-v5", "atari"),
    ],
)
def test_family(env_id: str, family: str) -> None:
    assert family_of(env_id).name == family


def test_larger_images_are_the_pixels_family(registered: Any) -> None:
    registered("mujigae-test/Pixels-v0", Pixels)
    assert family_of("mujigae-test/Pixels-v0").name == "pixels"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CartPol-v1", "CartPole-v1"),
        ("cartpole-v1", "CartPole-v1"),
        ("CartPole-v9", "CartPole-v1"),
        ("mujigae/Cach-v0", "mujigae/Catch-v0"),
        ("Pong-v5", "ALE/Pong-v5"),
        ("ALE/pong-v5", "ALE/Pong-v5"),
        ("ALE/MsPacMan-v5", "ALE/MsPacman-v5"),
        ("ALE/Breakout", "ALE/Breakout-v5"),
        ("PongNoFrameskip-v4", "ALE/Pong-v5"),
    ],
)
def test_unknown_id_is_a_config_error_that_names_a_close_match(wrong: str, right: str) -> None:
    for call in (lambda: make(one(wrong), training=True), lambda: family_of(wrong)):
        with pytest.raises(ConfigError) as error:
            call()
        assert f"unknown environment {wrong!r}" in str(error.value)
        assert right in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("nonsense", ["", "a:b:c", "foo/", "zzzzzzzzzz"])
def test_nonsense_id_is_a_config_error(nonsense: str) -> None:
    with pytest.raises(ConfigError, match="env_id"):
        make(one(nonsense), training=True)


@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.skipif("Taxi-v4" not in gymnasium.registry, reason="an older Gymnasium still opens Taxi-v3")
def test_environment_that_gymnasium_has_retired_names_its_successor() -> None:
    with pytest.raises(ConfigError, match=r"env_id: 'Taxi-v3' cannot be opened: .*Taxi-v4"):
        make(one("Taxi-v3"), training=True)


def test_environment_that_needs_another_package_says_so(registered: Any) -> None:
    registered("mujigae-test/Needy-v0", Needy)
    with pytest.raises(MissingExtraError, match=r"Needy-v0.*the box is not installed"):
        make(one("mujigae-test/Needy-v0"), training=True)
    with pytest.raises(MissingExtraError, match="no_such_module"):
        make(one("no_such_module:Thing-v0"), training=True)


def test_environment_that_cannot_be_built_says_why_in_one_line(registered: Any) -> None:
    registered("mujigae-test/Broken-v0", Broken)
    with pytest.raises(ConfigError, match=r"Broken-v0.*no luck"):
        make(one("mujigae-test/Broken-v0"), training=True)


def test_atari_without_ale_py_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ale_py"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ale_py", None)
    for call in (lambda: make(one("ALE/Pong-v5"), training=True), lambda: family_of("ALE/Pong-v5")):
        with pytest.raises(MissingExtraError, match=r'ale_py.*pip install "mujigae\[atari\]"'):
            call()
    with pytest.raises(ConfigError, match="CartPole-v1"):  # other messages do not need it
        family_of("CartPol-v1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_envs", 0),
        ("num_envs", 2.0),
        ("num_envs", True),
        ("frame_size", 0),
        ("frame_stack", 0),
        ("frame_skip", -1),
        ("num_noops", -1),
        ("max_frames_per_episode", 0),
        ("sticky_probability", 1.01),
        ("sticky_probability", -0.1),
        ("sticky_probability", float("nan")),
    ],
)
def test_nonsense_options_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected .* got {value}"):
        one("ALE/Pong-v5", **{name: value})


def test_importing_mujigae_imports_no_environments_and_envs_without_gymnasium_says_what_to_install() -> None:
    program = """
import sys
import mujigae
assert "gymnasium" not in sys.modules and "mujigae.envs" not in sys.modules
sys.modules["gymnasium"] = None
try:
    import mujigae.envs
except mujigae.errors.MissingExtraError as error:
    print(error)
"""
    program = program.replace("import mujigae\n", "import mujigae, mujigae.errors\n", 1)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "mujigae[train]"' in done.stdout


@pytest.mark.parametrize("value", [np.full((10, 10, 3), 0.5), np.full((10, 10, 3), 127, np.uint8)])
def test_picture_of_a_few_cells_is_enlarged_and_floats_are_shares_of_brightness(
    register: Registry, value: Any
) -> None:
    class Cells(Five):
        def render(self) -> Any:
            return value

    env = make(one(register(Cells)), training=False, render=True)
    env.stream.reset(seed=0)
    picture = env.render()
    assert (picture.shape, picture.dtype, np.unique(picture).tolist()) == ((40, 40, 3), np.uint8, [127])
