"""power: close to exact arithmetic, and exact where it has to be."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from mujigae import _core


def exact_power(base: float, exponent: float) -> float:
    getcontext().prec = 60
    return float((Decimal(base).ln() * Decimal(exponent)).exp())


@pytest.mark.parametrize("exponent", [0.2, 0.4, 0.5, 0.6, 0.9, 1.5, 2.0, -0.4, -1.0])
def test_power_is_within_two_units_in_the_last_place(exponent: float) -> None:
    rng = np.random.default_rng(1)
    bases = np.concatenate(
        [rng.lognormal(0.0, 3.0, 40), rng.lognormal(0.0, 60.0, 20), 1.0 + rng.normal(0, 1e-9, 10)]
    )
    for base, got in zip(bases, _core.power(bases, exponent), strict=True):
        expected = exact_power(float(base), exponent)
        assert abs(got - expected) <= 2.0 * math.ulp(expected)


def test_special_cases_are_exact() -> None:
    x = np.array([0.0, 5e-324, 0.3, 1.0, 7.0, 1e308])
    assert np.array_equal(_core.power(x, 1.0), x)
    assert np.array_equal(_core.power(x, 0.0), np.ones(6))
    assert _core.power(0.0, 0.5) == 0.0
    assert _core.power(0.0, -0.5) == math.inf
    assert _core.power(1e308, 2.0) == math.inf
    assert _core.power(1e-308, 2.0) == 0.0


def test_powers_grow_with_the_base() -> None:
    base = np.geomspace(1e-6, 1e3, 20_000)
    assert np.all(np.diff(_core.power(base, 0.6)) >= 0.0)


def test_a_power_does_not_depend_on_its_place_in_the_array() -> None:
    base = np.random.default_rng(2).lognormal(0.0, 30.0, 1003)
    together = _core.power(base, 0.6)
    assert np.array_equal(together, [_core.power(x, 0.6) for x in base])
    assert np.array_equal(together[3:], _core.power(base[3:], 0.6))
