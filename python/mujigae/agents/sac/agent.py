"""SAC: a soft actor-critic with a learned temperature. Shapes: E environments, B batch, A numbers of an action."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mujigae.agents.agent import Update
from mujigae.agents.continuous.agent import ContinuousAgent, target_of
from mujigae.agents.sac.config import SACConfig
from mujigae.agents.sac.learner import actor_loss, soft_target
from mujigae.config.run import AgentConfig, Run
from mujigae.losses.continuous import clipped_double_q
from mujigae.networks.actors import GaussianActor, squashed
from mujigae.networks.critics import Critics
from mujigae.networks.targets import step_target

if TYPE_CHECKING:
    from mujigae.replay.batch import Batch

__all__ = ["SAC"]


class LogTemperature(nn.Module):
    """The one number that is learned for the entropy's weight; its logarithm, so that it stays positive."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(math.log(temperature)))


class SAC(ContinuousAgent):
    """Acts and learns; raises ConfigError for spaces it cannot handle and a device that is not there."""

    config_class: ClassVar[type[AgentConfig]] = SACConfig
    metrics: ClassVar[tuple[str, ...]] = ("loss", "mean_q", "entropy")

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, SACConfig)
        self.config = config = run.agent
        super().__init__(run, observation_space, action_space)
        self.actor, self.critics, self.target_critics = (
            self.networks[name] for name in ("actor", "critics", "target_critics")
        )
        self.log_temperature: Any = self.networks["log_temperature"].value
        self._states = self.states("critics"), self.states("target_critics")
        self._step_critics = self.gradient_step("critics")
        learned = ("actor", "log_temperature") if config.learn_temperature else ("actor",)
        self._step_actor = self.gradient_step(*learned)
        entropy = config.target_entropy
        self.target_entropy = -float(self.bounds.num_numbers) if entropy is None else entropy
        self._soft_target, self._actor_loss = self.compiled(soft_target), self.compiled(actor_loss)

    def build_networks(self) -> dict[str, nn.Module]:
        config, num_numbers = self.config, self.bounds.num_numbers
        critics = Critics(config.num_critics, self.observation_size, num_numbers, config.hidden_sizes)
        return {
            "actor": GaussianActor((self.observation_size,), num_numbers, config.hidden_sizes),
            "critics": critics,
            "target_critics": target_of(critics),
            "log_temperature": LogTemperature(config.temperature),
        }

    def best(self, obs: Tensor, rng: torch.Generator) -> Tensor:
        """The mean of the policy before it is squashed, squashed (Haarnoja et al. 2018, section 5)."""
        mean, _ = self.actor(obs)
        return torch.tanh(mean)

    def explore(self, obs: Tensor, step: int) -> NDArray[Any]:
        """Actions drawn from the policy."""
        mean, log_std = self.actor(obs)
        noise = torch.from_numpy(self.explore_rng.standard_normal(mean.shape, dtype="float32"))
        action: NDArray[Any] = squashed(mean, log_std, noise.to(self.device))[0].cpu().numpy()
        return action

    def value(self, obs: Tensor, action: Tensor) -> Tensor:
        return clipped_double_q(self.critics(obs, action))

    def scalars(self) -> dict[str, float | None]:
        """The step size, and the weight of the entropy."""
        return {**super().scalars(), "temperature": math.exp(self.log_temperature.item())}

    def learn(self, batch: Batch) -> Update:
        """One gradient step of the critics, the actor and the temperature on `batch`, and one of the target critics."""
        noise_shape = len(batch.reward), self.bounds.num_numbers
        with self.autocast():
            target = self._soft_target(
                *(self.actor, self.target_critics, self.log_temperature),
                *(batch.next_obs, self.noise(*noise_shape), batch.reward, batch.discount),
            )
            action = self.bounds.to_networks(batch.action)
            loss, update = self.critic_update(self.critics, batch.obs, action, target, batch.weight)
        self._step_critics(loss)
        with self.autocast():
            loss, entropy = self._actor_loss(
                *(self.actor, self.critics, self.log_temperature),
                *(batch.obs, self.noise(*noise_shape), self.target_entropy),
            )
        self._step_actor(loss)
        step_target(*self._states, tau=self.config.tau)
        self.num_updates_done += 1
        return Update(update.priorities, {**update.metrics, "entropy": entropy})
