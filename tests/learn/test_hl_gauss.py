"""HL-Gauss: shares of a normal distribution worked by hand, and a value that is learned."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from mujigae.errors import ConfigError
from mujigae.losses import hl_gauss, spread
from mujigae.networks import HLGaussHead

EDGES = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])


def test_target_on_an_inner_edge_is_shared_alike_by_its_neighbours_worked_by_hand() -> None:
    """sigma 1 at 0: a bin next to it holds 0.3413 of the distribution, the next 0.1359, and all four 0.9545."""
    shares = spread(torch.tensor([0.0]), EDGES, 1.0)
    expected = [0.135905, 0.341345, 0.341345, 0.135905]
    torch.testing.assert_close(shares, torch.tensor([expected]) / 0.9545, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("target", [-1.7, -0.3, 0.0, 0.61, 1.99])
@pytest.mark.parametrize("sigma", [0.2, 0.75, 3.0])
def test_shares_are_those_of_the_normal_distribution_within_the_edges(target: float, sigma: float) -> None:
    cdf = NormalDist(target, sigma).cdf
    inside = cdf(2.0) - cdf(-2.0)
    edges = EDGES.tolist()
    expected = [(cdf(b) - cdf(a)) / inside for a, b in pairwise(edges)]
    shares = spread(torch.tensor([target]), EDGES, sigma)
    torch.testing.assert_close(shares, torch.tensor([expected]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("target", "edge"), [(50.0, 2.0), (-1e6, -2.0)])
def test_target_beyond_the_edges_counts_as_the_outermost(target: float, edge: float) -> None:
    shares = spread(torch.tensor([target, edge]), EDGES, 0.75)
    assert torch.equal(shares[0], shares[1])
    assert float(shares.sum()) == pytest.approx(2.0)


def arguments() -> dict[str, Tensor]:
    """One row, two actions, two bins of centres -1 and 1; the target network says 0.5 of action 1, where p = (1/4, 3/4)."""
    return {
        "output": torch.tensor([[[0.0, 0.0], [3.0, 0.0]]], requires_grad=True),
        "target_output": torch.tensor([[[9.0, 0.0], [0.0, math.log(3)]]]),
        "selector_q": torch.tensor([[0.0, 1.0]]),
        "action": torch.tensor([0]),
        "reward": torch.tensor([0.25]),
        "discount": torch.tensor([0.5]),
        "edges": torch.tensor([-2.0, 0.0, 2.0]),
    }


def test_loss_is_the_cross_entropy_with_the_spread_of_the_bootstrapped_value_worked_by_hand() -> None:
    """Target 0.25 + 0.5 * 0.5 = 0.5; the taken action's bins are equally likely, so that its value is 0 and the loss ln 2."""
    out = hl_gauss(**arguments(), sigma=1.0)
    assert (float(out.target), float(out.priority)) == pytest.approx((0.5, 0.5))
    assert float(out.loss.detach()) == pytest.approx(math.log(2))
    out.loss.sum().backward()
    cdf = NormalDist(0.5, 1.0).cdf
    upper = (cdf(2.0) - cdf(0.0)) / (cdf(2.0) - cdf(-2.0))
    gradient = arguments()["output"].detach() * 0
    gradient[0, 0] = torch.tensor([0.5 - (1 - upper), 0.5 - upper])
    given = arguments()
    hl_gauss(**given, sigma=1.0).loss.sum().backward()
    torch.testing.assert_close(given["output"].grad, gradient, atol=1e-5, rtol=1e-4)


def test_edges_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^edges must have shape \[3\], got \(5,\)$"):
        hl_gauss(**{**arguments(), "edges": EDGES}, sigma=1.0)


def test_bins_fill_the_support_and_sigma_is_in_widths_of_a_bin() -> None:
    head = HLGaussHead(4, -2.0, 2.0, smoothing=0.5)
    assert head.edges.tolist() == EDGES.tolist()
    assert head.support.tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert head.sigma == 0.5


@pytest.mark.parametrize("value", [-7.3, 0.0, 2.2, 8.0])
def test_descending_the_loss_brings_the_value_to_the_target(value: float) -> None:
    head = HLGaussHead(51, -10.0, 10.0)
    output = torch.zeros(1, 1, 51, requires_grad=True)
    optimizer = torch.optim.Adam([output], lr=0.3)
    rest = torch.zeros(1, 1, 51), torch.zeros(1, 1), torch.tensor([0]), torch.tensor([value]), torch.zeros(1)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(output, *rest).loss.sum().backward()
        optimizer.step()
    assert float(head.values(output).detach()) == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize("sizes", [(1, -1.0, 1.0, 0.75), (5, 1.0, -1.0, 0.75), (5, -1.0, 1.0, 0.0)], ids=str)
def test_sizes_out_of_range_are_refused(sizes: tuple[int, float, float, float]) -> None:
    with pytest.raises(ConfigError):
        HLGaussHead(*sizes)
