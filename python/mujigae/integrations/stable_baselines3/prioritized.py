"""What every prioritized agent of Stable-Baselines3's family shares: the buffer, beta, the loop over updates.

    class PrioritizedDQN(Prioritized, DQN): ...

An agent adds one method, `_update`: its library's own update, with each row's loss times the row's weight.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from mujigae.integrations.stable_baselines3.replay import PrioritizedReplayBuffer, PrioritizedSamples

__all__ = ["Prioritized", "UpdateResult", "optimizer_step"]


class UpdateResult(NamedTuple):
    """What one update says of its batch."""

    priorities: th.Tensor  #: [B], >= 0, neither weighted nor clipped
    metrics: dict[str, float]  #: logged as train/<name>, averaged over the updates of a call of `train`


class Prioritized(OffPolicyAlgorithm):
    """Prioritized replay (Schaul et al. 2016, proportional variant) for an off-policy algorithm; comes before it among the bases.

    Args: as the algorithm, and
        alpha: priority exponent; 0.6 in the paper.
        beta: importance-sampling exponent at the start; 0.4 in the paper.
        final_beta: the same at the end, approached linearly over the `total_timesteps` of `learn`; 1 in the paper.

    `n_steps` is the algorithm's argument and does reach this buffer, as `gamma` does; `replay_buffer_kwargs` goes to
    `PrioritizedReplayBuffer` (frame_stack, eps, stratified, ...). Saved and loaded as every model of SB3.

    Raises ValueError for a beta or final_beta outside of [0, 1], TypeError for a replay_buffer_class without priorities.
    """

    def __init__(
        self,
        policy: Any,
        env: Any,
        *args: Any,
        alpha: float = 0.6,
        beta: float = 0.4,
        final_beta: float = 1.0,
        **kwargs: Any,
    ) -> None:
        for name, value in (("beta", beta), ("final_beta", final_beta)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
        self.alpha, self.beta, self.final_beta = alpha, beta, final_beta
        super().__init__(policy, env, *args, **kwargs)

    def _setup_model(self) -> None:
        self.replay_buffer_class = self.replay_buffer_class or PrioritizedReplayBuffer
        if not issubclass(self.replay_buffer_class, PrioritizedReplayBuffer):
            raise TypeError(
                f"replay_buffer_class: expected a PrioritizedReplayBuffer, got {self.replay_buffer_class.__name__}"
            )
        settings = {"alpha": self.alpha, "n_steps": self.n_steps, "gamma": self.gamma}
        given = self.replay_buffer_kwargs
        self.replay_buffer_kwargs = settings | given
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`n_steps=")  # it does reach this buffer: see above
            super()._setup_model()
        self.replay_buffer_kwargs = (
            given  # so that a model that is loaded with another gamma has it in its buffer too
        )

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Draws `gradient_steps` batches; each is one update of the networks and of its rows' priorities.

        Does nothing while no window of n_steps is complete.
        """
        buffer = self.replay_buffer
        assert isinstance(buffer, PrioritizedReplayBuffer)
        if len(buffer.replay) == 0:
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self._optimizers())
        beta = self.final_beta + (self.beta - self.final_beta) * self._current_progress_remaining
        logged: dict[str, list[float]] = defaultdict(list)
        for step in range(gradient_steps):
            self._n_updates += 1
            batch = buffer.sample(batch_size, self._vec_normalize_env, beta)
            result = self._update(batch, step)
            buffer.update_priorities(batch.keys, result.priorities)
            for name, value in result.metrics.items():
                logged[name].append(value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/beta", beta)
        for name, values in logged.items():
            self.logger.record(f"train/{name}", np.mean(values))

    @abstractmethod
    def _update(self, batch: PrioritizedSamples, step: int) -> UpdateResult:
        """One update; `step` counts those of this call of `train` from 0."""

    def _optimizers(self) -> list[th.optim.Optimizer]:
        """Those whose learning rate follows the schedule."""
        return [self.policy.optimizer]

    def _target(self, batch: PrioritizedSamples, next_values: th.Tensor) -> th.Tensor:
        """What the values [B, ...] of the next observations bootstrap to, [B, ...]."""
        return batch.rewards + self._discount(batch) * next_values

    def _discount(self, batch: PrioritizedSamples) -> th.Tensor:
        """[B, 1]: gamma^m for a window of m steps, 0 where terminated."""
        return (1 - batch.dones) * (self.gamma if batch.discounts is None else batch.discounts)


def optimizer_step(
    optimizer: th.optim.Optimizer, loss: th.Tensor, max_grad_norm: float | None = None
) -> float:
    """Steps down the gradient of the loss, its norm clipped if wanted; returns the loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if max_grad_norm is not None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        th.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimizer.step()
    return loss.item()
