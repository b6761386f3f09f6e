"""Agents from outside the package: how they are found, what the loop gives them, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from command_line import error_of, last_line
from gymnasium import spaces

from mujigae import cli
from mujigae.agents import Agent, AgentConfig, Run, Update, register, registry
from mujigae.agents.presets import resolve
from mujigae.config.checks import Count
from mujigae.config.run import EnvConfig
from mujigae.errors import ConfigError
from mujigae.runs.folder import read_config
from mujigae.training.loop import build, run

SMALL = ("--steps", "60", "--num-envs", "2", "--capacity", "200", "--min-replay-steps", "20")


@dataclass(frozen=True)
class RepeatConfig(AgentConfig):
    num_repeats: Count = 3
    """Steps between two draws of an action."""


class Repeat(Agent):
    """Repeats a random action; its priorities are NumPy's."""

    config_class: ClassVar[type[AgentConfig]] = RepeatConfig
    metrics = ("surprise",)

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, RepeatConfig)
        self.num_repeats, self.num_actions = run.agent.num_repeats, int(action_space.n)
        self.rng = np.random.default_rng(run.seed)
        self.num_drawn = 0

    def act(self, obs: Any, step: int) -> Any:
        if step // len(obs) % self.num_repeats == 0:
            self.action = self.rng.integers(self.num_actions)
            self.num_drawn += 1
        return np.full(len(obs), self.action)

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> Any:
        return rng.integers(self.num_actions, size=len(obs))

    def learn(self, batch: Any) -> Update:
        return Update(np.full(len(batch.key), 2.0), {"surprise": 0.5})

    def scalars(self) -> dict[str, float | None]:
        return {"num_drawn": self.num_drawn}


class Uniform(Repeat):
    samplers = ("uniform",)


class Vectors(Repeat):
    observation_spaces = ("Discrete",)


class WithConstant(Repeat):
    @dataclass(frozen=True)
    class Config(RepeatConfig):
        actions: ClassVar[tuple[str, ...]] = ("left", "right")

    config_class = Config


class Clashing(Repeat):
    @dataclass(frozen=True)
    class Config(AgentConfig):
        gamma: float = 0.5

    config_class = Config


@pytest.fixture(autouse=True)
def _registry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_REGISTRY", {**registry._REGISTRY})
    yield
    sys.modules.pop("agents_of_mine", None)


def test_registered_agent_brings_its_options_columns_and_priorities() -> None:
    register("repeat", Repeat, presets={"repeat": {}, "repeat_long": {"num_repeats": 9}})
    config = resolve("repeat_long", "CartPole-v1", {"prioritized": True, "steps": 1_200})
    assert (config.agent_name, config.agent) == ("repeat", RepeatConfig(num_repeats=9))
    training = build(config)
    progress = list(run(training))
    assert training.counters.updates == len([u for p in progress for u in p.updates]) == 51
    assert training.metrics == {"surprise": 0.5}
    key = training.buffer.sample(8).key
    assert training.buffer.update_priorities(key, np.full(8, 2.0)) == 8


def test_agent_of_the_current_folder_is_trained_and_read_again(
    in_a_folder_of_its_own: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    (tmp_path / "agents_of_mine.py").write_text(source, encoding="utf-8")
    assert cli.main(["train", "agents_of_mine:Repeat", "--num-repeats", "2", "--name", "a", *SMALL]) == 0
    assert read_config(tmp_path / "runs" / "a").flat()["num_repeats"] == 2
    header = (tmp_path / "runs" / "a" / "progress.csv").read_text().splitlines()[0].split(",")
    assert header[9:13] == ["surprise", "num_drawn", "beta", "mean_priority"]
    assert cli.main(["evaluate", "a", "--episodes", "2"]) == 0
    assert last_line(capsys).endswith("over 2 episodes")
    assert "num_repeats: expected at least 1, got 0" in error_of(
        capsys, "train", "agents_of_mine:Repeat", "--num-repeats", "0"
    )


def test_environment_of_the_current_folder_is_found_without_pythonpath(
    in_a_folder_of_its_own: None, without_pictures: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])
    (tmp_path / "envs_of_mine.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('Mine-v0', entry_point=CartPoleEnv, max_episode_steps=20)\n"
    )
    assert cli.main(["train", "dqn", "--env", "envs_of_mine:Mine-v0", "--name", "a", *SMALL]) == 0


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installed packages offer agents: "echo", and "gone", which cannot be imported."""
    (tmp_path / "agents_of_mine.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    offered = {"gone": "no_such_module:Agent", "echo": "agents_of_mine:Repeat"}

    def entry_points(group: str) -> list[metadata.EntryPoint]:
        assert group == "mujigae.agents"
        return [metadata.EntryPoint(name, source, group) for name, source in offered.items()]

    monkeypatch.setattr(metadata, "entry_points", entry_points)


def test_entry_point_is_a_preset_whatever_others_offer(
    in_a_folder_of_its_own: None, without_pictures: None, installed: None, tmp_path: Path
) -> None:
    assert cli.main(["train", "echo", "--name", "a", *SMALL]) == 0
    assert read_config(tmp_path / "runs" / "a").agent_name == "echo"


def test_agents_of_installed_packages_are_listed_without_importing_them(
    in_a_folder_of_its_own: None, installed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "preset echo: agents_of_mine:Repeat, of an installed package" in lines
    assert "preset gone: no_such_module:Agent, of an installed package" in lines
    assert "agents_of_mine" not in sys.modules
    assert error_of(capsys, "train", "eho").endswith("unknown preset 'eho'; did you mean echo?")
    assert "'no_such_module:Agent' cannot be imported" in error_of(capsys, "train", "gone")


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("no_such_module:Agent", "preset: 'no_such_module:Agent' cannot be imported (ModuleNotFoundError"),
        ("json:Nothing", "preset: 'json:Nothing' cannot be imported (AttributeError"),
        ("json:loads", "preset: expected 'json:loads' to be a class derived from mujigae.agents.Agent"),
        ("rainbw", "preset: unknown preset 'rainbw'; did you mean rainbow?"),
    ],
)
def test_preset_that_is_no_agent_is_one_line(
    in_a_folder_of_its_own: None, capsys: pytest.CaptureFixture[str], preset: str, message: str
) -> None:
    assert message in error_of(capsys, "train", preset)


def test_agent_is_asked_which_spaces_and_samplers_it_takes() -> None:
    register("vectors", Vectors)
    register("uniform", Uniform)
    with pytest.raises(
        ConfigError, match=r"observation_space: Vectors handles .* Discrete observations, got Box"
    ):
        build(resolve("vectors", "CartPole-v1"))
    with pytest.raises(ConfigError, match="sampler: expected uniform for Uniform, got proportional"):
        build(resolve("uniform", "CartPole-v1", {"prioritized": True}))


def test_spaces_derived_from_a_kind_are_of_that_kind() -> None:
    class Position(spaces.Box):
        """As the packages of some environments have them."""

    class Move(spaces.Discrete):
        """As above."""

    small = {"hidden_sizes": (8,), "head_size": 0, "num_threads": 1}
    position, move = Position(-1, 1, (3,), np.float32), Move(2)
    agent = registry.create_agent(resolve("dqn", "CartPole-v1", small), position, move)
    assert agent.act(position.sample()[None], 0).shape == (1,)


def test_class_variable_of_a_configuration_is_no_option() -> None:
    register("with_constant", WithConstant)
    config = resolve("with_constant", "CartPole-v1", {"num_repeats": 2})
    assert config.agent == WithConstant.Config(num_repeats=2)
    with pytest.raises(ConfigError, match="actions"):
        resolve("with_constant", "CartPole-v1", {"actions": ("up",)})


def test_names_that_mean_something_already_are_refused() -> None:
    with pytest.raises(ConfigError, match="name: 'rainbow' is taken by the agent 'dqn'"):
        register("rainbow", Repeat)
    with pytest.raises(ConfigError, match="clashing: the option 'gamma' is one of every run already"):
        register("clashing", Clashing)
    assert EnvConfig.env_id == resolve("dqn").env.env_id
