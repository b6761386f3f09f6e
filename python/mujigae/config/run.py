"""Everything that makes a training run what it is, in one flat frozen dataclass that is saved with the run.

Units are in the names: `_steps` are agent decisions, `_frames` emulator frames, `_updates` gradient steps.
The sources are Mnih et al. 2015 (DQN), van Hasselt et al. 2016 (double), Wang et al. 2016 (dueling), Schaul
et al. 2016 (prioritized), Bellemare et al. 2017 (C51), Fortunato et al. 2018 (NoisyNet), Hessel et al. 2018
(Rainbow) and Machado et al. 2018 (evaluation on Atari). Defaults suit small vector environments;
`presets.resolve` sets the rest.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import math
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mujigae.errors import ConfigError

__all__ = ["Config", "field_docs", "field_types"]


@dataclass(frozen=True)
class Config:
    """One training run. Raises ConfigError that names the field, what was expected and what came."""

    preset: str = "dqn"
    """Name of the preset that chose the parts; a label once the run is configured."""
    env_id: str = "CartPole-v1"
    """Gymnasium id of the environment; ALE/<Game>-v5 ids use ale-py's vector environment."""
    seed: int = 0
    """Seed of environments, initial weights, exploration, noise and replay, each by a child of its own."""

    double: bool = False
    """The online network picks the next action, the target network values it (van Hasselt et al. 2016)."""
    dueling: bool = False
    """Separate streams for the state's value and the actions' advantages (Wang et al. 2016)."""
    prioritized: bool = False
    """Replay in proportion to the TD error (Schaul et al. 2016)."""
    n_step: int = 1
    """Rewards summed before bootstrapping, in steps (Sutton 1988; Rainbow takes 3)."""
    noisy: bool = False
    """Explore by learned noise in the linear layers, with epsilon 0 (Fortunato et al. 2018)."""
    loss: Literal["huber", "squared", "cross_entropy"] = "huber"
    """huber or squared on the TD error (DQN), or cross_entropy between return distributions (C51)."""

    num_envs: int = 4
    """Environments stepped together; one vector step is this many steps."""
    frame_size: int = 84
    """Atari: height and width of a frame in pixels (DQN: 84)."""
    frame_stack: int = 4
    """Atari: newest frames in one observation (DQN: 4)."""
    frame_skip: int = 4
    """Atari: emulator frames per step, the last two merged by their maximum (DQN: 4)."""
    sticky_probability: float = 0.0
    """Atari: chance that the emulator repeats the previous action (Rainbow 0, Machado et al. 0.25)."""
    life_loss: bool = True
    """Atari: a lost life is terminal for the learner, while the game goes on (DQN); not in evaluation."""
    fire_reset: bool = False
    """Atari: press FIRE after a reset (not done by DQN or Rainbow)."""
    num_noops: int = 30
    """Atari: upper bound on the random no-ops after a reset (DQN: 30)."""
    full_action_set: bool = False
    """Atari: all 18 actions instead of the game's minimal set."""
    max_frames_per_episode: int = 108_000
    """Atari: emulator frames until a game is truncated (Rainbow: 108,000, half an hour of play)."""
    clip_rewards: bool = False
    """Clip rewards to [-1, 1] for the learner only; scores, logs and stop_score stay raw (DQN)."""
    max_reward_per_step: float | None = None
    """Reward that every single step may bring, where known: the support has to hold its discounted sum."""

    torso: Literal["mlp", "nature", "small_pixels", "tiny_pixels"] = "mlp"
    """Layers below the heads: mlp for vectors, nature for 84x84 (DQN), small_ and tiny_pixels for less."""
    hidden_sizes: tuple[int, ...] = (256,)
    """Units of each layer of the mlp torso."""
    head_size: int = 256
    """Hidden units of each head (DQN: 512); 0 puts the output layer straight on the torso."""
    noisy_sigma: float = 0.5
    """Initial scale of the noise, sigma_0 (Fortunato et al. 2018: 0.5)."""
    num_atoms: int = 51
    """Atoms of the return distribution (C51: 51)."""
    v_min: float = -10.0
    """Smallest return of the support (C51: -10, for rewards clipped to [-1, 1])."""
    v_max: float = 10.0
    """Largest return of the support (C51: 10, for rewards clipped to [-1, 1])."""

    gamma: float = 0.99
    """Discount per step (DQN: 0.99)."""
    learning_rate: float = 1e-3
    """Adam's step size (Rainbow: 6.25e-5)."""
    adam_eps: float = 1.5e-4
    """Adam's epsilon (Rainbow: 1.5e-4, far above the usual 1e-8)."""
    max_grad_norm: float = 10.0
    """Global gradient norm above which the gradient is scaled down (Wang et al. 2016: 10); 0 never scales."""
    batch_size: int = 64
    """Transitions per update (DQN: 32)."""
    learn_period_steps: int = 4
    """Steps between rounds of updates (DQN: 4)."""
    num_updates: int = 1
    """Updates in a round: gradient steps each time learn_period_steps have been collected."""
    target_update_period_updates: int = 250
    """Updates between steps of the target network (DQN: 10,000; Rainbow: 2,000)."""
    tau: float = 1.0
    """Share of the online network in a step of the target: 1 copies it (DQN), below 1 is Polyak averaging."""

    capacity: int = 50_000
    """Replay rows over all environments (DQN: 1,000,000)."""
    compress: bool = False
    """Keep frames compressed, without loss: a tenth of their memory or less, for more time to draw them."""
    prefetch: int = 0
    """Batches drawn ahead, copied in the background: their priorities are so many batches old."""
    min_replay_steps: int = 1_000
    """Steps before the first update (Rainbow: 20,000)."""
    alpha: float = 0.6
    """Prioritization exponent (Schaul et al. 2016: 0.6; Rainbow: 0.5)."""
    beta_start: float = 0.4
    """First exponent of the importance weights (Schaul et al. 2016: 0.4)."""
    beta_end: float = 1.0
    """Last exponent of the importance weights."""
    beta_steps: int | None = None
    """Steps over which beta is annealed linearly; None: the budget of the run."""

    epsilon_schedule: Literal["linear", "exponential"] = "linear"
    """How epsilon falls from epsilon_start to epsilon_end (DQN: linear)."""
    epsilon_start: float = 1.0
    """First share of random actions (DQN: 1); noisy networks use 0 throughout."""
    epsilon_end: float = 0.05
    """Last share of random actions (DQN: 0.1; Rainbow's DQN: 0.01)."""
    epsilon_steps: int = 10_000
    """Steps until epsilon_end is reached (DQN: 1,000,000; Hessel et al. 2018: 62,500)."""
    eval_epsilon: float = 0.0
    """Share of random actions in evaluation (Rainbow on Atari: 0.001, against deterministic loops)."""

    precision: Literal["float32", "bfloat16", "fastest"] = "float32"
    """Arithmetic: bfloat16 autocasts over float32 weights; fastest is whatever a test at the start finds."""
    channels_last: bool = False
    """Keep images and convolution weights in NHWC memory order."""
    compile: bool = False
    """Compile the learner with torch.compile: a minute at the start, and on the CPU a C++ compiler."""
    cuda_graphs: bool = False
    """Record an update as CUDA graphs and replay them; needs a CUDA device."""
    overlap: bool = False
    """Step the environments while the updates run that the vector step before made due; resumes as exactly."""
    device: str = "cpu"
    """Torch device of networks and batches: cpu, cuda, cuda:1 ..."""
    frames_on_device: bool = False
    """Keep a copy of every frame on the device, so that only new ones are moved there."""
    num_threads: int | None = None
    """Torch threads on the CPU, which sums depend on. None: 1 for an mlp, else every core."""

    steps: int = 50_000
    """Budget in steps."""
    minutes: float | None = None
    """Budget in minutes of wall-clock time, beside steps."""
    stop_score: float | None = None
    """Stop when the mean raw score of the last 100 finished games reaches this; needs 100 of them."""
    stop_evaluation: float | None = None
    """Stop when a checkpoint's best_episodes games reach this mean raw score."""
    checkpoint_period_steps: int = 10_000
    """Steps between checkpoints; each closes the open episodes as truncated and resets every environment."""
    log_period_steps: int = 1_000
    """Steps between rows of progress.csv and TensorBoard points."""
    best_episodes: int = 0
    """Games to evaluate at each checkpoint, where the best network so far is kept in best/; 0: none."""

    def __post_init__(self) -> None:
        check_types(self)
        check_values(self)

    @property
    def categorical(self) -> bool:
        """Whether the network outputs return distributions (C51); the loss decides it."""
        return self.loss == "cross_entropy"

    def to_json(self) -> str:
        """The text of config.json; `from_json` gives back an equal Config."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Reads `to_json`'s text; raises ConfigError for anything else, unknown names included."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"config: expected JSON, got {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"config: expected a JSON object, got {type(values).__name__}")
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Config:
        """A Config from names and values (lists count as tuples); raises ConfigError for an unknown name."""
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ConfigError(f"config: unknown option {unknown[0]!r}{close_matches(unknown[0], known)}")
        checked: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**checked)


def close_matches(word: str, known: list[str]) -> str:
    """`; did you mean ...?`, or the known words where there are few, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, known, n=3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(known)}" if len(known) <= 12 else ""


@functools.cache
def field_docs() -> dict[str, str]:
    """The docstring below each field of Config, for the command line's help."""
    body = ast.parse(inspect.getsource(Config)).body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, doc in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(doc, ast.Expr)
            and isinstance(doc.value, ast.Constant)
        ):
            docs[ast.unparse(field.target)] = str(doc.value.value)
    return docs


@functools.cache
def field_types() -> dict[str, Any]:
    """The type of each field of Config, annotations evaluated."""
    return get_type_hints(Config)


def check_types(config: Config) -> None:
    """Raises ConfigError for the first field whose value is not of its annotated type."""
    for name, hint in field_types().items():
        value = getattr(config, name)
        if not _is_instance(value, hint):
            raise ConfigError(f"{name}: expected {_describe(hint)}, got {value!r}")


def _is_instance(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_instance(value, choice) for choice in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_is_instance(item, get_args(hint)[0]) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in get_args(hint))
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if get_origin(hint) is tuple:
        return f"a tuple of {get_args(hint)[0].__name__}"
    named = {int: "an integer", float: "a finite number", bool: "true or false", str: "a string"}
    return named.get(hint, "None")


_POSITIVE_INTEGERS = (
    *("n_step", "num_envs", "frame_size", "frame_stack", "frame_skip", "max_frames_per_episode"),
    *("batch_size", "learn_period_steps", "num_updates", "target_update_period_updates", "capacity"),
    *(
        "min_replay_steps",
        "steps",
        "checkpoint_period_steps",
        "log_period_steps",
        "beta_steps",
        "num_threads",
    ),
)
_POSITIVE_NUMBERS = ("learning_rate", "adam_eps", "minutes")
_SHARES = (
    *("sticky_probability", "gamma", "beta_start", "beta_end"),
    *("epsilon_start", "epsilon_end", "eval_epsilon"),
)
_NOT_NEGATIVE = (
    *("seed", "num_noops", "head_size", "noisy_sigma", "max_grad_norm", "alpha", "epsilon_steps"),
    *("max_reward_per_step", "best_episodes", "prefetch"),
)


def check_values(config: Config) -> None:
    """Raises ConfigError for the first value out of range, and for parts that do not fit together."""

    def refuse_unless(is_good: bool, name: str, expected: str) -> None:
        if not is_good:
            raise ConfigError(f"{name}: expected {expected}, got {getattr(config, name)!r}")

    def bounded(names: tuple[str, ...], is_good: Any, expected: str) -> None:
        for name in names:
            value = getattr(config, name)
            refuse_unless(value is None or is_good(value), name, expected)

    bounded(_POSITIVE_INTEGERS, lambda value: value >= 1, "at least 1")
    bounded(_POSITIVE_NUMBERS, lambda value: value > 0, "more than 0")
    bounded(_SHARES, lambda value: 0 <= value <= 1, "a number from 0 to 1")
    bounded(_NOT_NEGATIVE, lambda value: value >= 0, "at least 0")
    refuse_unless(0 < config.tau <= 1, "tau", "more than 0, at most 1")
    refuse_unless(config.num_atoms >= 2, "num_atoms", "at least 2")
    refuse_unless(all(size >= 1 for size in config.hidden_sizes), "hidden_sizes", "sizes of at least 1")
    refuse_unless(config.v_max > config.v_min, "v_max", f"more than v_min ({config.v_min:g})")
    refuse_unless(
        config.capacity >= config.num_envs, "capacity", f"a row per environment ({config.num_envs})"
    )
    refuse_unless(
        config.batch_size <= config.capacity,
        "batch_size",
        f"at most the replay's capacity ({config.capacity})",
    )
    refuse_unless(
        not config.cuda_graphs or config.device.startswith("cuda"), "cuda_graphs", "device=cuda beside it"
    )
    refuse_unless(not (config.prefetch and config.frames_on_device), "prefetch", "0 with frames_on_device")
    refuse_unless(
        config.stop_evaluation is None or config.best_episodes > 0,
        "stop_evaluation",
        "None, or best_episodes beside it",
    )
    if config.epsilon_schedule == "exponential":
        for name in ("epsilon_start", "epsilon_end"):
            refuse_unless(getattr(config, name) > 0, name, "more than 0 for an exponential schedule")
    _check_support(config)


def _check_support(config: Config) -> None:
    """A return above v_max saturates without a word (C51's 10 suits clipped, sparse rewards), so say one."""
    reward = config.max_reward_per_step
    if not config.categorical or reward is None or config.gamma == 1:
        return
    largest = (min(reward, 1.0) if config.clip_rewards else reward) / (1 - config.gamma)
    if config.v_max < largest * (1 - 1e-9):
        cause = f"reward {reward:g} in every step, gamma {config.gamma:g}"
        raise ConfigError(f"v_max: expected at least {largest:g} ({cause}), got {config.v_max:g}")
