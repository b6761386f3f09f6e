"""Draws are exact: distributions to a stated significance, streams equal to NumPy's, and bits equal on every processor.

Seeds are fixed, so a test either always passes or always fails; significance 0.001 is the chance that a right sampler
would have had to fail it.
"""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import ACTION, VECTOR, add_episode, vector_buffer

import mujigae

NUM_DRAWS, BATCH = 200_000, 500


def chi_square_limit(degrees: int) -> float:
    """The 0.999 quantile, after Wilson and Hilferty (1931): at most 1.2% too large from 5 degrees on."""
    z = 3.0902
    return float(degrees * (1 - 2 / (9 * degrees) + z * math.sqrt(2 / (9 * degrees))) ** 3)


def assert_distributed(counts: Any, shares: Any) -> None:
    positive = shares > 0
    assert not counts[~positive].any()
    expected = counts.sum() * shares[positive] / shares.sum()
    assert expected.min() >= 5.0  # below that the statistic is not chi-square
    chi_square = float(np.sum((counts[positive] - expected) ** 2 / expected))
    assert chi_square < chi_square_limit(int(positive.sum()) - 1)


def drawn_actions(buffer: Any, size: int) -> Any:
    actions = [buffer.sample(BATCH).action for _ in range(NUM_DRAWS // BATCH)]
    return np.bincount(np.concatenate(actions), minlength=size)


def test_the_limit_is_the_tables() -> None:
    for degrees, quantile in ((5, 20.515), (10, 29.588), (30, 59.703), (100, 149.449)):
        assert quantile <= chi_square_limit(degrees) <= 1.012 * quantile


# --- distributions


def test_uniform_draws_are_uniform_over_lanes_of_different_length() -> None:
    buffer = mujigae.ReplayBuffer(25, VECTOR, ACTION, num_envs=4, n_step=2, seed=0)
    lengths = (7, 6, 6, 2)
    for env, length in enumerate(lengths):
        for t in range(length):
            obs, end = np.full((1, 1), t, np.float32), [t == length - 1]
            buffer.add(obs, [10 * env + t], [0.0], obs + 1, [False], end, env_ids=[env])
    shares = np.zeros(40)
    for env, length in enumerate(lengths):
        shares[10 * env : 10 * env + length] = 1.0
    assert len(buffer) == shares.sum() == 21
    assert_distributed(drawn_actions(buffer, 40), shares)


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_prioritized_draws_follow_the_priorities(alpha: float, stratified: bool) -> None:
    buffer = vector_buffer(mujigae, capacity=40, alpha=alpha, eps=0.01, stratified=stratified, seed=11)
    add_episode(buffer, [0.0] * 40, terminated=False)
    keys = {int(action): int(key) for b in range(20) for action, key in action_and_key(buffer)}
    priorities = np.random.default_rng(0).lognormal(0.0, 1.0, 40)
    buffer.update_priorities([keys[a] for a in range(40)], priorities)
    counts, shares = drawn_actions(buffer, 40), (priorities + 0.01) ** alpha
    assert_distributed(counts, shares)
    if stratified:  # one from each slice: a row's count differs by less than two a batch from its share
        assert np.abs(counts - NUM_DRAWS * shares / shares.sum()).max() <= 2 * NUM_DRAWS / BATCH


def action_and_key(buffer: Any) -> Any:
    batch = buffer.sample(BATCH)
    return zip(batch.action, batch.key, strict=True)


def test_proportional_draws_of_a_tree_of_three_levels_follow_its_leaves() -> None:
    shares = np.random.default_rng(1).lognormal(0.0, 1.0, 600) * (np.arange(600) % 7 > 0)
    shares[shares < 0.1] = 0.0
    tree = mujigae.SumTree(600, seed=12)
    tree.update(np.arange(600), shares)
    assert_distributed(np.bincount(tree.sample(NUM_DRAWS), minlength=600), shares)


def test_stratified_draws_spread_over_a_tree_as_its_shares_say() -> None:
    """Slice i holds the targets from i to i + 1 of B; the expected count of a leaf is B times its share exactly."""
    shares = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
    tree = mujigae.SumTree(5, seed=0)
    tree.update(np.arange(5), shares)
    assert np.bincount(tree.sample(16 * 1000, stratified=True)).tolist() == (16_000 * shares).tolist()


@pytest.mark.parametrize("outlier", [0, 617, 999])
def test_every_leaf_is_reached_beside_an_outlier_a_hundred_million_times_as_large(
    impl: ModuleType, outlier: int
) -> None:
    """The middle of each leaf's share of the total finds that leaf, before the outlier and behind it."""
    values = np.ones(1000)
    values[outlier] = 1e8
    tree = impl.SumTree(1000)
    tree.update(np.arange(1000), values)
    middles = np.cumsum(values) - values / 2  # sums of whole numbers below 2^53: exact
    assert tree.total == values.sum()
    assert np.array_equal(tree.find(middles), np.arange(1000))


# --- the tree is a function of its leaves


@pytest.mark.parametrize(
    "num_updates", [200_000, pytest.param(10_000_000, marks=pytest.mark.slow, id="ten_million")]
)
def test_a_tree_after_many_updates_is_the_tree_built_afresh(num_updates: int) -> None:
    rng = np.random.default_rng(2)
    capacity, size = 100_003, 1000
    tree, leaves = mujigae.SumTree(capacity, seed=3), np.zeros(capacity)
    for _ in range(num_updates // size):
        indices = rng.integers(0, capacity, size)
        values = rng.lognormal(0.0, 6.0, size) * (rng.random(size) > 0.1)
        tree.update(indices, values)
        leaves[indices] = values
    fresh = mujigae.SumTree(capacity, seed=3)
    fresh.update(np.arange(capacity), leaves)
    assert tree.check_valid()
    assert np.array_equal(tree[np.arange(capacity)], leaves)
    assert tree.total == fresh.total
    assert tree.total == pytest.approx(math.fsum(leaves), rel=1e-12)
    assert np.array_equal(tree.sample(100_000), fresh.sample(100_000))


# --- the same bits everywhere

DRAW = """
import hashlib, sys
import numpy as np
import mujigae
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for capacity in (1, 16, 17, 300, 5000, 70_001):
    tree = mujigae.SumTree(capacity, seed=capacity)
    for _ in range(5):
        indices = rng.integers(0, capacity, 2000)
        tree.update(indices, rng.lognormal(0.0, 9.0, 2000) * (indices % 7 != 3))
        for stratified in (False, True):
            digest.update(tree.sample(3000, stratified).tobytes())
        digest.update(tree.find(np.linspace(0.0, 1.01, 999) * tree.total).tobytes())
        digest.update(np.float64([tree.total, tree.min]).tobytes())
    assert tree.check_valid()
digest.update(mujigae._core.power(rng.lognormal(0.0, 50.0, 20_000), 0.6).tobytes())
print(mujigae.build_info()["active_instruction_set"], digest.hexdigest())
"""


def drawn_with(instruction_set: str) -> tuple[int, str, str]:
    environment = {**os.environ, "MUJIGAE_INSTRUCTION_SET": instruction_set}
    run = subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True)
    return run.returncode, run.stdout.strip(), run.stderr


def test_every_instruction_set_of_this_processor_gives_the_bits_of_scalar_code() -> None:
    """A set that the processor lacks is refused by name: this test cannot vouch for its bits, and says so."""
    _, scalar, _ = drawn_with("scalar")
    assert scalar.startswith("scalar ")
    not_run = []
    for name in mujigae.build_info()["instruction_sets"]:
        status, output, error = drawn_with(name)
        if status == 0:
            assert output == scalar.replace("scalar", name)
        else:
            assert f"expected an instruction set of this processor (best: {best()}), got '{name}'" in error
            not_run.append(name)
    assert mujigae.build_info()["active_instruction_set"] not in not_run
    print(f"bits compared for all but {not_run or 'none'}")


def best() -> str:
    """What is chosen when nothing is forced."""
    return drawn_with("")[1].split()[0]


# --- the stream of random numbers


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**200 + 17])
def test_plain_draws_are_numpys_philox_for_the_same_key_and_counter(impl: ModuleType, seed: int) -> None:
    """Equal leaves turn a draw into its random word: index = floor(u * 2^k), u the top 53 bits of the word."""
    capacity = 1 << 16
    tree = impl.SumTree(capacity, seed)
    tree.update(np.arange(capacity), np.ones(capacity))
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    counter = 0
    for count in (1, 4, 7, 1000):
        words = np.random.Philox(key=key, counter=counter).random_raw(count)
        expected = [int((int(word) >> 11) * 2.0**-53 * capacity) for word in words]
        assert tree.sample(count).tolist() == expected
        counter += -(-count // 4)  # each call begins at a fresh block of four


def test_uniform_rows_are_numpys_philox_too(impl: ModuleType) -> None:
    buffer = impl.ReplayBuffer(1000, VECTOR, ACTION, seed=5)
    add_episode(buffer, [0.0] * 900, terminated=False)
    key = np.random.SeedSequence(5).generate_state(2, np.uint64)
    words = np.random.Philox(key=key, counter=0).random_raw(99)
    assert buffer.sample(99).action.tolist() == [int(word) * 900 >> 64 for word in words]


def test_a_seed_sequence_is_as_good_as_its_number(impl: ModuleType) -> None:
    digests = set()
    for seed in (7, np.random.SeedSequence(7)):
        tree = impl.SumTree(50, seed)
        tree.update(np.arange(50), np.ones(50))
        digests.add(hashlib.sha256(tree.sample(100).tobytes()).hexdigest())
    assert len(digests) == 1
