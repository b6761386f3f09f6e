"""skrl: its agents find the same columns in the engine's memory as in its own, and learn from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("skrl")

import gymnasium
import torch
from example_runs import output_of
from skrl.agents.torch.ddqn import DDQN, DDQN_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed

from mujigae.integrations.skrl import ReplayMemory

NAMES = ["observations", "states", "actions", "rewards", "next_observations", "next_states", "terminated"]
IMAGE = gymnasium.spaces.Box(0, 255, (4, 3, 2), np.uint8)


def made(kind: Any = ReplayMemory, size: int = 4, num_envs: int = 2, **options: Any) -> Any:
    """A memory with the columns of skrl's DQN."""
    memory = kind(memory_size=50, num_envs=num_envs, device="cpu", **options)
    for name in NAMES:
        width = {"actions": 1, "rewards": 1, "terminated": 1, "states": None, "next_states": None}
        dtype = {"actions": torch.int64, "terminated": torch.bool}.get(name, torch.float32)
        memory.create_tensor(name=name, size=width.get(name, size), dtype=dtype)
    return memory


def steps(num_steps: int, num_envs: int = 2) -> list[dict[str, Any]]:
    """Steps of environments whose episodes end after five steps, of the second by a cut that skrl does not tell."""
    found = []
    for t in range(num_steps):
        where = torch.tensor([[e, t // 5, t % 5, 0.0] for e in range(num_envs)])
        later = where + torch.tensor([0.0, 0.0, 1.0, 0.0])
        found.append(
            {
                "observations": where,
                "states": None,
                "actions": torch.full((num_envs, 1), t % 3),
                "rewards": torch.full((num_envs, 1), float(t)),
                "next_observations": later,
                "next_states": None,
                "terminated": torch.tensor([[t % 5 == 4 and e == 0] for e in range(num_envs)]),
            }
        )
    return found


@pytest.mark.filterwarnings("ignore:.*reset without:UserWarning", "ignore:.*boundar.*")
def test_rows_are_those_of_the_memory_of_skrl() -> None:
    held = []
    for kind in (ReplayMemory, RandomMemory):
        memory = made(kind)
        for step in steps(80):
            memory.add_samples(**step)
        (columns,) = memory.sample(NAMES, batch_size=3000)
        assert columns[1] is columns[5] is None
        parts = [column for column in columns if column is not None]
        assert [part.shape[1] for part in parts] == [4, 1, 1, 4, 1]
        rows = torch.cat([part.float() for part in parts], dim=1)
        held.append(({part.dtype for part in parts}, {tuple(row) for row in rows.tolist()}))
        assert len(memory) == 100
    assert held[0] == held[1]


def test_mini_batches_are_parts_of_a_batch() -> None:
    memory = made()
    for step in steps(9):
        memory.add_samples(**step)
    parts = memory.sample(["rewards", "states"], batch_size=7, mini_batches=3)
    assert [len(part[0]) for part in parts] == [3, 2, 2]
    assert [part[1] for part in parts] == [None] * 3


def test_frames_are_stored_once_and_come_back_as_skrl_gives_them() -> None:
    memory = made(size=24, num_envs=1, observation_space=IMAGE, frame_stack=4, seed=0)
    rng = np.random.default_rng(0)
    frames = torch.as_tensor(rng.integers(0, 256, (30, 3, 2)))
    for t in range(20):
        obs, next_obs = (frames[i : i + 4].reshape(1, 24).float() for i in (t, t + 1))
        memory.add_samples(
            observations=obs,
            next_observations=next_obs,
            actions=torch.zeros(1, 1),
            rewards=torch.full((1, 1), float(t)),
            terminated=torch.zeros(1, 1, dtype=torch.bool),
        )
    obs, rewards, next_obs = memory.sample(["observations", "rewards", "next_observations"], batch_size=64)[0]
    for row, t, later in zip(obs, rewards[:, 0].long().tolist(), next_obs, strict=True):
        assert torch.equal(row, frames[t : t + 4].reshape(24).float())
        assert torch.equal(later, frames[t + 1 : t + 5].reshape(24).float())
    with pytest.raises(ValueError, match="observations: expected values of uint8, got float32"):
        memory.add_samples(
            observations=torch.full((1, 24), 0.5),
            next_observations=torch.full((1, 24), 0.5),
            actions=torch.zeros(1, 1),
            rewards=torch.zeros(1, 1),
            terminated=torch.zeros(1, 1, dtype=torch.bool),
        )


def stacked_steps(
    lengths: tuple[int, ...], num_steps: int
) -> tuple[list[dict[str, Any]], set[tuple[int, ...]]]:
    """Steps of vector environments with episodes of these lengths, which reset themselves in the step after an end.

    Frames are filled with a count that begins anew in every episode. Returns the true rows too, as (env, obs, next_obs).
    """
    counts, found, true = [0] * len(lengths), [], set()
    for _ in range(num_steps):
        are_over = [count == length for count, length in zip(counts, lengths, strict=True)]
        after = [0 if over else count + 1 for count, over in zip(counts, are_over, strict=True)]
        true |= {(e, counts[e], after[e]) for e, over in enumerate(are_over) if not over}
        found.append(
            {
                "observations": stack_of(counts),
                "next_observations": stack_of(after),
                "actions": torch.arange(len(lengths))[:, None],
                "rewards": torch.zeros(len(lengths), 1),
                "terminated": torch.tensor(
                    [[a == n and n % 2 == 0] for a, n in zip(after, lengths, strict=True)]
                ),
            }
        )
        counts = after
    return found, true


def stack_of(counts: list[int]) -> Any:
    """The newest four frames [E, 24] of episodes, of which the first is repeated."""
    frames = torch.tensor([[max(count - back, 0) for back in (3, 2, 1, 0)] for count in counts])
    return frames[:, :, None].expand(-1, -1, 6).reshape(len(counts), 24).float()


@pytest.mark.filterwarnings("ignore:.*reset without:UserWarning", "ignore:.*boundar.*")
def test_steps_in_which_stacked_environments_reset_themselves_are_no_rows() -> None:
    memory = made(size=24, num_envs=3, observation_space=IMAGE, frame_stack=4)
    played, true = stacked_steps((3, 4, 4), 30)  # the first is cut, the others end in a terminal state
    for step in played:
        memory.add_samples(**step)
    obs, action, next_obs = memory.sample(["observations", "actions", "next_observations"], batch_size=2000)[
        0
    ]
    rows = torch.cat([action, obs[:, -1:], next_obs[:, -1:]], dim=1).int()
    assert {tuple(row) for row in rows.tolist()} == true
    assert len(memory) == 23 + 24 + 24


def test_stacks_that_are_none_are_refused_all_the_same() -> None:
    memory = made(size=24, num_envs=1, observation_space=IMAGE, frame_stack=4)
    (step, *_), _ = stacked_steps((9,), 1)
    stacks = [torch.full((1, 24), float(i)) for i in range(4)]
    with pytest.raises(ValueError, match="next_obs"):
        memory.add_samples(**step | {"observations": stacks[0], "next_observations": stacks[1]})
    memory.add_samples(**step | {"observations": stacks[0], "next_observations": stacks[0]})
    memory.add_samples(**step | {"observations": stacks[0], "next_observations": stacks[1]})
    with pytest.raises(ValueError, match="next_obs"):
        memory.add_samples(**step | {"observations": stacks[1], "next_observations": stacks[2]})


def test_first_rows_that_are_refused_leave_nothing_behind() -> None:
    memory, (good, *_) = made(), steps(1)
    bad = {"rewards": torch.full((2, 1), torch.nan), "actions": torch.zeros(2, 3)}
    with pytest.raises(ValueError, match="reward"):
        memory.add_samples(**good | bad)
    assert memory.replay is None
    memory.add_samples(**good)
    assert memory.sample(["actions"], batch_size=3)[0][0].shape == (3, 1)


def test_saved_memory_goes_on(tmp_path: Path) -> None:
    memory = made(seed=3)
    for step in steps(4):
        memory.add_samples(**step)
    memory.save(str(tmp_path))
    other = made()
    other.load(str(tmp_path / "memories" / "memory.mujigae"))
    for first, second in zip(*(m.sample(NAMES, batch_size=9)[0] for m in (memory, other)), strict=True):
        assert first is second is None or torch.equal(first, second)
    memory.reset()
    assert (len(memory), len(other)) == (0, 8)


def test_what_an_off_policy_agent_does_not_ask_for_is_refused() -> None:
    memory = made()
    with pytest.raises(ValueError, match=r"name: expected one of .* got 'log_prob'"):
        memory.create_tensor(name="log_prob", size=1)
    with pytest.raises(ValueError, match="sample: expected rows, one at a time, got 0 rows"):
        memory.sample(NAMES, batch_size=2)
    with pytest.raises(NotImplementedError, match="sample_all"):
        memory.sample_all(NAMES)
    with pytest.raises(ValueError, match="rewards: expected a row of each of 2 environments, got 1"):
        memory.add_samples(**{name: None if v is None else v[:1] for name, v in steps(1)[0].items()})
    with pytest.raises(TypeError, match="n_step: expected none"):
        made(n_step=3)


class SameDraws(ReplayMemory):
    """Draws the rows that skrl's memory would, by the same numbers of the same generator; while no row is evicted."""

    def sample(
        self, names: list[str], *, batch_size: int, mini_batches: int = 1, sequence_length: int = 1
    ) -> list[list[Any]]:
        rows = self.replay
        assert rows is not None
        batch = rows.gather(torch.randperm(len(rows))[:batch_size].numpy())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows, "sample", lambda _: batch)
            return super().sample(names, batch_size=batch_size)


class Values(DeterministicMixin, Model):
    """Action values of CartPole."""

    def __init__(self, env: Any) -> None:
        spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
        Model.__init__(self, **spaces, device="cpu")
        DeterministicMixin.__init__(self)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[torch.Tensor, dict[str, Any]]:
        return self.layers(inputs["observations"]), {}

    def random_act(self, inputs: dict[str, Any], *, role: str = "") -> tuple[torch.Tensor, dict[str, Any]]:
        """skrl 2.1's own draws one action for all steps, of a generator that has no seed."""
        return torch.randint(2, (len(inputs["observations"]), 1)), {}


def trained(kind: Any, num_steps: int) -> tuple[list[float], torch.Tensor]:
    """The returns, and the weights, of skrl's double DQN after so many steps of CartPole with one of the memories."""
    set_seed(0)
    recorder = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("CartPole-v1", max_episode_steps=15))
    env = wrap_env(recorder)
    agent = DDQN(
        models={name: Values(env) for name in ("q_network", "target_q_network")},
        memory=kind(memory_size=1000, num_envs=1, device="cpu"),
        cfg=DDQN_CFG(batch_size=16, learning_starts=30, exploration_scheduler=lambda *_: 0.2),
        observation_space=env.observation_space,
        action_space=env.action_space,
        device="cpu",
    )
    cfg = {"timesteps": num_steps, "headless": True, "close_environment_at_exit": False}
    SequentialTrainer(cfg=cfg, env=env, agents=agent).train()
    weights = torch.cat([part.detach().flatten() for part in agent.models["q_network"].parameters()])
    return list(recorder.return_queue), weights


@pytest.mark.filterwarnings("ignore")  # skrl's own, and the cuts that it does not tell
def test_an_agent_whose_memory_draws_the_same_rows_plays_and_learns_the_same() -> None:
    (returns, weights), (their_returns, their_weights) = (
        trained(kind, 150) for kind in (SameDraws, RandomMemory)
    )
    assert len(set(returns)) > 1
    assert returns == their_returns
    assert torch.equal(weights, their_weights)


@pytest.mark.learns
@pytest.mark.parametrize("options", [(), ("--theirs",)], ids=["ours", "theirs"])
def test_example_learns_cartpole_with_either_memory(options: tuple[str, ...]) -> None:
    assert float(output_of("skrl_dqn", *options).split()[-1]) > 100
