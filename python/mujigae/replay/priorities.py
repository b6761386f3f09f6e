"""Priorities of a buffer's rows: setting them, and the exponents that they are drawn and weighed by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mujigae import _core
from mujigae.replay.arguments import as_float, as_reals, rows
from mujigae.replay.device import Placement
from mujigae.replay.samplers import PrioritySampler, Sampler
from mujigae.replay.spec import BufferSpec

__all__ = ["PriorityAccess"]


class PriorityAccess:
    """The part of a replay buffer that is about priorities; what needs them is refused where the sampler has none."""

    _core: _core.Buffer
    _spec: BufferSpec
    _placement: Placement

    def update_priorities(self, key: Any, priorities: Any) -> int:
        """Sets the priorities of rows by the keys of a batch; returns how many rows were still there.

        Args:
            key: [B] integers from `Batch.key`. A key whose row was overwritten is ignored and not counted; of duplicates
                the last wins, and each is counted.
            priorities: [B] real, finite, at least 0: the unweighted |TD error| or cross-entropy. Torch tensors too.

        Raises ValueError, TypeError or IndexError (a key that was never issued), and changes nothing then; TypeError where
        the sampler has no priorities.
        """
        if not isinstance(self._spec.sampler, PrioritySampler):
            raise TypeError(
                f"update_priorities: expected a sampler with priorities, got {self._spec.sampler!r}"
            )
        return int(self._core.update_priorities(key, self._placement.to_numpy(priorities)))

    def priorities(self, key: Any) -> Any:
        """[B] float64: the priorities of the rows of these keys, as they were given.

        Raises IndexError for a key whose row was overwritten or was never issued, and TypeError where the sampler has none.
        """
        if not isinstance(self._spec.sampler, PrioritySampler):
            raise TypeError(f"priorities: expected a sampler with priorities, got {self._spec.sampler!r}")
        return self._core.priorities(key)

    @property
    def sampler(self) -> Sampler:
        """How rows are chosen, with alpha and beta as they are now."""
        sampler = self._spec.sampler
        if not isinstance(sampler, PrioritySampler):
            return sampler
        return replace(sampler, alpha=self._core.alpha, beta=self._core.beta)

    @property
    def alpha(self) -> float:
        """Priority exponent; setting it rewrites every leaf from the raw priorities. AttributeError without priorities."""
        self._check_has_priorities("alpha")
        return float(self._core.alpha)

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        self._check_has_priorities("alpha")
        self._core.alpha = as_float("alpha", alpha)

    @property
    def beta(self) -> float:
        """Importance-sampling exponent of `sample(beta=None)`. AttributeError without priorities."""
        self._check_has_priorities("beta")
        return float(self._core.beta)

    @beta.setter
    def beta(self, beta: float) -> None:
        self._check_has_priorities("beta")
        self._core.beta = as_float("beta", beta)

    @property
    def max_priority(self) -> float:
        """The largest priority given since the start or `clear`, at least 1: what a new row gets. AttributeError without priorities."""
        self._check_has_priorities("max_priority")
        return float(self._core.max_priority)

    def _check_has_priorities(self, name: str) -> None:
        if not isinstance(self._spec.sampler, PrioritySampler):
            raise AttributeError(f"{name}: a buffer with sampler={self._spec.sampler!r} has none")

    def _priority_rows(self, priority: Any, lead: tuple[int, ...]) -> Any:
        if priority is None:
            return None
        if not isinstance(self._spec.sampler, PrioritySampler):
            raise TypeError(
                f"priority: expected None with {self._spec.sampler!r}, got {type(priority).__name__}"
            )
        return rows("priority", as_reals("priority", priority), lead, ())

    def _exponent(self, beta: float | None) -> float | None:
        has_weights = isinstance(self._spec.sampler, PrioritySampler)
        return as_float("beta", beta) if has_weights and beta is not None else None
