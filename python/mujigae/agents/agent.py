"""What the training loop, evaluation, logs, checkpoints and pictures know of an agent.

Shapes: E environments, B batch, A actions, N returns of a distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mujigae.config.run import AgentConfig, Run

__all__ = ["ActionValues", "Agent", "Update"]


class Update(NamedTuple):
    """What one update gave. Tensors stay on the agent's device until someone reads them."""

    priorities: Any = None  # [B] >= 0, unweighted, a tensor or an array; None: the rows keep theirs
    metrics: Mapping[str, Any] = {}  # one number for each of the agent's `metrics`; a tensor [] or a float


class ActionValues(NamedTuple):
    """What an agent expects of every action, for pictures."""

    values: NDArray[np.float32]  # [E, A], of continuous actions [E, 1]: that of the best
    returns: NDArray[np.float32] | None = None  # [E, A, N] of the return distributions; None without any
    probabilities: NDArray[np.float32] | None = None  # [E, A, N], of sum 1 over N


class Agent(Protocol):
    """Derive from it: `act`, `act_for_evaluation` and `learn` have to be written, the rest where there is need.

    The class attributes say what the loop has to provide; it builds the replay buffer accordingly.
    """

    config_class: ClassVar[type[AgentConfig]] = AgentConfig
    """The dataclass of the agent's own options."""
    view: ClassVar[Literal["windows", "sequences"]] = "windows"
    """What a batch is made of: `windows` are n-step transitions (`mujigae.Batch`), `sequences` are `sequence_length` rows in
    order behind `burn_in` others (`mujigae.SequenceBatch`), the two being attributes of the agent."""
    sequence_length: int = 1
    burn_in: int = 0
    samplers: ClassVar[tuple[str, ...]] = ("uniform", "proportional", "rank_based")
    """How rows may be drawn: all but `uniform` for agents whose updates give priorities, or that do not care."""
    observation_spaces: ClassVar[tuple[str, ...]] = ("Box",)
    """Names of the Gymnasium spaces that an observation may have."""
    action_spaces: ClassVar[tuple[str, ...]] = ("Discrete",)
    """Names of the Gymnasium spaces that an action may have."""
    takes_action_masks: ClassVar[bool] = False
    """Whether observations are {"obs", "action_mask": int8 [E, A]}, a Dict, where an environment says which actions are
    legal; there `observation_spaces` need a "Dict"."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers that every update gives: columns of progress.csv, which has their means."""
    scalars_of_acting: ClassVar[tuple[str, ...]] = ()
    """Names among `scalars` that say how it acts: in runs with actors the log has their mean over the actors."""

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        """Raises ConfigError for spaces that it cannot handle after all, and for a device that is not there."""

    def act(self, obs: NDArray[Any], step: int) -> NDArray[Any]:
        """Actions [E, ...] of the action space for `obs` [E, *shape], exploring as it suits `step`."""
        ...

    def act_for_evaluation(self, obs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """As `act`, as good as it can; randomness comes from `rng` alone, and no state of the agent moves."""
        ...

    def learn(self, batch: Any) -> Update:
        """One update from `batch`, of tensors on the run's device: what the class's `view` says."""
        ...

    def priorities(self, batch: Any) -> Any:
        """What `learn(batch)` would give as priorities, [B], learning nothing; None: new rows get the largest so far.

        For actors in processes of their own, which give each row its first priority (Horgan et al. 2018, algorithm 1).
        """
        return None

    def policy(self) -> Mapping[str, Any]:
        """The tensors that acting needs, for actors in other processes; everything, unless an agent knows better."""
        return self.tensors()

    def take_policy(self, tensors: Mapping[str, Any]) -> None:
        """Acts by another agent's `policy()` from now on."""
        self.restore(tensors, self.state())

    def explore_by(self, epsilons: NDArray[np.float64]) -> None:
        """Environment e acts at random with probability `epsilons[e]`, [E], where the agent explores so at all; once it
        has begun to learn (Ape-X's actors: Horgan et al. 2018, section 4)."""

    def scalars(self) -> dict[str, float | None]:
        """Numbers that describe the agent now: columns of progress.csv, always the same; None: an empty cell."""
        return {}

    def explain(self, obs: NDArray[Any]) -> ActionValues | None:
        """What it expects of every action at `obs` [E, *shape], or of the best one alone where there are no end of them; None for
        an agent without action values."""
        return None

    def tensors(self) -> dict[str, Any]:
        """The tensors that a checkpoint has to hold, on the CPU and contiguous."""
        return {}

    def state(self) -> dict[str, Any]:
        """The rest of its state, as JSON values; NumPy's generators among it."""
        return {}

    def restore(self, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Takes `tensors()` and `state()` back; ValueError (nothing changed) if they are another agent's."""
        if tensors or state:
            raise ValueError(f"expected an agent without state, got {', '.join([*tensors, *state])}")
