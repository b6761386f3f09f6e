"""How a buffer chooses rows: each class here is the description of a sampler of the compiled engine.

A sampler is a frozen dataclass with a `name` that the engine knows it by; its fields are what the engine is given. A new one
is a class here, a C++ class (cpp/include/mujigae/sampling/sampler.hpp), a line in the bindings and a twin in `reference/`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from mujigae.replay.arguments import as_bool, as_float

__all__ = ["SAMPLERS", "PrioritySampler", "Proportional", "RankBased", "Sampler", "Uniform"]


@dataclass(frozen=True)
class Sampler:
    """What all samplers have: a name, and settings of the types that they are declared with."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            convert = as_bool if field.type == "bool" else as_float
            object.__setattr__(self, field.name, convert(field.name, getattr(self, field.name)))

    def settings(self) -> dict[str, Any]:
        """The fields, as the engine takes them."""
        return asdict(self)


@dataclass(frozen=True)
class PrioritySampler(Sampler):
    """A sampler of rows that have priorities: alpha sharpens the draw, beta its correction by importance weights."""

    alpha: float
    beta: float


@dataclass(frozen=True)
class Uniform(Sampler):
    """Every row that can be drawn alike: P(i) = 1 / N, weight 1.

    Args:
        replacement: a row may come more than once in a batch. False: the rows of a batch are distinct, and `sample` raises
            ValueError when fewer can be drawn. P(i) is that of one draw in both cases.
    """

    name: ClassVar[str] = "uniform"

    replacement: bool = True


@dataclass(frozen=True)
class Proportional(PrioritySampler):
    """Rows in proportion to their priorities (Schaul et al. 2016, equation 1, section 3.3).

    P(i) = (1 - u) (p_i + eps)^alpha / sum + u / N with the uniform share u, weight_i = (N P(i))^-beta / max over the batch.
    A new row gets the largest priority ever given (1 at first). The raw p is stored, so alpha may change.

    Args:
        alpha: priority exponent, 0 for uniform; 0.6 is the paper's for proportional priorities.
        beta: importance-sampling exponent, 0 for none, 1 for full correction; the paper's grows from 0.4 to 1.
        eps: added to each priority, so that none is zero.
        stratified: draw the i-th of B rows from the i-th of B equal slices of the total, as in the paper.
        uniform_share: u, the share of draws that every row has alike, whatever its priority: the others are stratified.
        replacement: a row may come more than once in a batch. False: the rows of a batch are distinct, drawn one after
            another from what is left, and not `stratified`; P(i) is that of the first draw. `sample` raises ValueError when
            fewer rows can be drawn (of a row whose p + eps is 0 only with a uniform share).
    """

    name: ClassVar[str] = "proportional"

    alpha: float = 0.6
    beta: float = 0.4
    eps: float = 1e-6
    stratified: bool = True
    uniform_share: float = 0.0
    replacement: bool = True


@dataclass(frozen=True)
class RankBased(PrioritySampler):
    """Rows by the rank of their priorities (Schaul et al. 2016, section 3.3): outliers matter no more than their place.

    P(i) = rank(i)^-alpha / sum, weight_i = (N P(i))^-beta / max over the batch; rank 1 is the largest raw priority, equal
    ones by slot. A new row gets the largest priority ever given (1 at first). The i-th of B rows comes from the i-th of B
    equal slices of the total, as in the paper; ranks and slices are exact at every draw.

    Args:
        alpha: priority exponent, 0 for uniform; 0.7 is the paper's for rank-based priorities.
        beta: importance-sampling exponent, 0 for none, 1 for full correction; the paper's grows from 0.5 to 1.
    """

    name: ClassVar[str] = "rank_based"

    alpha: float = 0.7
    beta: float = 0.5


SAMPLERS: dict[str, type[Sampler]] = {cls.name: cls for cls in (Uniform, Proportional, RankBased)}
