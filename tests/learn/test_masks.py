"""Masks of legal actions: found in info and in Dict observations, stored with the row, obeyed by everything that DQN does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from command_line import error_of, last_line
from envs_by_hand import Five, Registry, one
from gymnasium import spaces

import mujigae
from mujigae import cli
from mujigae.agents import Agent, Update, register, registry
from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.targets import Greedy
from mujigae.agents.presets import resolve
from mujigae.config.run import Run
from mujigae.envs.make import make
from mujigae.errors import BrokenEnvironmentError, ConfigError
from mujigae.exploration import explore
from mujigae.runs.folder import read_config
from mujigae.training.evaluate import evaluate
from mujigae.training.loop import build
from mujigae.training.loop import run as train

NUM_ACTIONS = 4
SMALL: dict[str, Any] = {
    **{"num_envs": 2, "hidden_sizes": (8,), "head_size": 8, "num_threads": 1, "batch_size": 8},
    **{"steps": 400, "min_replay_steps": 100, "learn_period_steps": 8, "num_updates": 1, "capacity": 500},
}
MASKED = spaces.Dict({"obs": spaces.Box(-1, 1, (3,), np.float32), "action_mask": spaces.MultiBinary(3)})


class Legal(Five):
    """Two of four actions, counted from 5, are legal at a time; another is an error."""

    action_space = spaces.Discrete(NUM_ACTIONS, start=5)

    def mask(self) -> Any:
        return np.roll([1, 1, 0, 0], self.time).astype(np.int8)

    def info(self) -> Any:
        return {"action_mask": self.mask(), "more": object()}

    def step(self, action: Any) -> Any:
        assert self.mask()[action - 5] == 1, f"action {action} is not legal at time {self.time}"
        return super().step(action)


class InDict(Legal):
    """The same, the mask being a part of the observation, and nothing in info."""

    observation_space = spaces.Dict(
        {"cell": spaces.Discrete(11), "action_mask": spaces.Box(0, 1, (NUM_ACTIONS,), np.float32)}
    )

    def obs(self) -> Any:
        return {"cell": self.time, "action_mask": self.mask().astype(np.float32)}

    def info(self) -> Any:
        return {}


class InDictWithImage(InDict):
    observation_space = spaces.Dict(
        {"image": spaces.Box(0, 255, (12, 12, 3), np.uint8), "action_mask": spaces.MultiBinary(NUM_ACTIONS)}
    )

    def obs(self) -> Any:
        return {"image": np.full((12, 12, 3), self.time, np.uint8), "action_mask": self.mask()}


KINDS: dict[str, tuple[type[Five], str]] = {
    "info": (Legal, "vector"),
    "Dict": (InDict, "flattened"),
    "Dict with an image": (InDictWithImage, "pixels"),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def config(env_id: str, preset: str = "dqn", **changes: Any) -> Run:
    return resolve(preset, env_id, {**SMALL, **changes})


@kinds
@pytest.mark.parametrize("preset", ["dqn", "rainbow", "iqn"])
def test_illegal_actions_are_never_taken_in_training_and_evaluation(
    kind: str, preset: str, register: Registry
) -> None:
    chosen = config(register(KINDS[kind][0]), preset, eval_epsilon=0.5, steps=240)
    training = build(chosen)
    assert training.environment.family == KINDS[kind][1]
    assert "legal actions only" in training.environment.protocol
    for _ in train(training):
        pass
    assert training.counters.updates > 0
    environment = make(chosen.env, training=False)
    assert evaluate(training.agent, environment, num_episodes=20, seed=1).tolist() == [5.0] * 20


@kinds
def test_masks_are_stored_with_the_rows_that_they_belong_to(kind: str, register: Registry) -> None:
    training = build(config(register(KINDS[kind][0])))
    for _ in train(training):
        pass
    batch = training.buffer.sample(200)
    for obs, next_obs, action, terminated in zip(
        *(batch.obs["action_mask"], batch.next_obs["action_mask"], batch.action, batch.terminated),
        strict=True,
    ):
        assert obs[action - 5] == 1
        rolled = torch.roll(obs, 1)
        assert torch.equal(next_obs, rolled)
        assert (obs.sum(), terminated.dtype) == (2, torch.bool)


def test_processes_of_their_own_give_masks_too(register: Registry) -> None:
    environment = make(one("Taxi-v4", 2, action_masks=True, env_processes=True), training=True)
    obs = environment.stream.reset(3)
    steps = environment.stream.step(obs["action_mask"].argmax(axis=1))
    assert steps.next_obs["action_mask"].shape == (2, 6)
    environment.close()


def test_stacks_beside_a_mask_are_stored_once(register: Registry) -> None:
    class Rolling(Legal):
        observation_space = spaces.Box(0, 255, (12, 12), np.uint8)

        def obs(self) -> Any:
            return np.full((12, 12), self.time, np.uint8)

    wrapper = ("gymnasium.wrappers:FrameStackObservation(stack_size=3)",)
    environment = make(one(register(Rolling), wrapper=wrapper, action_masks=True), training=True)
    assert environment.frame_stack == {"obs": 3}
    buffer = mujigae.ReplayBuffer(
        9, environment.observation_space, environment.action_space, frame_stack=environment.frame_stack
    )
    environment.stream.reset(0)
    steps = environment.stream.step(np.array([5]))
    buffer.add(*steps[1:-1])
    assert buffer.sample(1).next_obs["obs"][0, :, 0, 0].tolist() == [0, 0, 1]


# --- what counts as a mask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mask", [[True, False, True, False], np.array([1.0, 0, 1, 0]), np.array([1, 0, 1, 0], np.uint64)]
)
def test_masks_of_any_type_are_taken(mask: Any, register: Registry) -> None:
    class Other(Five):
        action_space = spaces.Discrete(NUM_ACTIONS)

        def info(self) -> Any:
            return {"action_mask": mask}

    environment = make(one(register(Other), action_masks=True), training=True)
    assert environment.stream.reset(0)["action_mask"].tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("late", [None, [0, 0, 0, 0]])
def test_where_no_action_is_legal_or_nothing_is_said_all_are(late: Any, register: Registry) -> None:
    class Last(Legal):
        def info(self) -> Any:
            return {"action_mask": self.mask() if self.time < 5 else late}

    training = build(config(register(Last), steps=200))
    for _ in train(training):
        pass
    batch = training.buffer.sample(100)
    assert batch.terminated.any()
    assert batch.next_obs["action_mask"][batch.terminated].all()


@pytest.mark.parametrize(
    ("mask", "got"),
    [([1, 0, 1], "[1, 0, 1]"), ([2, 0, 0, 0], "[2, 0, 0, 0]"), ("all", "'all'"), ([[1], [0, 1]], "[[1]")],
)
def test_mask_that_is_none_any_more_is_one_line(mask: Any, got: str, register: Registry) -> None:
    class Broken(Legal):
        def info(self) -> Any:
            return {"action_mask": self.mask() if self.time < 2 else mask}

    environment = make(one(register(Broken), action_masks=True), training=True)
    environment.stream.reset(0)
    environment.stream.step(np.array([5]))
    with pytest.raises(
        BrokenEnvironmentError, match=r"step 2: step\(\) returned action_mask: expected a 0 or 1"
    ) as e:
        environment.stream.step(np.array([6]))
    assert got in str(e.value)


@pytest.mark.parametrize(
    "info", [{}, {"action_mask": [1, 0]}, {"action_mask": "none"}, {"action_mask": [np.nan] * NUM_ACTIONS}]
)
def test_other_things_of_that_name_are_no_masks(info: Any, register: Registry) -> None:
    class Plain(Five):
        action_space = spaces.Discrete(NUM_ACTIONS)

        def info(self) -> Any:
            return info

    environment = make(one(register(Plain), action_masks=True), training=True)
    assert isinstance(environment.observation_space, spaces.Box)
    environment.stream.reset(0)
    environment.stream.step(np.array([3]))


def test_entry_of_a_dict_that_is_no_mask_stays_an_observation(register: Registry) -> None:
    class Named(InDict):
        observation_space = spaces.Dict(
            cell=spaces.Discrete(11), action_mask=spaces.Box(-1, 1, (NUM_ACTIONS,))
        )

    environment = make(one(register(Named), action_masks=True), training=True)
    assert environment.observation_space.shape == (15,)


# --- who takes them ---------------------------------------------------------------------------------------------------


class Blind(Agent):
    """Knows nothing of masks."""

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        self.space = observation_space

    def act(self, obs: Any, step: int) -> Any:
        return np.zeros(len(obs), np.int64)

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> Any:
        return np.zeros(len(obs), np.int64)

    def learn(self, batch: Any) -> Update:
        return Update()


def test_agent_without_masks_sees_the_observations_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", {**registry._REGISTRY})
    register("blind", Blind)
    training = build(resolve("blind", "Taxi-v4", {"steps": 20}))
    assert isinstance(training.agent, Blind)
    assert training.agent.space.shape == (500,)
    with pytest.raises(ConfigError, match="Blind handles Discrete actions and Box observations, got Dict"):
        build(resolve("blind", "Taxi-v4", {"action_masks": True}))


def test_masks_of_taxi_are_taken_unless_they_are_switched_off(
    in_a_folder_of_its_own: None, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        *("--env", "Taxi-v4", "--steps", "400", "--min-replay-steps", "100", "--num-threads", "1"),
        *("--hidden-sizes", "8", "--head-size", "0"),
    ]
    for name, more, has_masks in (("on", [], True), ("off", ["--no-action-masks"], False)):
        assert cli.main(["train", "dqn", *options, *more, "--name", name]) == 0
        assert read_config(Path("runs") / name).env.action_masks == has_masks
        assert ("legal actions only" in Path("runs", name, "protocol.txt").read_text()) == has_masks
    capsys.readouterr()
    assert cli.main(["evaluate", "on", "--episodes", "1", "--max-steps", "50"]) == 0
    assert last_line(capsys).startswith("return -")
    assert cli.main(["train", "--resume", "on", "--steps", "600"]) == 0
    assert "cannot change" in error_of(capsys, "train", "--resume", "on", "--no-action-masks")


# --- the learner ------------------------------------------------------------------------------------------------------


def test_random_actions_are_drawn_evenly_among_the_legal_ones() -> None:
    legal = np.array([[True, False, True, True], [False, True, False, False]]).repeat(3_000, axis=0)
    drawn = explore(np.zeros(6_000, np.int64), 1.0, 4, np.random.default_rng(0), legal)
    assert (drawn[3_000:] == 1).all()
    counts = np.bincount(drawn[:3_000], minlength=4)
    assert counts[1] == 0
    assert counts[[0, 2, 3]] == pytest.approx([1_000] * 3, abs=110)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["huber", "cross_entropy", "quantile", "implicit_quantile"])
def test_targets_are_of_the_best_legal_action(double: bool, loss: str) -> None:
    values = {"loss": loss, "double": double, "hidden_sizes": (8,), "head_size": 8, "num_threads": 1}
    agent = DQN(resolve("dqn", "CartPole-v1", values), MASKED, spaces.Discrete(3))
    next_obs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    legal = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) < 0.4
    legal[:, 0] |= ~legal.any(dim=1)
    rest = torch.zeros(50), torch.ones(50), None, None
    networks = agent.online, agent.target, next_obs
    values_of_all = Greedy(double).bootstrap(*networks, None, *rest).selector_q
    chosen = Greedy(double).bootstrap(*networks, legal, *rest).selector_q.argmax(1)
    expected = [
        max(torch.where(row)[0].tolist(), key=q.__getitem__)
        for row, q in zip(legal, values_of_all, strict=True)
    ]
    assert chosen.tolist() == expected
    assert chosen.tolist() != values_of_all.argmax(1).tolist()


def test_values_of_every_action_are_explained() -> None:
    agent = DQN(resolve("c51", "CartPole-v1", {"num_threads": 1}), MASKED, spaces.Discrete(3))
    obs = {"obs": np.zeros((2, 3), np.float32), "action_mask": np.array([[0, 1, 0]] * 2, np.int8)}
    explained = agent.explain(obs)
    assert np.isfinite(explained.values).all()
    assert explained.values.shape == (2, 3)
    assert agent.act(obs, 0).tolist() == [1, 1]


def test_dict_that_is_no_mask_beside_an_observation_is_refused() -> None:
    box = spaces.Box(-1, 1, (3,), np.float32)
    for parts in ({"obs": box}, {"obs": box, "mask": spaces.MultiBinary(2)}):
        with pytest.raises(ConfigError, match="observation_space: DQN handles"):
            DQN(resolve("dqn"), spaces.Dict(parts), spaces.Discrete(2))


def test_gymnasium_gives_taxi_a_mask_in_info() -> None:
    """The form that the tests above imitate."""
    _, info = gymnasium.make("Taxi-v4").reset(seed=0)
    assert info["action_mask"].dtype == np.int8
