from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mujigae.losses import cross_entropy, project, support_covers
from mujigae.networks import CategoricalHead


def brute_force(
    p: np.ndarray, reward: np.ndarray, discount: np.ndarray, support: np.ndarray
) -> np.ndarray:  # [B, N]
    """O(N^2) in float64: from atom j, atom i receives the hat function around z_i at r + discount * z_j."""
    out = np.zeros_like(p)
    for b in range(len(p)):
        for i in range(len(support)):
            hat = np.eye(len(support))[i]
            for j in range(len(support)):
                out[b, i] += p[b, j] * np.interp(reward[b] + discount[b] * support[j], support, hat)
    return out


def projected(p: list[float], reward: float, discount: float, support: list[float]) -> list[float]:
    rows = project(torch.tensor([p]), torch.tensor([reward]), torch.tensor([discount]), torch.tensor(support))
    return rows[0].tolist()


SUPPORT = [-1.0, 0.0, 1.0]


def test_mass_is_shared_between_neighbours_by_nearness() -> None:
    # Atoms move to 0.25 - 0.5 = -0.25, 0.25 and 0.75.
    # -0.25: a quarter to -1, three to 0. 0.25: three quarters to 0, one to 1. 0.75: one to 0, three to 1.
    expected = [0.25 * 0.2, 0.75 * 0.2 + 0.75 * 0.5 + 0.25 * 0.3, 0.25 * 0.5 + 0.75 * 0.3]
    assert projected([0.2, 0.5, 0.3], 0.25, 0.5, SUPPORT) == pytest.approx(expected)


def test_identity_and_whole_number_shifts_keep_each_atoms_mass() -> None:
    assert projected([0.2, 0.5, 0.3], 0.0, 1.0, SUPPORT) == pytest.approx([0.2, 0.5, 0.3])
    assert projected([0.2, 0.5, 0.3], 1.0, 1.0, SUPPORT) == pytest.approx([0.0, 0.2, 0.8])


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (0.0, [0, 1, 0]),
        (0.25, [0, 0.75, 0.25]),
        (-0.5, [0.5, 0.5, 0]),
        (1.0, [0, 0, 1]),
        (7.0, [0, 0, 1]),
        (-1e6, [1, 0, 0]),
    ],
)
def test_terminal_row_puts_all_mass_at_the_clipped_reward(reward: float, expected: list[float]) -> None:
    assert projected([0.2, 0.5, 0.3], reward, 0.0, SUPPORT) == pytest.approx(expected)


def test_every_atom_of_the_paper_support_is_hit_exactly() -> None:
    support = torch.linspace(-10, 10, 51)
    p = torch.full((51, 51), 1 / 51)
    rows = project(p, support, torch.zeros(51), support)
    torch.testing.assert_close(rows, torch.eye(51), rtol=0, atol=1e-5)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    num_atoms = draw(st.integers(2, 21))
    v_min = draw(st.floats(-50, 50, width=32))
    v_max = v_min + draw(st.floats(1, 100, width=32))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch_size = draw(st.integers(1, 4))
    p = rng.dirichlet(np.full(num_atoms, draw(st.sampled_from([0.05, 1.0, 20.0]))), batch_size)
    reward = draw(st.lists(st.floats(-300, 300, width=32), min_size=batch_size, max_size=batch_size))
    discount = draw(
        st.lists(st.sampled_from([0.0, 0.5, 0.970299, 0.99, 1.0]), min_size=batch_size, max_size=batch_size)
    )
    support = np.linspace(v_min, v_max, num_atoms)
    return tuple(np.asarray(x, np.float32) for x in (p, reward, discount, support))  # type: ignore[return-value]


@settings(max_examples=150, deadline=None)
@given(cases())
def test_projection_agrees_with_brute_force(case) -> None:
    p, _, _, support = case
    actual = project(*map(torch.from_numpy, case))
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    # float32 rounds a moved atom by its last place; in units of atoms that is larger the finer the spacing.
    tolerance = 1e-6 + 8 * float(np.spacing(np.float32(max(abs(support[0]), abs(support[-1]), 1)))) / spacing
    expected = brute_force(*(x.astype(np.float64) for x in case))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(actual.sum(1).numpy(), p.sum(1), rtol=0, atol=2e-6)
    assert (actual >= 0).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(-1, 1))
def test_mean_is_that_of_the_moved_return_where_nothing_is_clipped(
    seed: int, discount: float, position: float
) -> None:
    support = torch.linspace(-10, 10, 51)
    p = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(51), 1)).float()
    reward = 10 * (1 - discount) * position  # keeps reward +- discount * 10 within +-10
    row = project(p, torch.tensor([reward]), torch.tensor([discount]), support)
    expected = reward + discount * (p * support).sum().item()
    assert (row * support).sum().item() == pytest.approx(expected, abs=2e-5)


def logits(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).log()


def test_loss_worked_by_hand() -> None:
    # Target network at the selected action 1: [0, 0, 1], moved to 0.5 + 0.5 * 1 = 1, stays on the last atom;
    # the online network gives that atom 0.2 at the taken action 0.
    out = cross_entropy(
        logits([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])[None],
        torch.tensor([[[9.0, 0, 0], [-200.0, -200.0, 200.0]]]),
        torch.tensor([[0.0, 1.0]]),
        torch.tensor([0]),
        torch.tensor([0.5]),
        torch.tensor([0.5]),
        torch.tensor(SUPPORT),
    )
    assert out.loss.item() == pytest.approx(-math.log(0.2))
    assert out.priority.item() == pytest.approx(-math.log(0.2))


def test_double_selection_takes_the_online_expected_value_and_the_target_distribution() -> None:
    head = CategoricalHead(3, -1.0, 1.0)
    # Online means: 0.6 - 0.4 = 0.2, then 0.5, then 0.45 - 0.4 = 0.05. Action 0 has the best chance of the top
    # atom, action 1 the best mean: the mean decides.
    online_next = logits([[0.4, 1e-9, 0.6], [1e-9, 0.5, 0.5], [0.4, 0.15, 0.45]])[None]
    selector_q = head.values(online_next)
    assert selector_q[0].tolist() == pytest.approx([0.2, 0.5, 0.05], abs=1e-6)
    assert selector_q.argmax().item() == 1
    assert online_next[0, :, 2].argmax().item() == 0
    # The target network prefers action 2 (mean 0.8) and gives action 1 [0.7, 0.2, 0.1].
    target_next = logits([[0.3, 0.4, 0.3], [0.7, 0.2, 0.1], [0.1, 1e-9, 0.9]])[None]
    assert head.values(target_next).argmax().item() == 2
    taken = logits([[0.25, 0.25, 0.5], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])[None]
    out = cross_entropy(
        taken, target_next, selector_q, torch.tensor([0]), torch.zeros(1), torch.ones(1), head.support
    )
    expected = -(0.7 * math.log(0.25) + 0.2 * math.log(0.25) + 0.1 * math.log(0.5))
    assert out.loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_is_probability_less_target_also_at_logit_minus_50() -> None:
    output = torch.tensor([[[0.0, 0.0, -50.0]]], requires_grad=True)
    out = cross_entropy(
        output,
        torch.zeros(1, 1, 3),
        torch.zeros(1, 1),
        torch.tensor([0]),
        torch.tensor([1.0]),  # terminal with reward 1: all mass on the atom of logit -50
        torch.tensor([0.0]),
        torch.tensor(SUPPORT),
    )
    out.loss.sum().backward()
    assert out.loss.item() == pytest.approx(50 + math.log(2))
    torch.testing.assert_close(output.grad, torch.tensor([[[0.5, 0.5, -1.0]]]))


def test_priority_differs_from_kl_by_the_entropy_of_the_target() -> None:
    p = torch.tensor([0.2, 0.5, 0.3])
    same = p.log().expand(1, 1, 3)
    out = cross_entropy(
        same, same, torch.zeros(1, 1), torch.tensor([0]), torch.zeros(1), torch.ones(1), torch.tensor(SUPPORT)
    )
    entropy = -(0.2 * math.log(0.2) + 0.5 * math.log(0.5) + 0.3 * math.log(0.3))
    assert out.priority.item() == pytest.approx(entropy, rel=1e-5)  # KL is 0 here


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (2,), (2,), (1,)), "support must have shape"),
        (((2, 3), (2,), (2,), (1, 3)), "support must have shape"),
        (((2, 4), (2,), (2,), (3,)), r"probabilities must have shape \[B, 3\]"),
        (((2, 3), (2, 1), (2,), (3,)), "probabilities must have shape"),
        (((3,), (2,), (2,), (3,)), "probabilities must have shape"),
        (((2, 3), (2,), (1,), (3,)), "discount must have the shape of reward"),
    ],
)
def test_wrong_shapes_to_project_are_named(shapes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project(*map(torch.zeros, shapes))


@pytest.mark.parametrize(
    ("v_min", "v_max", "rewards", "gamma", "covers"),
    [
        (0, 100, (1, 1), 0.99, True),  # CartPole
        (-10, 10, (1, 1), 0.99, False),
        (-10, 10, (-1, 1), 0.9, True),
        (0, 10, (-1, 1), 0.9, False),
        (0, 20, (1, 1), 1.0, False),
        (2, 20, (1, 1), 0.9, False),  # the shortest episode returns 1
    ],
)
def test_support_covers_every_return_of_bounded_rewards(
    v_min: float, v_max: float, rewards: tuple[float, float], gamma: float, covers: bool
) -> None:
    low, high = rewards
    assert support_covers(v_min, v_max, reward_min=low, reward_max=high, gamma=gamma) is covers
