"""The DQN family in one agent: its parts (double, dueling, noisy, categorical ...) are switches.

The agent owns two networks, an optimizer and two generators of its own (torch's for noise, NumPy's for
exploration); the global random state of either library is neither read nor moved.
Shapes: E environments, B batch, A actions, N atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mujigae.agents.agent import ActionValues, Agent, Update
from mujigae.agents.compiled import compiled
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.graphs import Graphed, record
from mujigae.agents.dqn.learner import (
    METRICS,
    Bootstrap,
    Learned,
    greedy_actions,
    weighted_loss,
)
from mujigae.agents.dqn.optimizers import make_optimizer, set_learning_rate, state_of
from mujigae.agents.dqn.return_heads import RETURN_HEADS
from mujigae.agents.dqn.spaces import check_spaces
from mujigae.agents.dqn.targets import TARGETS
from mujigae.agents.learning_rate import learning_rate_at
from mujigae.agents.tensors import check_same_tensors, under
from mujigae.config.run import AgentConfig, Run
from mujigae.envs.masks import MASK, OBS
from mujigae.exploration import EpsilonGreedy, explore
from mujigae.exploration.schedules import SCHEDULES
from mujigae.networks import QNetwork, TorsoOptions, build_network
from mujigae.networks.return_heads import Use
from mujigae.networks.targets import persistent_state, step_target
from mujigae.replay.device import checked_device
from mujigae.seeds import child_seed

if TYPE_CHECKING:
    from mujigae.replay.batch import Batch

__all__ = ["DQN"]


class DQN(Agent):
    """Acts and learns; raises ConfigError for spaces it cannot handle and a device that is not there."""

    config_class: ClassVar[type[AgentConfig]] = DQNConfig
    observation_spaces: ClassVar[tuple[str, ...]] = ("Box", "Dict")
    takes_action_masks: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = METRICS
    scalars_of_acting: ClassVar[tuple[str, ...]] = ("epsilon",)

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, DQNConfig)
        self.config, self.hardware = config, hardware = run.agent, run.hardware
        self.spaces = check_spaces(observation_space, action_space)
        self.device = checked_device(hardware.device)
        self._run, self._first_update_steps = run, run.replay.first_update_steps
        self.online = self._build()
        self.target = self._build()
        self.target.requires_grad_(False)
        self._parameters = list(self.online.parameters())
        self._states = persistent_state(self.online), persistent_state(self.target)
        step_target(*self._states, tau=1)
        self.optimizer = make_optimizer(
            config, self._parameters, self.device, is_recorded=hardware.cuda_graphs
        )
        self.num_updates_done = 0
        self.noise_rng = noise_generator(self.device).manual_seed(child_seed(run.seed, "noise"))
        self.explore_rng = np.random.Generator(np.random.PCG64(child_seed(run.seed, "exploration")))
        self.exploration = EpsilonGreedy(self.spaces.num_actions, self._epsilon_at)
        self._target_rule = TARGETS[config.target](config)
        functions: Sequence[Any] = (greedy_actions, self._target_rule.bootstrap, weighted_loss)
        functions = compiled(functions) if hardware.compile else functions
        self._greedy_actions, self._bootstrap, self._weighted_loss = functions
        self._bootstrap_target: Callable[..., Bootstrap] = self._bootstrap_target_of
        self._gradient_step: Callable[..., Learned] = self._gradient_step_on
        if hardware.cuda_graphs:
            self._bootstrap_target = Graphed(self._bootstrap_target_of, record)
            self._gradient_step = Graphed(self._gradient_step_on, record)

    def act(self, obs: Any, step: int) -> NDArray[np.int64]:
        """Actions int64 [E] for `obs` [E, *shape], or {"obs", "action_mask" [E, A]}; noisy layers draw anew, then epsilon explores."""
        obs, legal = _split(obs)
        self._redraw_noise(self.online)
        greedy = self._argmax(self._greedy_actions, obs, self._fractions("act", len(obs)), legal)
        return self.exploration.act(greedy, step, self.explore_rng, legal) + self._first_action

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> NDArray[np.int64]:
        """As `act`, with noise silent and `eval_epsilon`; moves no state of the agent."""
        obs, legal = _split(obs)
        with self._silent():
            greedy = self._argmax(greedy_actions, obs, None, legal)
        epsilon, num_actions = self.config.eval_epsilon, self.spaces.num_actions
        return explore(greedy, epsilon, num_actions, rng, legal) + self._first_action

    def scalars(self) -> dict[str, float | None]:
        """epsilon, the step size, and the mean |sigma| of noisy layers."""
        rate = learning_rate_at(self._run, self.num_updates_done)
        noise_scale = self.online.noise_scale()
        return {**self.exploration.scalars(), "learning_rate": rate, "noise_scale": noise_scale}

    def explain(self, obs: Any) -> ActionValues:
        """Values, and return distributions if it has them, of every action at `obs`, illegal ones too, noise silent."""
        with self._silent(), torch.no_grad(), self._autocast():
            output = self.online(self._tensor(_split(obs)[0]))
        distribution = self.online.return_head.distribution(output) or ()
        return ActionValues(*(part.cpu().numpy() for part in (self.online.q_values(output), *distribution)))

    def learn(self, batch: Batch) -> Update:
        """One gradient step on `batch` (tensors on the agent's device), and the target's when it is due."""
        (obs, legal), (next_obs, next_legal) = _split(batch.obs), _split(batch.next_obs)
        obs, next_obs = self._image(obs), self._image(next_obs)
        action = batch.action.long() - self._first_action
        self._redraw_noise(self.target, self.online)  # of the target, and of the selection (double)
        num_rows = len(action)
        target = self._bootstrap_target(
            *(next_obs, next_legal, batch.reward, batch.discount),
            *(self._fractions("target", num_rows), self._fractions("act", num_rows)),
            *self._target_rule.now(obs, legal, action),
        )
        self._redraw_noise(self.online)  # of the loss
        set_learning_rate(self.optimizer, learning_rate_at(self._run, self.num_updates_done))
        fractions = self._fractions("learn", num_rows)
        learned = self._gradient_step(obs, action, batch.discount, batch.weight, fractions, *target)
        self.num_updates_done += 1
        if self.num_updates_done % self.config.target_update_period_updates == 0:
            step_target(*self._states, tau=self.config.tau)
        return Update(learned.priorities, dict(zip(METRICS, learned.metrics.unbind(), strict=True)))

    def priorities(self, batch: Batch) -> Tensor:
        """[B], of the errors that `learn` would see now, noise silent."""
        (obs, legal), (next_obs, next_legal) = _split(batch.obs), _split(batch.next_obs)
        obs, next_obs = self._image(obs), self._image(next_obs)
        action, num_rows = batch.action.long() - self._first_action, len(batch.action)
        draws = self._fractions("target", num_rows), self._fractions("act", num_rows)
        rest = batch.discount, batch.weight, self._fractions("learn", num_rows)
        with self._silent(), torch.no_grad(), self._autocast():
            now = self._target_rule.now(obs, legal, action)
            given = next_obs, next_legal, batch.reward, batch.discount, *draws, *now
            target = self._target_rule.bootstrap(self.online, self.target, *given)
            learned = weighted_loss(self.online, obs, action, *rest, target)
        errors: Tensor = learned.priorities
        return errors

    def policy(self) -> dict[str, Tensor]:
        """The online network."""
        return {name: value.detach().cpu().contiguous() for name, value in self.online.state_dict().items()}

    def take_policy(self, tensors: Mapping[str, Tensor]) -> None:
        """Both networks become the one of `tensors`."""
        self.online.load_state_dict(tensors)
        step_target(*self._states, tau=1)

    def explore_by(self, epsilons: NDArray[np.float64]) -> None:
        """Before the first update all actions are random; noisy networks without noisy_epsilon explore by their noise."""
        if self.config.noisy and not self.config.noisy_epsilon:
            return
        first = self._first_update_steps
        self.exploration.epsilon_at = lambda step: np.ones_like(epsilons) if step < first else epsilons

    def _bootstrap_target_of(self, *batch: Tensor | None) -> Bootstrap:
        """The part of an update without gradients."""
        with self._autocast():
            out: Bootstrap = self._bootstrap(self.online, self.target, *batch)
        return out

    def _gradient_step_on(self, *batch: Any) -> Learned:
        """The other part, on obs, action, discount, weight, fractions and the fields of a Bootstrap: the optimizer's step too."""
        # A second context: autocast would hand on bfloat16 weights that it cast without gradients.
        with self._autocast():
            learned: Learned = self._weighted_loss(self.online, *batch[:5], Bootstrap(*batch[5:]))
        self.optimizer.zero_grad(set_to_none=True)
        learned.metrics[0].backward()  # type: ignore[no-untyped-call]
        if self.config.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm)
        self.optimizer.step()
        return learned._replace(metrics=learned.metrics.detach())

    def _epsilon_at(self, step: int) -> float:
        """The share of random actions at `step`: 1 until the first update, where its schedule begins (Mnih et al. 2015).

        Noisy networks explore by their weights from there on, and by epsilon too only if `noisy_epsilon` says so.
        """
        config, since = self.config, step - self._first_update_steps
        if since < 0:
            return 1.0
        is_over = config.epsilon_last_steps is not None and step >= config.epsilon_last_steps
        if is_over or (config.noisy and not config.noisy_epsilon):
            return 0.0
        schedule, falling = SCHEDULES[config.epsilon_schedule], max(since - config.epsilon_hold_steps, 0)
        return schedule(config.epsilon_start, config.epsilon_end, config.epsilon_steps, falling)

    def _redraw_noise(self, *networks: QNetwork) -> None:
        """Each draw is of its own (Fortunato et al. 2018, section 3; Hessel et al. 2018)."""
        if self.config.noisy:
            for network in networks:
                network.resample_noise(self.noise_rng)

    def tensors(self) -> dict[str, Tensor]:
        """Everything but `state()` that a checkpoint needs: networks, the optimizer's state, the noise generator."""
        named = dict(self.online.named_parameters())
        tensors = {f"online.{name}": value for name, value in self.online.state_dict().items()}
        tensors |= {f"target.{name}": value for name, value in self.target.state_dict().items()}
        for name, parameter in named.items():
            for key, value in state_of(self.optimizer, parameter).items():
                tensors[f"{self.config.optimizer}.{key}.{name}"] = value
        tensors["noise_rng"] = self.noise_rng.get_state()
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    def state(self) -> dict[str, Any]:
        """The rest of the agent's state, as JSON values."""
        return {
            "num_updates_done": self.num_updates_done,
            "explore_rng": self.explore_rng.bit_generator.state,
        }

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Takes `tensors()` and `state()` back; ValueError (nothing changed) if they fit another network.

        The state of a generator of another kind of device means nothing here: noise then begins anew.
        """
        own, noise = self.tensors(), tensors.get("noise_rng")
        is_elsewhere = noise is not None and noise.shape != own["noise_rng"].shape
        check_same_tensors({**tensors, "noise_rng": own["noise_rng"]} if is_elsewhere else tensors, own)
        self.online.load_state_dict(under(tensors, "online."))
        self.target.load_state_dict(under(tensors, "target."))
        for name, parameter in self.online.named_parameters():
            for key, value in state_of(self.optimizer, parameter).items():
                value.copy_(tensors[f"{self.config.optimizer}.{key}.{name}"])
        self.num_updates_done = int(state["num_updates_done"])
        if is_elsewhere:
            self.noise_rng.manual_seed(child_seed(self._run.seed, "noise", self.num_updates_done))
        else:
            self.noise_rng.set_state(tensors["noise_rng"])
        self.explore_rng.bit_generator.state = state["explore_rng"]

    def _build(self) -> QNetwork:
        """A network of the configured parts; both networks start from the seed's weights."""
        config, spaces = self.config, self.spaces
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(self._run.seed, "networks"))
            network = build_network(
                observation_shape=spaces.observation_shape,
                observation_dtype=spaces.observation_dtype,
                num_actions=spaces.num_actions,
                pixel_bounds=spaces.pixel_bounds,
                torso=config.torso,
                hidden_sizes=config.hidden_sizes,
                torso_options=TorsoOptions(
                    config.batch_norm, config.spectral_norm, config.torso_width, config.pool_size
                ),
                hidden_size=config.head_size,
                dueling=config.dueling,
                noisy=config.noisy,
                noisy_sigma=config.noisy_sigma,
                make_return_head=partial(RETURN_HEADS[config.loss], config),
            )
        network = network.to(self.device)
        if self.hardware.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def _argmax(
        self, greedy: Any, obs: NDArray[Any], fractions: Tensor | None, legal: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """`greedy_actions`, plain or compiled, of `obs`."""
        mask = None if legal is None else torch.from_numpy(legal).to(self.device)
        with self._autocast():
            actions: NDArray[np.int64] = (
                greedy(self.online, self._tensor(obs), fractions, mask).cpu().numpy()
            )  # [E]
        return actions

    def _fractions(self, use: Use, num_rows: int) -> Tensor | None:
        """What the return head wants drawn for so many rows."""
        return self.online.return_head.draw_fractions(use, num_rows, self.noise_rng)

    def _tensor(self, obs: NDArray[Any]) -> Tensor:
        return self._image(torch.from_numpy(np.ascontiguousarray(obs)).to(self.device))

    def _image(self, obs: Tensor) -> Tensor:
        is_image = obs.ndim == 4 and self.hardware.channels_last
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
        is_enabled = self.hardware.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_enabled):
            yield


def noise_generator(device: torch.device) -> torch.Generator:
    """On a CUDA device itself, where noise is drawn without a copy; a CPU's generator for every other."""
    return torch.Generator(device if device.type == "cuda" else "cpu")


def _split(obs: Any) -> tuple[Any, Any]:
    """An observation, and which actions are legal: bool [B, A], None where nothing is said of them; arrays or tensors."""
    return (obs[OBS], obs[MASK] != 0) if isinstance(obs, Mapping) else (obs, None)
