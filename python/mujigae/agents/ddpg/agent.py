"""DDPG and TD3: a deterministic actor and its critics. Shapes: E environments, B batch, A numbers of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from mujigae.agents.agent import Update
from mujigae.agents.continuous.agent import target_of
from mujigae.agents.continuous.noisy import NoisyContinuousAgent
from mujigae.agents.ddpg.config import DDPGConfig
from mujigae.agents.ddpg.learner import actor_loss, deterministic_target
from mujigae.config.run import AgentConfig, Run
from mujigae.losses.continuous import clipped_double_q
from mujigae.networks.actors import Actor
from mujigae.networks.critics import Critics
from mujigae.networks.targets import step_target

if TYPE_CHECKING:
    from mujigae.replay.batch import Batch

__all__ = ["DDPG"]


class DDPG(NoisyContinuousAgent):
    """Acts and learns; raises ConfigError for spaces it cannot handle and a device that is not there."""

    config_class: ClassVar[type[AgentConfig]] = DDPGConfig

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, DDPGConfig)
        self.config = run.agent
        super().__init__(run, observation_space, action_space)
        self.actor, self.critics, self.target_actor, self.target_critics = (
            self.networks[name] for name in ("actor", "critics", "target_actor", "target_critics")
        )
        self._states = self.states("actor", "critics"), self.states("target_actor", "target_critics")
        self._step_critics, self._step_actor = self.gradient_step("critics"), self.gradient_step("actor")
        self._target, self._actor_loss = self.compiled(deterministic_target), self.compiled(actor_loss)

    def build_networks(self) -> dict[str, nn.Module]:
        config, num_numbers = self.config, self.bounds.num_numbers
        actor = Actor((self.observation_size,), num_numbers, config.hidden_sizes)
        critics = Critics(config.num_critics, self.observation_size, num_numbers, config.hidden_sizes)
        return {
            "actor": actor,
            "critics": critics,
            "target_actor": target_of(actor),
            "target_critics": target_of(critics),
        }

    def best(self, obs: Tensor, rng: torch.Generator) -> Tensor:
        action: Tensor = self.actor(obs)
        return action

    def value(self, obs: Tensor, action: Tensor) -> Tensor:
        return clipped_double_q(self.critics(obs, action))

    def learn(self, batch: Batch) -> Update:
        """One gradient step of the critics on `batch`; where it is due one of the actor, and a step of all targets."""
        config = self.config
        noise = self._target_noise(len(batch.reward))
        with self.autocast():
            target = self._target(
                *(self.target_actor, self.target_critics, batch.next_obs, noise, config.target_noise_clip),
                *(batch.reward, batch.discount),
            )
            action = self.bounds.to_networks(batch.action)
            loss, update = self.critic_update(self.critics, batch.obs, action, target, batch.weight)
        self._step_critics(loss)
        if (self.num_updates_done + 1) % config.policy_period_updates == 0:
            with self.autocast():
                loss = self._actor_loss(self.actor, self.critics, batch.obs)
            self._step_actor(loss)
            step_target(*self._states, tau=config.tau)
        self.num_updates_done += 1
        return update

    def _target_noise(self, num_rows: int) -> Tensor | None:
        if self.config.target_noise == 0:
            return None
        return self.config.target_noise * self.noise(num_rows, self.bounds.num_numbers)
