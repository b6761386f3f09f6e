"""The DQN family in one agent: its parts (double, dueling, noisy, categorical ...) are switches.

The agent owns two networks, an Adam optimizer and two generators of its own (torch's for noise, NumPy's for
exploration); the global random state of either library is neither read nor moved.
Shapes: E environments, B batch, A actions, N atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mujigae.agents.dqn.compiled import compiled
from mujigae.agents.dqn.graphs import Graphed, record
from mujigae.agents.dqn.learner import (
    Bootstrap,
    WeightedLoss,
    bootstrap,
    greedy_actions,
    persistent_state,
    step_target,
    weighted_loss,
)
from mujigae.agents.dqn.return_heads import RETURN_HEADS
from mujigae.agents.dqn.spaces import check_spaces
from mujigae.config.run import Config
from mujigae.networks import QNetwork, build_network
from mujigae.networks.return_heads import Use
from mujigae.replay.device import checked_device
from mujigae.seeds import child_seed

if TYPE_CHECKING:
    from mujigae.replay.batch import Batch

__all__ = ["DQN", "ActionValues", "Learned", "explore"]


class Learned(NamedTuple):
    """What one update found; tensors stay on the agent's device until someone reads them."""

    td: Tensor  # [B] new priorities, never weighted
    loss: Tensor  # []
    mean_q: Tensor  # []


class ActionValues(NamedTuple):
    """What the agent expects of every action, with its noise silent."""

    values: NDArray[np.float32]  # [E, A]
    returns: NDArray[np.float32] | None = None  # [E, A, N] of the return distributions; None without any
    probabilities: NDArray[np.float32] | None = None  # [E, A, N], of sum 1 over N


class DQN:
    """Acts and learns; raises ConfigError for spaces it cannot handle and a device that is not there."""

    def __init__(self, config: Config, observation_space: Any, action_space: Any) -> None:
        self.config = config
        self.spaces = check_spaces(observation_space, action_space)
        self.device = checked_device(config.device)
        self.online = self._build()
        self.target = self._build()
        self.target.requires_grad_(False)
        self._parameters = list(self.online.parameters())
        self._states = persistent_state(self.online), persistent_state(self.target)
        step_target(*self._states, tau=1)
        self.optimizer = torch.optim.Adam(
            self._parameters,
            lr=config.learning_rate,
            eps=config.adam_eps,
            fused=True,
            capturable=config.cuda_graphs,
        )
        self.num_updates_done = 0
        self.noise_rng = torch.Generator().manual_seed(child_seed(config.seed, "noise"))
        self.explore_rng = np.random.Generator(np.random.PCG64(child_seed(config.seed, "exploration")))
        functions: Sequence[Any] = (greedy_actions, bootstrap, weighted_loss)
        functions = compiled(functions) if config.compile else functions
        self._greedy_actions, self._bootstrap, self._weighted_loss = functions
        self._bootstrap_target: Callable[..., Bootstrap] = self._bootstrap_target_of
        self._gradient_step: Callable[..., WeightedLoss] = self._gradient_step_on
        if config.cuda_graphs:
            self._bootstrap_target = Graphed(self._bootstrap_target_of, record)
            self._gradient_step = Graphed(self._gradient_step_on, record)

    def act(self, obs: NDArray[Any], epsilon: float) -> NDArray[np.int64]:
        """Actions int64 [E] for `obs` [E, *shape]; noisy layers draw anew, then epsilon explores."""
        self._redraw_noise(self.online)
        greedy = self._argmax(self._greedy_actions, obs, self._fractions("act", len(obs)))
        return explore(greedy, epsilon, self.spaces.num_actions, self.explore_rng) + self._first_action

    def act_greedily(
        self, obs: NDArray[Any], epsilon: float = 0.0, rng: np.random.Generator | None = None
    ) -> NDArray[np.int64]:
        """As `act`, for evaluation: noise silent, exploration from `rng`; moves no state of the agent."""
        with self._silent():
            greedy = self._argmax(greedy_actions, obs)
        if epsilon > 0:
            greedy = explore(greedy, epsilon, self.spaces.num_actions, rng or np.random.default_rng())
        return greedy + self._first_action

    def explain(self, obs: NDArray[Any]) -> ActionValues:
        """Values, and return distributions if it has them, of every action at `obs` [E, *shape]."""
        with self._silent(), torch.no_grad(), self._autocast():
            output = self.online(self._tensor(obs))
        distribution = self.online.return_head.distribution(output) or ()
        return ActionValues(*(part.cpu().numpy() for part in (self.online.q_values(output), *distribution)))

    def learn(self, batch: Batch) -> Learned:
        """One gradient step on `batch` (tensors on the agent's device), and the target's when it is due."""
        obs, next_obs = self._image(batch.obs), self._image(batch.next_obs)
        action = (batch.action - self._first_action).long()
        self._redraw_noise(self.target, self.online)  # of the target, and of the selection (double)
        num_rows = len(action)
        target = self._bootstrap_target(
            next_obs, self._fractions("target", num_rows), self._fractions("act", num_rows)
        )
        self._redraw_noise(self.online)  # of the loss
        fractions = self._fractions("learn", num_rows)
        out = self._gradient_step(obs, action, batch.reward, batch.discount, batch.weight, fractions, *target)
        self.num_updates_done += 1
        if self.num_updates_done % self.config.target_update_period_updates == 0:
            step_target(*self._states, tau=self.config.tau)
        return Learned(out.priority, out.loss, out.mean_q)

    def _bootstrap_target_of(self, next_obs: Tensor, *fractions: Tensor | None) -> Bootstrap:
        """The part of an update without gradients."""
        with self._autocast():
            out: Bootstrap = self._bootstrap(
                self.online, self.target, next_obs, *fractions, double=self.config.double
            )
        return out

    def _gradient_step_on(self, *batch: Any) -> WeightedLoss:
        """The other part, on obs, action, reward, discount, weight, fractions and the fields of a Bootstrap: Adam's step too."""
        # A second context: autocast would hand on bfloat16 weights that it cast without gradients.
        with self._autocast():
            target = Bootstrap(*batch[6:])
            out: WeightedLoss = self._weighted_loss(self.online, *batch[:6], target)
        self.optimizer.zero_grad(set_to_none=True)
        out.loss.backward()  # type: ignore[no-untyped-call]
        if self.config.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm)
        self.optimizer.step()
        return out._replace(loss=out.loss.detach())

    def _redraw_noise(self, *networks: QNetwork) -> None:
        """Each draw is of its own (Fortunato et al. 2018, section 3; Hessel et al. 2018)."""
        if self.config.noisy:
            for network in networks:
                network.resample_noise(self.noise_rng)

    def tensors(self) -> dict[str, Tensor]:
        """Everything but `state()` that a checkpoint needs: networks, Adam's moments, the noise generator."""
        named = dict(self.online.named_parameters())
        tensors = {f"online.{name}": value for name, value in self.online.state_dict().items()}
        tensors |= {f"target.{name}": value for name, value in self.target.state_dict().items()}
        for name, parameter in named.items():
            for key, value in self._moments(parameter).items():
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
        _check_same_tensors(tensors, self.tensors())
        self.online.load_state_dict(_under(tensors, "online."))
        self.target.load_state_dict(_under(tensors, "target."))
        for name, parameter in self.online.named_parameters():
            for key, value in self._moments(parameter).items():
                value.copy_(tensors[f"adam.{key}.{name}"])
        self.noise_rng.set_state(tensors["noise_rng"])
        self.num_updates_done = int(state["num_updates_done"])
        self.explore_rng.bit_generator.state = state["explore_rng"]

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """Adam's state of one parameter; made as Adam makes it where no step has been taken yet."""
        moments: dict[str, Tensor] = self.optimizer.state[parameter]
        if not moments:
            moments["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            moments["exp_avg"] = torch.zeros_like(parameter)
            moments["exp_avg_sq"] = torch.zeros_like(parameter)
        return moments

    def _build(self) -> QNetwork:
        """A network of the configured parts; both networks start from the seed's weights."""
        config, spaces = self.config, self.spaces
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(config.seed, "networks"))
            network = build_network(
                observation_shape=spaces.observation_shape,
                observation_dtype=spaces.observation_dtype,
                num_actions=spaces.num_actions,
                torso=config.torso,
                hidden_sizes=config.hidden_sizes,
                hidden_size=config.head_size,
                dueling=config.dueling,
                noisy=config.noisy,
                noisy_sigma=config.noisy_sigma,
                make_return_head=partial(RETURN_HEADS[config.loss], config),
            )
        network = network.to(self.device)
        if config.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def _argmax(self, greedy: Any, obs: NDArray[Any], fractions: Tensor | None = None) -> NDArray[np.int64]:
        """`greedy_actions`, plain or compiled, of `obs`."""
        with self._autocast():
            actions: NDArray[np.int64] = (
                greedy(self.online, self._tensor(obs), fractions).cpu().numpy()
            )  # [E]
        return actions

    def _fractions(self, use: Use, num_rows: int) -> Tensor | None:
        """What the return head wants drawn for so many rows."""
        return self.online.return_head.draw_fractions(use, num_rows, self.noise_rng)

    def _tensor(self, obs: NDArray[Any]) -> Tensor:
        return self._image(torch.from_numpy(np.ascontiguousarray(obs)).to(self.device))

    def _image(self, obs: Tensor) -> Tensor:
        is_image = obs.ndim == 4 and self.config.channels_last
        return obs.contiguous(memory_format=torch.channels_last) if is_image else obs

    @property
    def _first_action(self) -> int:
        return self.spaces.first_action

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Noisy layers act by their means."""
        self.online.eval()
        try:
            yield
        finally:
            self.online.train()

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        is_enabled = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_enabled):
            yield


def explore(
    greedy: NDArray[np.int64], epsilon: float, num_actions: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Each of `greedy` [E] replaced, with probability epsilon, by a uniformly random action."""
    if epsilon == 0:
        return greedy
    is_random = rng.random(len(greedy)) < epsilon
    return np.where(is_random, rng.integers(num_actions, size=len(greedy)), greedy)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _check_same_tensors(got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name in sorted(got.keys() ^ expected.keys()):
        raise ValueError(f"tensor {name} is {'missing' if name in expected else 'unknown'}")
    for name, tensor in expected.items():
        if (got[name].shape, got[name].dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(
                f"tensor {name}: expected {tensor.dtype} {list(tensor.shape)}, "
                f"got {got[name].dtype} {list(got[name].shape)}"
            )
