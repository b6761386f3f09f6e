"""CEM: Q-learning with a critic alone, whose best action is searched for. Shapes: E environments, B batch, N samples, A numbers
of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from mujigae.agents.agent import Update
from mujigae.agents.cem.config import CEMConfig
from mujigae.agents.cem.maximise import Maximum, cross_entropy_maximum
from mujigae.agents.continuous.agent import target_of
from mujigae.agents.continuous.noisy import NoisyContinuousAgent
from mujigae.config.run import AgentConfig, Run
from mujigae.losses.continuous import bootstrap_target, clipped_double_q
from mujigae.networks.critics import Critics
from mujigae.networks.targets import step_target

if TYPE_CHECKING:
    from mujigae.replay.batch import Batch

__all__ = ["CEM"]


class CEM(NoisyContinuousAgent):
    """Acts and learns; raises ConfigError for spaces it cannot handle and a device that is not there."""

    config_class: ClassVar[type[AgentConfig]] = CEMConfig

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, CEMConfig)
        self.config = run.agent
        super().__init__(run, observation_space, action_space)
        self.critics, self.target_critics = self.networks["critics"], self.networks["target_critics"]
        self._states = self.states("critics"), self.states("target_critics")
        self._step = self.gradient_step("critics")
        self._values_of_samples = self.compiled(values_of_samples)

    def build_networks(self) -> dict[str, nn.Module]:
        config = self.config
        critics = Critics(
            config.num_critics, self.observation_size, self.bounds.num_numbers, config.hidden_sizes
        )
        return {"critics": critics, "target_critics": target_of(critics)}

    def best(self, obs: Tensor, rng: torch.Generator) -> Tensor:
        return self._maximum(values_of_samples, self.critics, obs, rng).action

    def value(self, obs: Tensor, action: Tensor) -> Tensor:
        return clipped_double_q(self.critics(obs, action))

    def learn(self, batch: Batch) -> Update:
        """One gradient step of the critics on `batch`, and a step of their targets."""
        with self.autocast():
            next_value = self._maximum(
                self._values_of_samples, self.target_critics, batch.next_obs, self.noise_rng
            ).value
            target = bootstrap_target(next_value, batch.reward, batch.discount)
            action = self.bounds.to_networks(batch.action)
            loss, update = self.critic_update(self.critics, batch.obs, action, target, batch.weight)
        self._step(loss)
        step_target(*self._states, tau=self.config.tau)
        self.num_updates_done += 1
        return update

    def _maximum(self, values_of: Any, critics: nn.Module, obs: Tensor, rng: torch.Generator) -> Maximum:
        """The best of the actions that `values_of`, plain or compiled, values at `obs`."""
        config = self.config
        shape = len(obs), config.num_samples, self.bounds.num_numbers
        draws = torch.randn(config.num_iterations, *shape, generator=rng)
        draws[0].uniform_(-1.0, 1.0, generator=rng)
        return cross_entropy_maximum(
            lambda actions: values_of(critics, obs, actions), draws.to(self.device), config.num_elites
        )


def values_of_samples(critics: Any, obs: Tensor, actions: Tensor) -> Tensor:
    """The least critic's values [B, N] of N actions [B, N, A] at each of B observations."""
    num_rows, num_samples, _ = actions.shape
    repeated = obs.flatten(1).repeat_interleave(num_samples, dim=0)
    return clipped_double_q(critics(repeated, actions.flatten(0, 1))).reshape(num_rows, num_samples)
