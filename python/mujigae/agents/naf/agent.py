"""NAF: normalised advantage functions. Shapes: E environments, B batch, A numbers of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from mujigae.agents.agent import Update
from mujigae.agents.continuous.agent import target_of
from mujigae.agents.continuous.noisy import NoisyContinuousAgent
from mujigae.agents.naf.config import NAFConfig
from mujigae.config.run import AgentConfig, Run
from mujigae.losses.continuous import bootstrap_target
from mujigae.networks.quadratic import QuadraticNetwork
from mujigae.networks.targets import step_target

if TYPE_CHECKING:
    from mujigae.replay.batch import Batch

__all__ = ["NAF"]


class NAF(NoisyContinuousAgent):
    """Acts and learns; raises ConfigError for spaces it cannot handle and a device that is not there."""

    config_class: ClassVar[type[AgentConfig]] = NAFConfig

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, NAFConfig)
        self.config = run.agent
        super().__init__(run, observation_space, action_space)
        self.online: Any = self.networks["online"]
        self.target = self.networks["target"]
        self._states = self.states("online"), self.states("target")
        self._step = self.gradient_step("online")
        self._target = self.compiled(quadratic_target)

    def build_networks(self) -> dict[str, nn.Module]:
        sizes = self.config.hidden_sizes
        online = QuadraticNetwork((self.observation_size,), self.bounds.num_numbers, sizes)
        return {"online": online, "target": target_of(online)}

    def best(self, obs: Tensor, rng: torch.Generator) -> Tensor:
        action: Tensor = self.online(obs).best
        return action

    def value(self, obs: Tensor, action: Tensor) -> Tensor:
        value: Tensor = self.online(obs).at(action)
        return value

    def learn(self, batch: Batch) -> Update:
        """One gradient step on `batch`, and a step of the target."""
        with self.autocast():
            target = self._target(self.target, batch.next_obs, batch.reward, batch.discount)
            action = self.bounds.to_networks(batch.action)
            loss, update = self.critic_update(self.online.values, batch.obs, action, target, batch.weight)
        self._step(loss)
        step_target(*self._states, tau=self.config.tau)
        self.num_updates_done += 1
        return update


@torch.no_grad()
def quadratic_target(target: Any, next_obs: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
    """r + discount * V(s') of the target network, [B]: the maximum over actions is an output (Gu et al. 2016, algorithm 1)."""
    return bootstrap_target(target(next_obs).value, reward, discount)
