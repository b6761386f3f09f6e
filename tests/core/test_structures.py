"""Arrays in dicts and tuples."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

from mujigae.structures import map_arrays

Pair = namedtuple("Pair", "left right")


def test_one_array_is_a_structure_by_itself() -> None:
    assert map_arrays(np.sum, np.arange(4)) == 6


def test_arrays_of_structures_that_are_built_alike_are_taken_together() -> None:
    first = {"image": np.ones(2), "place": (np.zeros(1), Pair(1, 2))}
    second = {"place": (np.ones(1), Pair(10, 20)), "image": np.full(2, 3.0)}
    result = map_arrays(np.add, first, second)
    assert list(result) == ["image", "place"]
    assert result["image"].tolist() == [4.0, 4.0]
    assert result["place"][0].tolist() == [1.0]
    assert isinstance(result["place"][1], Pair)
    assert result["place"][1] == (11, 22)


def test_a_list_is_an_array() -> None:
    assert map_arrays(np.array, [1, 2]).tolist() == [1, 2]


def test_structures_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        map_arrays(np.add, (1, 2), (1,))
