"""Everything that makes a training run what it is: a few small frozen dataclasses, saved with the run.

    Run(preset, agent_name, seed, env, agent, replay, budget, hardware)

Bounds stand beside the fields (`checks`); each part checks what concerns it alone, `Run` what concerns several. Field
names are unique over all parts, so that options of the command line and the values of presets are flat: `flat()` and
`Run.from_flat` go between the two. The agent's part is the agent's own dataclass, derived from `AgentConfig`.

Units are in the names: `_steps` are agent decisions, `_frames` emulator frames, `_updates` gradient steps.
The sources are Mnih et al. 2015 (DQN), Schaul et al. 2016 (prioritized), Hessel et al. 2018 (Rainbow) and Machado et
al. 2018 (evaluation on Atari). Defaults suit small vector environments; presets set the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mujigae.config.checks import (
    Count,
    NotNegative,
    NotNegativeNumber,
    NotPositiveNumber,
    Positive,
    Share,
    check_fields,
    close_matches,
)
from mujigae.errors import ConfigError

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    *("AgentConfig", "BudgetConfig", "EnvConfig", "HardwareConfig", "Needs", "PARTS", "ReplayConfig", "Run"),
    *("WITH_ACTORS", "refuse_unless"),
]

PARTS = ("env", "agent", "replay", "budget", "hardware")


@dataclass(frozen=True)
class EnvConfig:
    """What is played, and how. Raises ConfigError that names the field, what was expected and what came."""

    env_id: str = "CartPole-v1"
    """Gymnasium id of the environment; ALE/<Game>-v5 ids use ale-py's vector environment."""
    num_envs: Count = 4
    """Environments stepped together; one vector step is this many steps."""
    env_kwargs: tuple[str, ...] = ()
    """KEY=VALUE arguments of the environment; a value is a Python literal, or else a word."""
    wrapper: tuple[str, ...] = ()
    """module:Class or module:Class(key=value), wrappers of the environment, the innermost first."""
    env_processes: bool = False
    """Step each environment in a process of its own: faster where a step takes milliseconds."""
    action_masks: bool = False
    """Take legal actions only, where the environment says which: action_mask in info or in a Dict observation."""
    channels: Literal["auto", "first", "last"] = "auto"
    """Axis of images that has the channels; auto: as their shape says."""
    frame_size: Count = 84
    """Atari: height and width of a frame in pixels (DQN: 84)."""
    frame_stack: Count = 4
    """Atari: newest frames in one observation (DQN: 4)."""
    frame_skip: Count = 4
    """Atari: emulator frames per step, the last two merged by their maximum (DQN: 4)."""
    sticky_probability: Share = 0.0
    """Atari: chance that the emulator repeats the previous action (Rainbow 0, Machado et al. 0.25)."""
    life_loss: bool = True
    """Atari: a lost life is terminal for the learner, while the game goes on (DQN); not in evaluation."""
    fire_reset: bool = False
    """Atari: press FIRE after a reset (not done by DQN or Rainbow)."""
    num_noops: NotNegative = 30
    """Atari: upper bound on the random no-ops after a reset (DQN: 30)."""
    full_action_set: bool = False
    """Atari: all 18 actions instead of the game's minimal set."""
    max_frames_per_episode: Count = 108_000
    """Atari: emulator frames until a game is truncated (Rainbow: 108,000, half an hour of play)."""
    clip_rewards: bool = False
    """Clip rewards to [-1, 1] for the learner only; scores, logs and stop_score stay raw (DQN)."""
    max_reward_per_step: NotNegativeNumber | None = None
    """Largest reward that every single step may bring, where known: a support has to hold its discounted sum."""
    min_reward_per_step: NotPositiveNumber | None = None
    """Smallest reward that every single step may bring, where known: a support has to hold its discounted sum."""

    def __post_init__(self) -> None:
        check_fields(self)


class Needs(NamedTuple):
    """Options, and what they change nothing without."""

    what: str
    is_there: bool
    names: tuple[str, ...]


@dataclass(frozen=True)
class AgentConfig:
    """The agent's own part, empty for an agent without options; one with options derives from it and adds fields."""

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, run: Run) -> None:
        """Raises ConfigError where this part does not fit the rest of `run`."""

    def protocol(self) -> str:
        """What a score depends on beside the environment, for the protocol line; empty: nothing."""
        return ""

    def notes(self, run: Run) -> tuple[str, ...]:
        """Lines worth saying before a run begins."""
        return ()

    def needs(self) -> tuple[Needs, ...]:
        """Which options of this part change nothing without another: who gives such a one alone is told."""
        return ()

    @property
    def is_small(self) -> bool:
        """Whether an update is done before a second thread of torch's has woken up."""
        return True


@dataclass(frozen=True)
class ReplayConfig:
    """What is stored, how it is drawn, and how much is learned from it."""

    capacity: Count = 50_000
    """Replay rows over all environments (DQN: 1,000,000)."""
    prioritized: bool = False
    """Replay in proportion to the TD error (Schaul et al. 2016)."""
    sampler: Literal["proportional", "rank_based"] = "proportional"
    """How priorities decide where replay is prioritized (Schaul et al. 2016, section 3.3)."""
    replacement: bool = True
    """A row may come more than once in a batch."""
    uniform_share: Share = 0.0
    """Share of proportional draws that every row has alike, whatever its priority."""
    priority_eps: NotNegativeNumber = 1e-6
    """Added to each priority, so that proportional draws leave no row out (Schaul et al. 2016)."""
    alpha: NotNegativeNumber = 0.6
    """Prioritization exponent (Schaul et al. 2016: 0.6; Rainbow: 0.5)."""
    beta_start: Share = 0.4
    """First exponent of the importance weights (Schaul et al. 2016: 0.4)."""
    beta_end: Share = 1.0
    """Last exponent of the importance weights."""
    beta_steps: Count | None = None
    """Steps from the first update over which beta is annealed linearly; None: to the end of the budget, steps or minutes."""
    n_step: Count = 1
    """Rewards summed before bootstrapping, in steps (Sutton 1988; Rainbow takes 3)."""
    gamma: Share = 0.99
    """Discount per step (DQN: 0.99)."""
    batch_size: Count = 64
    """Transitions per update (DQN: 32)."""
    min_replay_steps: Count = 1_000
    """Steps before the first update (Rainbow: 20,000)."""
    learn_period_steps: Count = 4
    """Steps between rounds of updates (DQN: 4)."""
    num_updates: Count = 1
    """Updates in a round: gradient steps each time learn_period_steps have been collected."""
    compress: bool = False
    """Keep frames compressed, without loss: a tenth of their memory or less, for more time to draw them."""
    prefetch: NotNegative = 0
    """Batches drawn ahead, copied in the background: their priorities are so many batches old."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.sampler_name == "rank_based":
            refuse_unless(self.replacement, "replacement", "true with rank_based", self.replacement)
            refuse_unless(self.uniform_share == 0, "uniform_share", "0 with rank_based", self.uniform_share)

    @property
    def sampler_name(self) -> str:
        """uniform, proportional or rank_based."""
        return self.sampler if self.prioritized else "uniform"

    @property
    def first_update_steps(self) -> int:
        """The end of the first learn period that is not over before min_replay_steps: no update is made earlier."""
        return -(-self.min_replay_steps // self.learn_period_steps) * self.learn_period_steps


@dataclass(frozen=True)
class BudgetConfig:
    """When a run ends, and what it writes down on the way."""

    steps: Count = 50_000
    """Budget in steps."""
    minutes: Positive | None = None
    """Budget in minutes of wall-clock time, beside steps."""
    stop_score: float | None = None
    """Stop when the mean raw score of the last 100 finished games reaches this; needs 100 of them."""
    stop_evaluation: float | None = None
    """Stop when a checkpoint's best_episodes games reach this mean raw score."""
    checkpoint_period_steps: Count = 10_000
    """Steps between checkpoints, counted over all environments; a checkpoint changes nothing in the run."""
    exact_resume: bool = False
    """Resume bit for bit, on a CPU: each checkpoint ends all games, so that none lasts longer than checkpoint_period_steps / num_envs steps."""
    log_period_steps: Count = 1_000
    """Steps between rows of progress.csv and TensorBoard points."""
    best_episodes: NotNegative = 0
    """Games to evaluate at each checkpoint, where the best network so far is kept in best/; 0: none."""
    eval_max_steps: Count = 10_000
    """Steps after which a game of an evaluation is cut, unless its own limit is larger, as the 27,000 of Atari are."""

    def __post_init__(self) -> None:
        check_fields(self)
        fits = self.stop_evaluation is None or self.best_episodes > 0
        refuse_unless(
            fits,
            "stop_evaluation",
            "None (--stop-evaluation None) where best_episodes is 0",
            self.stop_evaluation,
        )


@dataclass(frozen=True)
class HardwareConfig:
    """What a run is computed on, and how; all but precision leave the results of a CPU as they are."""

    precision: Literal["float32", "bfloat16", "fastest"] = "float32"
    """Arithmetic: bfloat16 autocasts over float32 weights; fastest times the agent's update at the start."""
    channels_last: bool = False
    """Keep images and convolution weights in NHWC memory order."""
    compile: bool = False
    """Compile the learner with torch.compile: a minute at the start, and on the CPU a C++ compiler."""
    cuda_graphs: bool = False
    """Record an update as CUDA graphs and replay them; needs a CUDA device."""
    overlap: bool = False
    """Step the environments while the updates run that the vector step before made due; a checkpoint holds what is due."""
    device: str = "cpu"
    """Torch device of networks and batches: cpu, cuda, cuda:1 ...; cuda turns on what helps there, unless it is given."""
    frames_on_device: bool = False
    """Keep a copy of every frame on the device, so that only new ones are moved there."""
    num_threads: Count | None = None
    """Torch threads on the CPU, which sums depend on. None: 1 for an mlp, else the cores that overlap, actors and shards leave."""

    def __post_init__(self) -> None:
        check_fields(self)
        is_recordable = not self.cuda_graphs or self.device.startswith("cuda")
        refuse_unless(is_recordable, "cuda_graphs", "device=cuda beside it", self.cuda_graphs)


@dataclass(frozen=True)
class Run:
    """One training run. Raises ConfigError for parts that do not fit together."""

    preset: str = "dqn"
    """Name of the preset that chose the agent and its parts; a label once the run is configured."""
    agent_name: str = "dqn"
    """Name under which the agent is registered, or module:Class."""
    protocol: Literal["nature", "rainbow", "dopamine"] | None = None
    """Atari: every flag and hyperparameter of this paper (a table in docs/protocols.md); what is given beside it goes first."""
    seed: NotNegative = 0
    """Seed of environments, initial weights, exploration, noise and replay, each by a child of its own."""
    env: EnvConfig = field(default_factory=EnvConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def __post_init__(self) -> None:
        check_fields(self)
        replay, num_envs = self.replay, self.env.num_envs
        a_row_each = f"a row per environment ({num_envs})"
        refuse_unless(replay.capacity >= num_envs, "capacity", a_row_each, replay.capacity)
        at_most = f"at most the replay's capacity ({replay.capacity})"
        refuse_unless(replay.batch_size <= replay.capacity, "batch_size", at_most, replay.batch_size)
        is_plain = not (replay.prefetch and self.hardware.frames_on_device)
        refuse_unless(is_plain, "prefetch", "0 with frames_on_device", replay.prefetch)
        self.agent.check(self)

    def flat(self) -> dict[str, Any]:
        """Every field by its name, without the parts."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in PARTS}
        for part in PARTS:
            values |= vars(getattr(self, part))
        return values

    @classmethod
    def from_flat(cls, values: Mapping[str, Any], agent: type[AgentConfig] = AgentConfig) -> Self:
        """A Run from names and values (lists count as tuples), defaults where a name is missing.

        Raises ConfigError for an unknown name.
        """
        parts: dict[str, type] = {**part_types(agent)}
        rest = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        made: dict[str, Any] = {name: part(**_taken(rest, part)) for name, part in parts.items()}
        own: dict[str, Any] = {
            f.name: rest.pop(f.name) for f in fields(cls) if f.name in rest and f.name not in PARTS
        }
        if rest:
            name = next(iter(rest))
            known = [*flat_fields(agent)]
            raise ConfigError(f"config: unknown option {name!r}{close_matches(name, known)}")
        return cls(**own, **made)

    def changed(self, **values: Any) -> Self:
        """A Run with other values of some fields, by their flat names; raises as `from_flat` does."""
        return type(self).from_flat({**self.flat(), **values}, type(self.agent))


WITH_ACTORS: Mapping[str, Any] = {
    "exact_resume": False,
    "overlap": False,
    "frames_on_device": False,
    "prefetch": 0,
}
"""What a run has to be without whose rows come from other processes: all of these need the rows, or the environments."""


def part_types(agent: type[AgentConfig]) -> dict[str, type]:
    """The dataclass of each part of a Run with this agent's."""
    return {
        "env": EnvConfig,
        "agent": agent,
        "replay": ReplayConfig,
        "budget": BudgetConfig,
        "hardware": HardwareConfig,
    }


def flat_fields(agent: type[AgentConfig]) -> dict[str, type]:
    """Every field's name and the dataclass that has it, in the order of `Run.flat`."""
    own = {f.name: Run for f in fields(Run) if f.name not in PARTS}
    return own | {f.name: part for part in part_types(agent).values() for f in fields(part)}


def refuse_unless(is_good: bool, name: str, expected: str, value: object) -> None:
    """Raises ConfigError for the field `name` unless `is_good`."""
    if not is_good:
        raise ConfigError(f"{name}: expected {expected}, got {value!r}")


def _taken(values: dict[str, Any], part: type) -> dict[str, Any]:
    """Those of `values` that are fields of `part`, which are removed from `values`."""
    return {f.name: values.pop(f.name) for f in fields(part) if f.name in values}
