"""Families: the first entry that matches says how an environment is made and which values suit it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from envs_by_hand import Five, Registry, observing, one
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from mujigae.envs import make
from mujigae.envs.families import FAMILIES, family_for
from mujigae.errors import ConfigError, MissingExtraError


def test_names_are_unique_and_every_family_has_a_way_to_be_made() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert {"atari", "minatar", "pixels", "tiny_pixels", "vector", "flattened"} <= set(names)


def test_a_family_that_is_known_by_its_id_is_not_opened() -> None:
    assert family_for(one("MinAtar/Nothing-v1")).name == "minatar"
    assert family_for(one("ALE/Pong-v5")).name == "atari"


def test_planes_of_minatar_are_turned_whatever_their_number(register: Registry) -> None:
    planes = np.zeros((10, 10, 10), bool)
    planes[1, 2, 3] = True
    kind = observing(spaces.Box(0.0, 1.0, (10, 10, 10), bool), lambda self: planes)
    gymnasium.register("MinAtar/ByHand-v1", kind)
    try:
        env = make(one("MinAtar/ByHand-v1"), training=True)
    finally:
        del gymnasium.registry["MinAtar/ByHand-v1"]
    assert (env.family, env.observation_space.shape) == ("minatar", (10, 10, 10))
    assert np.argwhere(env.stream.reset(seed=1)[0]).tolist() == [[3, 1, 2]]


def test_package_that_is_missing_is_named_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "flappy_bird_gymnasium", None)
    with pytest.raises(MissingExtraError, match=r'flappy-bird-gymnasium.*pip install "mujigae\[envs\]"'):
        make(one("FlappyBird-v9"), training=True)


class Takes(Five):
    def __init__(self, size: Any = 3, name: Any = "", render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.size, self.name = size, name
        self.observation_space = spaces.Box(-1, 1, (int(size),), np.float32)

    def obs(self) -> Any:
        return np.zeros(int(self.size), np.float32)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("0.5", 0.5),
        ("true", True),
        ("False", False),
        ("none", None),
        ("[1, 2]", [1, 2]),
        ("{'a': 1}", {"a": 1}),
        ("word", "word"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_arguments_of_an_environment_are_literals_or_words(register: Registry, text: str, value: Any) -> None:
    options = one(register(Takes), env_kwargs=(f"name={text}", "size=5"))
    env = make(options, training=True)
    assert env.stream.env.get_attr("name") == (value,)  # type: ignore[attr-defined]
    assert env.observation_space.shape == (5,)
    assert f"name={text}, size=5" in env.protocol


@pytest.mark.parametrize(
    "pairs", [("size",), ("=5",), ("a b=5",), ("size=5", "size=6"), ("render_mode=human",)]
)
def test_arguments_of_another_form_are_refused(register: Registry, pairs: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="env_kwargs: expected KEY=VALUE"):
        make(one(register(Takes), env_kwargs=pairs), training=True)


def test_argument_that_the_environment_does_not_take_is_one_line(register: Registry) -> None:
    with pytest.raises(ConfigError, match=r"cannot be opened.*unexpected keyword argument 'colour'"):
        make(one(register(Takes), env_kwargs=("colour=red",)), training=True)


def test_wrappers_are_applied_in_order_with_their_arguments(register: Registry) -> None:
    wrappers = (
        "gymnasium.wrappers:FrameStackObservation(stack_size=3)",
        "gymnasium.wrappers:TimeLimit(max_episode_steps=2)",
    )
    env = make(one(register(Five), num_envs=2, wrapper=wrappers), training=True)
    assert (env.observation_space.shape, env.frame_stack) == ((3, 3), 3)
    assert all(name in env.protocol for name in wrappers)
    env.stream.reset(seed=0)
    steps = [env.stream.step(np.zeros(2, np.int64)) for _ in range(2)]
    assert steps[1].truncated.tolist() == [True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FlattenObservation", "expected module:Class"),
        ("gymnasium.wrappers:", "expected module:Class"),
        ("gymnasium.wrappers:TimeLimit(5)", "expected module:Class"),
        ("gymnasium.wrappers:TimeLimit(max_episode_steps=print())", "expected module:Class"),
        ("gymnasium.wrappers:NoSuchWrapper", "cannot be made: AttributeError"),
        ("no_such_module:Wrapper", "cannot be made: ModuleNotFoundError"),
        ("gymnasium.wrappers:TimeLimit(max_episode_steps=-1)", "cannot be made"),
        ("builtins:repr", "to give a gymnasium.Env, got str"),
    ],
)
def test_wrapper_that_cannot_be_made_is_one_line(register: Registry, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"wrapper: .*{message}") as error:
        make(one(register(Five), wrapper=(text,)), training=True)
    assert "\n" not in str(error.value)


def test_environments_in_processes_of_their_own_give_the_same_rows(register: Registry) -> None:
    def rows(in_processes: bool) -> list[Any]:
        options = one("CartPole-v1", num_envs=2, env_processes=in_processes)
        env = make(options, training=True)
        env.stream.reset(seed=5)
        steps = [env.stream.step(np.array([t % 2, 1])) for t in range(30)]
        env.close()
        return [[step.next_obs.tolist(), step.reward.tolist(), step.terminated.tolist()] for step in steps]

    assert rows(True) == rows(False)


class Drifts(Five):
    def obs(self) -> Any:
        return self.np_random.normal(100, 30, 3).astype(np.float32)


class Curriculum(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gets harder with every episode, and says so."""

    level = 0

    def reset(self, **options: Any) -> Any:
        self.level += 1
        return super().reset(**options)

    def state_dict(self) -> dict[str, Any]:
        return {"level": self.level}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.level = int(state["level"])


def normalized() -> gymnasium.Env[Any, Any]:
    return NormalizeReward(Curriculum(NormalizeObservation(Drifts())))


def stepped(env: Any, num_steps: int = 40) -> Any:
    for _ in range(num_steps):
        env.stream.step(np.zeros(env.stream.num_envs, np.int64))
    return env


@pytest.mark.parametrize("in_processes", [False, True])
def test_statistics_and_states_are_read_and_put_back(in_processes: bool) -> None:
    options = one(
        "CartPole-v1",
        num_envs=2,
        wrapper=("gymnasium.wrappers:NormalizeObservation", "gymnasium.wrappers:NormalizeReward"),
        env_processes=in_processes,
    )
    env, twin = make(options, training=True), make(options, training=True)
    env.stream.reset(seed=1)
    state = stepped(env).state()
    assert len(state) == 2 * 7
    twin.restore(state)
    assert {name: value.tolist() for name, value in twin.state().items()} == {
        name: value.tolist() for name, value in state.items()
    }
    rows = [e.stream.reset(seed=9).tolist() + stepped(e, 5).stream.obs.tolist() for e in (env, twin)]
    assert rows[0] == rows[1]
    env.close()
    twin.close()


def test_state_of_a_wrapper_of_ones_own_goes_with_it(register: Registry) -> None:
    env_id = register(normalized)
    env, twin = (make(one(env_id, num_envs=2), training=True) for _ in range(2))
    assert env.state_owners == ("NormalizeReward", "Curriculum", "NormalizeObservation")
    env.stream.reset(seed=1)
    twin.restore(stepped(env, 11).state())
    assert twin.stream.env.get_attr("level") == (3, 3)  # type: ignore[attr-defined]


def test_evaluation_takes_the_statistics_of_the_training_environments_in_turn_and_keeps_them(
    register: Registry,
) -> None:
    env_id = register(normalized)
    env = make(one(env_id, num_envs=2), training=True)
    player = make(one(env_id, num_envs=3), training=False)
    env.stream.reset(seed=1)
    state = stepped(env).state()
    player.restore(state, freeze=True)
    player.stream.reset(seed=2)
    after = stepped(player).state()
    means = [name for name in state if name.endswith("rms.mean")]
    assert len(means) == 4
    assert all(after[name].tolist() == state[name].tolist() for name in means)
    third = [name for name in after if name.startswith("2.") and name.endswith("rms.mean")]
    assert all(after[name].tolist() == state["0" + name[1:]].tolist() for name in third)


def test_environment_without_statistics_has_no_state(register: Registry) -> None:
    env = make(one(register(Five)), training=True)
    assert (env.state_owners, env.state()) == ((), {})
    env.restore({})


def test_state_of_other_wrappers_is_refused(register: Registry) -> None:
    plain, kept = (
        make(one(register(Five)), training=True),
        make(one(register(normalized)), training=True),
    )
    with pytest.raises(ValueError, match="state of environments: expected"):
        plain.restore(kept.state())
    with pytest.raises(ValueError, match="state of environments: expected"):
        kept.restore({})
    state = kept.state()
    with pytest.raises(ValueError, match="the same wrappers"):
        kept.restore(dict(list(state.items())[1:]))
    name = next(name for name in state if name.endswith("obs_rms.mean"))
    with pytest.raises(ValueError, match=r"obs_rms.mean of shape \(3,\), got \(4,\)"):
        kept.restore(state | {name: np.zeros(4)})
    with pytest.raises(ValueError, match="begin with a number"):
        kept.restore({"obs": np.zeros(3)})
