"""What agents with continuous actions have in common: bounds, generators, exploration, checkpoints.

Networks know actions in [-1, 1]; environment and replay have those of the Box. Until the first update actions are drawn
uniformly. The global random state of torch and NumPy is neither read nor moved.
Shapes: E environments, B batch, A numbers of an action.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mujigae.agents.agent import ActionValues, Agent, Update
from mujigae.agents.compiled import compiled
from mujigae.agents.continuous.config import ContinuousConfig
from mujigae.agents.continuous.learner import GradientStep, critic_update
from mujigae.agents.continuous.spaces import ActionBounds, observation_size
from mujigae.agents.learning_rate import learning_rate_at
from mujigae.agents.tensors import check_same_tensors, under
from mujigae.config.run import Run
from mujigae.errors import MujigaeError
from mujigae.networks.targets import persistent_state
from mujigae.replay.device import checked_device
from mujigae.seeds import child_seed

__all__ = ["ContinuousAgent", "target_of"]

F = TypeVar("F")


class ContinuousAgent(Agent):
    """Base of agents that write `build_networks`, `best`, `explore`, `value` and `learn`.

    Raises ConfigError for spaces it cannot handle and a device that is not there.
    """

    action_spaces: ClassVar[tuple[str, ...]] = ("Box",)
    metrics: ClassVar[tuple[str, ...]] = ("loss", "mean_q")

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, ContinuousConfig)
        name = type(self).__name__
        self.hardware = run.hardware
        self.device = checked_device(run.hardware.device)
        self.bounds = ActionBounds(name, action_space, self.device)
        self.observation_size = observation_size(name, observation_space)
        self._run, self._shared, self._first_update_steps = run, run.agent, run.replay.first_update_steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(run.seed, "networks"))
            self.networks = nn.ModuleDict(self.build_networks()).to(self.device)
        self._gradient_steps: list[GradientStep] = []
        self.critic_update: Callable[..., tuple[Tensor, Update]] = self.compiled(critic_update)
        self.num_updates_done = 0
        self.noise_rng = torch.Generator().manual_seed(child_seed(run.seed, "noise"))
        self.explore_rng = np.random.Generator(np.random.PCG64(child_seed(run.seed, "exploration")))

    def build_networks(self) -> dict[str, nn.Module]:
        """Every network by its name, initialised from torch's global generator; a checkpoint has them all."""
        raise NotImplementedError

    def best(self, obs: Tensor, rng: torch.Generator) -> Tensor:
        """The best actions [E, A] at `obs` [E, ...]; an agent that draws samples to find them draws from `rng`."""
        raise NotImplementedError

    def explore(self, obs: Tensor, step: int) -> NDArray[Any]:
        """Actions [E, A] that explore."""
        raise NotImplementedError

    def value(self, obs: Tensor, action: Tensor) -> Tensor:
        """What `action` [E, A] is worth at `obs` [E, ...]: [E]."""
        raise NotImplementedError

    @torch.no_grad()
    def act(self, obs: NDArray[Any], step: int) -> NDArray[Any]:
        """Actions [E, *shape] within the bounds of the Box, uniformly random until the first update.

        Raises MujigaeError where the networks give none, as those of a training that diverged.
        """
        if step < self._first_update_steps:
            action = self.explore_rng.uniform(-1.0, 1.0, (len(obs), self.bounds.num_numbers))
        else:
            action = self.explore(self.tensor(obs), step)
        return self._to_environment(action)

    @torch.no_grad()
    def act_for_evaluation(self, obs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """The best actions [E, *shape]; without noise."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return self._to_environment(self.best(self.tensor(obs), generator).cpu().numpy())

    def _to_environment(self, action: NDArray[Any]) -> NDArray[Any]:
        if not np.isfinite(action).all():
            advice = f"try a learning_rate below {self._shared.learning_rate:g}"
            raise MujigaeError(f"training diverged: the networks give no finite action; {advice}")
        return self.bounds.to_environment(action)

    @torch.no_grad()
    def explain(self, obs: NDArray[Any]) -> ActionValues:
        """The value of the best action at `obs`: one column."""
        tensor = self.tensor(obs)
        value = self.value(tensor, self.best(tensor, torch.Generator().manual_seed(0)))
        return ActionValues(value.cpu().numpy()[:, None])

    def scalars(self) -> dict[str, float | None]:
        """The step size."""
        return {"learning_rate": self.learning_rate()}

    def tensors(self) -> dict[str, Tensor]:
        """Networks, Adam's moments, the noise generator."""
        tensors = {f"networks.{name}": value for name, value in self.networks.state_dict().items()}
        for name, key, value in self._moments():
            tensors[f"adam.{key}.{name}"] = value
        tensors["noise_rng"] = self.noise_rng.get_state()
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    def state(self) -> dict[str, Any]:
        """The rest of the agent's state, as JSON values."""
        return {
            "num_updates_done": self.num_updates_done,
            "explore_rng": self.explore_rng.bit_generator.state,
        }

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Takes `tensors()` and `state()` back; ValueError (nothing changed) if they fit another network."""
        check_same_tensors(tensors, self.tensors())
        self.networks.load_state_dict(under(tensors, "networks."))
        for name, key, value in self._moments():
            value.copy_(tensors[f"adam.{key}.{name}"])
        self.noise_rng.set_state(tensors["noise_rng"])
        self.num_updates_done = int(state["num_updates_done"])
        self.explore_rng.bit_generator.state = state["explore_rng"]

    def gradient_step(self, *names: str) -> GradientStep:
        """A step on the parameters of these networks, with the configured rates; its moments are saved with the agent."""
        config = self._shared
        parameters = [parameter for name in names for parameter in self.networks[name].parameters()]
        step = GradientStep(
            parameters, self.learning_rate, adam_eps=config.adam_eps, max_grad_norm=config.max_grad_norm
        )
        self._gradient_steps.append(step)
        return step

    def learning_rate(self) -> float:
        """The step size of the next update."""
        return learning_rate_at(self._run, self.num_updates_done)

    def compiled(self, function: F) -> F:
        """A function of tensors as the run wants it: compiled or plain."""
        made: F = compiled([function])[0] if self.hardware.compile else function
        return made

    def states(self, *names: str) -> list[Tensor]:
        """What a target of these networks follows, or is made of (see `networks.targets`)."""
        return [value for name in names for value in persistent_state(self.networks[name])]

    def noise(self, *shape: int) -> Tensor:
        """Standard Gaussian numbers from the agent's own generator; drawn on the CPU, so that every device has the same."""
        return torch.randn(shape, generator=self.noise_rng).to(self.device)

    def tensor(self, obs: NDArray[Any]) -> Tensor:
        """Observations as they come from the environment, on the agent's device."""
        return torch.from_numpy(np.ascontiguousarray(obs)).to(self.device)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """bfloat16 where the run's precision is."""
        if self.hardware.precision != "bfloat16":
            yield
            return
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            yield

    def _moments(self) -> Iterator[tuple[str, str, Tensor]]:
        """Adam's state: the parameter's name, the key, the tensor."""
        states = {
            parameter: state for step in self._gradient_steps for parameter, state in step.adam.state.items()
        }
        for name, parameter in self.networks.named_parameters():
            for key, value in states.get(parameter, {}).items():
                yield name, key, value


def target_of(network: nn.Module) -> nn.Module:
    """A copy that follows `network` and learns nothing itself."""
    return copy.deepcopy(network).requires_grad_(False)
