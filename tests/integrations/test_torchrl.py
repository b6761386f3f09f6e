"""TorchRL's replay buffer with our sampler and our storage: what comes out is what its own give."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_runs import output_of

if importlib.util.find_spec("torchrl") is None:
    pytest.skip("torchrl is not installed: pip install 'mujigae[torchrl]'", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # imports of TorchRL warn of its own plans
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl import data as theirs
    from torchrl.collectors import Collector
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
    from torchrl.data.replay_buffers.samplers import RandomSampler
    from torchrl.envs import GymEnv
    from torchrl.modules import MLP, EGreedyModule, QValueModule
    from torchrl.objectives import DQNLoss, SoftUpdate

    from mujigae.integrations.torchrl import FrameStorage, PrioritizedSampler

pytestmark = pytest.mark.filterwarnings("ignore")  # TorchRL and its dependencies give many


def played(num_steps: int, num_envs: int = 2, k: int = 3, seed: int = 0) -> TensorDict:
    """Rows [num_envs * num_steps], environment by environment, of stacks of k frames [2, 2]; episodes of 5 to 9 steps."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(num_envs):
        stack, left = None, 0
        for _ in range(num_steps):
            if left == 0:
                stack = np.repeat(random.integers(256, size=(1, 2, 2)), k, axis=0).astype(np.uint8)
                left = int(random.integers(5, 10))
            frame = random.integers(256, size=(1, 2, 2)).astype(np.uint8)
            after, left = np.concatenate([stack[1:], frame]), left - 1
            done = torch.tensor([left == 0])
            following = {"pixels": torch.from_numpy(after), "reward": torch.from_numpy(random.normal(size=1)), "done": done,
                         "terminated": done.clone()}  # fmt: skip
            rows.append(TensorDict({"pixels": torch.from_numpy(stack), "action": torch.tensor(len(rows)),
                                    "next": TensorDict(following)}))  # fmt: skip
            stack = after
    return torch.stack(rows)


def buffers(max_size: int = 40, **options: Any) -> tuple[TensorDictReplayBuffer, TensorDictReplayBuffer]:
    """Ours and TorchRL's, which draw the same places."""
    storages = FrameStorage(max_size, frame_stack={"pixels": 3}, **options), LazyTensorStorage(max_size)
    return tuple(
        TensorDictReplayBuffer(
            storage=storage,
            sampler=RandomSampler(),
            batch_size=16,
            generator=torch.Generator().manual_seed(0),
        )
        for storage in storages
    )


def assert_same(ours: TensorDict, other: TensorDict) -> None:
    assert set(ours.keys(True, True)) == set(other.keys(True, True))
    for key in other.keys(True, True):
        assert torch.equal(ours.get(key), other.get(key)), key
        assert ours.get(key).dtype == other.get(key).dtype


# --- the storage ---


@pytest.mark.parametrize("compress", [False, True])
def test_a_buffer_on_our_storage_gives_the_batches_of_torchrl(compress: bool) -> None:
    ours, other = buffers(compress=compress)
    for seed in range(4):
        for buffer in (ours, other):
            buffer.extend(played(7, seed=seed).clone())
        assert len(ours) == len(other)
        for _ in range(3):
            assert_same(ours.sample(), other.sample())
        assert_same(ours[:], other[:])
        assert_same(ours[3], other[3])
        assert_same(ours[torch.tensor([5, 1])], other[torch.tensor([5, 1])])


def test_rows_that_are_added_one_by_one_are_those_that_are_added_at_once() -> None:
    ours, other = buffers()
    rows = played(15, num_envs=1)
    for row in rows:
        ours.add(row.clone())
    other.extend(rows.clone())
    assert_same(ours[:], other[:])


def test_every_frame_is_stored_once() -> None:
    ours, other = buffers(2000)
    for buffer in (ours, other):
        buffer.extend(played(1000).clone())
    held = sum(value.nbytes for key, value in other[:].items(True, True) if "pixels" in str(key))
    assert held == 2000 * 2 * 12
    boundaries = int(other[:]["next", "done"].sum()) + 1
    frames = ours._storage.frames
    assert frames.num_silent_boundaries == 0
    assert boundaries < 400


def test_emptied_storage_takes_new_rows() -> None:
    ours, other = buffers()
    for buffer in (ours, other):
        buffer.extend(played(10).clone())
        buffer.empty()
        buffer.extend(played(5, seed=1).clone())
    assert_same(ours[:], other[:])


def test_saved_storages_go_on_alike(tmp_path: Path) -> None:
    ours, _ = buffers()
    ours.extend(played(15))
    ours.dumps(tmp_path / "dump")
    (loaded, _), (stated, _) = buffers(), buffers()
    loaded.loads(tmp_path / "dump")
    stated.load_state_dict(copy.deepcopy(ours.state_dict()))
    for buffer in (ours, loaded, stated):
        buffer.extend(played(4, seed=3).clone())
    for other in (loaded, stated):
        assert_same(other[:], ours[:])


def test_rows_that_do_not_fit_change_nothing() -> None:
    ours, _ = buffers()
    ours.extend(played(6))
    before = ours[:].clone()
    bad = played(6, seed=1)
    bad["next", "pixels"][3, 0] += 1
    with pytest.raises(
        ValueError, match=r"data: expected axis 0 of \('pixels',\) to be a rolling stack of 3 frames"
    ):
        ours._storage.set(torch.arange(12, 24), bad)
    with pytest.raises(ValueError, match="cursor: expected the places from 12 on"):
        ours._storage.set(torch.arange(12), played(6))
    with pytest.raises(ValueError, match=r"data: expected the entry \('pixels',\)"):
        ours._storage.set(torch.arange(12, 24), played(6).exclude("pixels"))
    with pytest.raises(ValueError, match="expected a TensorDict with at most one axis"):
        ours._storage.set(torch.arange(12, 14), played(6).reshape(2, 6))
    assert_same(ours[:], before)


# --- the sampler ---


def prioritized(num_rows: int = 50, max_size: int = 64, **options: Any) -> TensorDictReplayBuffer:
    options = {"alpha": 0.7, "beta": 0.5, "seed": 0} | options
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(max_size), sampler=PrioritizedSampler(max_size, **options), batch_size=32
    )
    if num_rows:
        buffer.extend(TensorDict({"x": torch.arange(num_rows)}, [num_rows]))
    return buffer


def test_sampler_is_one_of_torchrl() -> None:
    assert isinstance(PrioritizedSampler(4, 0.6, 0.4), theirs.PrioritizedSampler)


@pytest.mark.parametrize("number", [float, torch.tensor, np.float32])
def test_exponents_may_be_tensors_as_schedulers_make_them(number: Any) -> None:
    plain, other = (prioritized(alpha=kind(0.5), beta=kind(0.25), device="cpu") for kind in (float, number))
    for buffer in (plain, other):
        batch = buffer.sample(50)
        batch["index"], batch["td_error"] = torch.arange(50), torch.arange(50) / 7
        buffer.update_tensordict_priority(batch)
    first, second = plain.sample(64), other.sample(64)
    assert torch.equal(first["index"], second["index"])
    torch.testing.assert_close(first["priority_weight"], second["priority_weight"])


@pytest.mark.parametrize("stratified", [False, True])
def test_shares_and_weights_are_those_of_the_formula(stratified: bool) -> None:
    buffer = prioritized(stratified=stratified)
    errors = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 5
    batch = buffer.sample(50)
    batch["index"], batch["td_error"] = torch.arange(50), errors
    buffer.update_tensordict_priority(batch)
    leaf = (errors + 1e-8) ** 0.7
    drawn = buffer.sample(40_000)
    share = torch.bincount(drawn["index"], minlength=50) / 40_000
    np.testing.assert_allclose(share, leaf / leaf.sum(), atol=0.006)
    np.testing.assert_allclose(
        drawn["priority_weight"], (leaf[drawn["index"]] / leaf.min()) ** -0.5, rtol=1e-6
    )


def test_a_new_row_gets_the_largest_priority_so_far() -> None:
    buffer = prioritized()
    buffer.update_priority(torch.tensor([3, 4]), torch.tensor([7.0, 2.0]))
    buffer.extend(TensorDict({"x": torch.arange(2)}, [2]))
    leaves = buffer._sampler._sum_tree[torch.arange(52)]
    assert leaves[50] == leaves[51] == leaves[3] > leaves[4] > leaves[5]


def test_alpha_may_change_and_the_leaves_follow() -> None:
    buffer = prioritized()
    buffer.update_priority(torch.arange(50), torch.arange(1.0, 51.0, dtype=torch.float64))
    buffer._sampler.alpha = 1.0
    leaves = buffer._sampler._sum_tree[torch.arange(50)]
    np.testing.assert_allclose(leaves, torch.arange(1.0, 51.0), rtol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_bad_priorities_are_refused_and_change_nothing(bad: float) -> None:
    buffer = prioritized()
    before = buffer._sampler.state_dict()
    with pytest.raises(ValueError, match="priority: expected finite numbers of at least 0"):
        buffer.update_priority(torch.tensor([0, 1]), torch.tensor([2.0, bad]))
    after = buffer._sampler.state_dict()
    assert torch.equal(before["_leaves"], after["_leaves"])
    assert before["_max_priority"] == after["_max_priority"]


def test_buffer_continues_from_its_state_its_files_and_its_pickle(tmp_path: Path) -> None:
    first, second, third = prioritized(), prioritized(num_rows=0, seed=9), prioritized(num_rows=0, seed=8)
    first.update_priority(torch.arange(50), torch.rand(50))
    first.sample(3)
    second.load_state_dict(first.state_dict())
    first.dumps(tmp_path / "dump")
    third.loads(tmp_path / "dump")
    fourth = pickle.loads(pickle.dumps(first._sampler))
    for _ in range(3):
        index = first.sample()["index"]
        assert torch.equal(second.sample()["index"], index)
        assert torch.equal(third.sample()["index"], index)
        assert torch.equal(fourth.sample(first._storage, 32)[0], index)


def test_sampler_draws_with_the_generator_of_the_buffer() -> None:
    drawn = []
    for _ in range(2):
        buffer = prioritized(num_rows=0)
        buffer.set_rng(torch.Generator().manual_seed(5))
        buffer.extend(TensorDict({"x": torch.arange(50)}, [50]))
        drawn.append(buffer.sample()["index"])
    assert torch.equal(*drawn)


def test_storage_of_several_axes_is_drawn_from() -> None:
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(40, ndim=2), sampler=PrioritizedSampler(40, 0.6, 0.4), batch_size=8
    )
    buffer.extend(TensorDict({"x": torch.arange(20).reshape(4, 5), "td_error": torch.rand(4, 5)}, [4, 5]))
    batch = buffer.sample()
    batch["td_error"] = torch.rand(8)
    buffer.update_tensordict_priority(batch)
    assert batch["x"].shape == (8,)


# --- TorchRL's agents ---


def train(buffer: TensorDictReplayBuffer, num_steps: int = 1000) -> dict[str, torch.Tensor]:
    """TorchRL's DQN on CartPole; the parameters of its network."""
    torch.manual_seed(0)
    env = GymEnv("CartPole-v1", categorical_action_encoding=True)
    env.set_seed(0)
    net = TensorDictModule(
        MLP(in_features=4, out_features=2, num_cells=[32]), ["observation"], ["action_value"]
    )
    policy = TensorDictSequential(net, QValueModule(spec=env.action_spec))
    explore = EGreedyModule(env.action_spec, eps_init=0.2, eps_end=0.2)
    loss = DQNLoss(policy, action_space="categorical", delay_value=True)
    target = SoftUpdate(loss, eps=0.95)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    actor = TensorDictSequential(policy, explore)
    for rows in Collector(env, actor, frames_per_batch=20, total_frames=num_steps):
        buffer.extend(rows.reshape(-1).exclude("collector", "action_value", "chosen_action_value"))
        batch = buffer.sample()
        optimizer.zero_grad()
        loss(batch)["loss"].backward()
        optimizer.step()
        target.step()
        buffer.update_tensordict_priority(batch)
    env.close()
    return dict(policy.state_dict())


def test_an_agent_that_is_given_the_same_rows_learns_the_same_from_either_storage() -> None:
    learned = []
    for storage in (FrameStorage(500, frame_stack={"observation": 1}), LazyTensorStorage(500)):
        generator = torch.Generator().manual_seed(0)
        learned.append(
            train(
                TensorDictReplayBuffer(
                    storage=storage, sampler=RandomSampler(), batch_size=32, generator=generator
                )
            )
        )
    assert all(torch.equal(learned[0][name], learned[1][name]) for name in learned[1])


def test_prioritized_agent_sets_priorities() -> None:
    buffer = prioritized(num_rows=0, max_size=500)
    train(buffer)
    assert len(torch.unique(buffer._sampler._sum_tree[torch.arange(500)])) > 200


def test_example_prints_its_score_and_its_bytes() -> None:
    printed = output_of("torchrl_dqn", "--steps", "600")
    assert "return" in printed
