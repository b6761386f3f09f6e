"""`--protocol`: every flag of Atari and every hyperparameter of one paper, each with its source.

    nature     Mnih et al. 2015, "Human-level control through deep reinforcement learning"
    rainbow    Hessel et al. 2018, "Rainbow: Combining Improvements in Deep Reinforcement Learning"
    dopamine   Castro et al. 2018, "Dopamine", after Machado et al. 2018: sticky actions, lives that do not count

A protocol sets neither parts (double, dueling, noisy, n_step, ...) nor the agent's loss: those are the preset's. It goes
before a preset's own values and after what the caller says. One environment is stepped, as in all three.
"""

from __future__ import annotations

from typing import Any

from mujigae.agents.dqn.sources import Sourced, Table, from_one, values_of

__all__ = ["LOSS_PROTOCOLS", "PROTOCOLS", "UNIFORM_C51", "protocol_table", "protocol_values"]

_FRAMES = {
    "num_envs": 1,
    "frame_size": 84,
    "frame_stack": 4,
    "frame_skip": 4,
    "clip_rewards": True,
    "fire_reset": False,
    "full_action_set": False,
    "learn_period_steps": 4,
    "num_updates": 1,
    "batch_size": 32,
    "capacity": 1_000_000,
    "gamma": 0.99,
    "torso": "nature",
    "head_size": 512,
    "torso_width": 1,
    "pool_size": 0,
    "batch_norm": False,
    "spectral_norm": False,
    "tau": 1.0,
    "max_grad_norm": 0.0,
    "learning_rate_end": None,
    "epsilon_schedule": "linear",
    "epsilon_start": 1.0,
    "epsilon_hold_steps": 0,
    "epsilon_last_steps": None,
    "steps": 50_000_000,
}
_ANNEALED = {"beta_start": 0.4, "beta_end": 1.0, "beta_steps": None}

NATURE: Table = {
    **from_one("Mnih et al. 2015, extended data table 1 and methods", **_FRAMES),
    **from_one("Schaul et al. 2016, appendix B.2.1, where replay is prioritized", **_ANNEALED, alpha=0.6),
    "sticky_probability": Sourced(0.0, "Mnih et al. 2015: none"),
    "life_loss": Sourced(True, "methods: a lost life ends an episode in training"),
    "num_noops": Sourced(30, "extended data table 1, no-op max"),
    "max_frames_per_episode": Sourced(
        18_000, "methods, evaluation: games of up to 5 minutes, at 60 frames a second"
    ),
    "optimizer": Sourced("rmsprop", "methods: RMSProp, centred in the authors' code"),
    "learning_rate": Sourced(2.5e-4, "extended data table 1"),
    "rmsprop_decay": Sourced(0.95, "extended data table 1, gradient momentum and squared gradient momentum"),
    "rmsprop_eps": Sourced(
        0.01 / 32**2, "extended data table 1: 0.01, for gradients summed over the 32 rows"
    ),
    "min_replay_steps": Sourced(50_000, "extended data table 1, replay start size"),
    "target_update_period_updates": Sourced(
        10_000, "extended data table 1, in parameter updates (the authors' code: steps, 2,500 updates)"
    ),
    "epsilon_end": Sourced(0.1, "extended data table 1, final exploration"),
    "epsilon_steps": Sourced(
        1_000_000, "extended data table 1, final exploration frame, of which one in four is seen"
    ),
    "eval_epsilon": Sourced(0.05, "methods, evaluation"),
}
RAINBOW: Table = {
    **from_one("Mnih et al. 2015, as Hessel et al. 2018 say of what their table 1 leaves out", **_FRAMES),
    **from_one("Hessel et al. 2018, table 1", **_ANNEALED, alpha=0.5),
    "sticky_probability": Sourced(0.0, "Hessel et al. 2018, table 4: none"),
    "life_loss": Sourced(True, "table 4: terminal on loss of life"),
    "num_noops": Sourced(30, "evaluation with random starts, up to 30 no-ops"),
    "max_frames_per_episode": Sourced(108_000, "table 4, frames an episode at most"),
    "optimizer": Sourced("adam", "table 1"),
    "learning_rate": Sourced(6.25e-5, "table 1"),
    "adam_eps": Sourced(1.5e-4, "table 1"),
    "min_replay_steps": Sourced(20_000, "table 1, 80,000 frames"),
    "target_update_period_updates": Sourced(2_000, "table 1, 32,000 frames"),
    "noisy_sigma": Sourced(0.5, "table 1"),
    "num_atoms": Sourced(51, "table 1"),
    "v_min": Sourced(-10.0, "table 1"),
    "v_max": Sourced(10.0, "table 1"),
    "epsilon_end": Sourced(0.01, "the text, for variants without noisy layers"),
    "epsilon_steps": Sourced(62_500, "the text, 250,000 frames"),
    "eval_epsilon": Sourced(0.001, "the text, evaluation of variants without noisy layers"),
}
_GIN = "dopamine/jax/agents, "
DOPAMINE: Table = {
    **from_one("dopamine/discrete_domains/atari_lib.py and the agents' gin files", **_FRAMES),
    **from_one(
        f"{_GIN}rainbow: the root of the loss, weights by the root of the probability, neither annealed",
        **{"alpha": 0.5, "beta_start": 0.5, "beta_end": 0.5, "beta_steps": None},
    ),
    "sticky_probability": Sourced(0.25, "gin files, sticky_actions (Machado et al. 2018)"),
    "life_loss": Sourced(False, "atari_lib.py, terminal_on_life_loss (Machado et al. 2018)"),
    "num_noops": Sourced(0, "atari_lib.py: none (Machado et al. 2018)"),
    "max_frames_per_episode": Sourced(108_000, "gin files, max_steps_per_episode 27,000"),
    "optimizer": Sourced("adam", f"{_GIN}dqn.gin"),
    "learning_rate": Sourced(6.25e-5, f"{_GIN}dqn.gin, rainbow.gin"),
    "adam_eps": Sourced(1.5e-4, f"{_GIN}dqn.gin, rainbow.gin"),
    "min_replay_steps": Sourced(20_000, "gin files, min_replay_history"),
    "target_update_period_updates": Sourced(2_000, "gin files, target_update_period 8,000 steps"),
    "noisy_sigma": Sourced(0.5, "jax/networks.py, NoisyNetwork"),
    "num_atoms": Sourced(51, f"{_GIN}rainbow.gin, c51.gin"),
    "v_min": Sourced(-10.0, f"{_GIN}rainbow.gin, c51.gin"),
    "v_max": Sourced(10.0, f"{_GIN}rainbow.gin, c51.gin"),
    "num_quantiles": Sourced(200, f"{_GIN}quantile.gin"),
    "num_fractions": Sourced(64, f"{_GIN}implicit_quantile.gin"),
    "num_target_fractions": Sourced(64, f"{_GIN}implicit_quantile.gin"),
    "num_action_fractions": Sourced(32, f"{_GIN}implicit_quantile.gin"),
    "epsilon_end": Sourced(0.01, "gin files, epsilon_train"),
    "epsilon_steps": Sourced(250_000, "gin files, epsilon_decay_period"),
    "eval_epsilon": Sourced(0.001, "gin files, epsilon_eval"),
}

PROTOCOLS: dict[str, Table] = {"nature": NATURE, "rainbow": RAINBOW, "dopamine": DOPAMINE}

LOSS_PROTOCOLS: dict[str, dict[str, Table]] = {
    "dopamine": {
        "quantile": from_one(f"{_GIN}quantile.gin", learning_rate=5e-5, adam_eps=3.125e-4),
        "implicit_quantile": from_one(f"{_GIN}implicit_quantile.gin", learning_rate=5e-5, adam_eps=3.125e-4),
    },
}
"""What a protocol has of its own for agents of one loss."""

UNIFORM_C51 = from_one(f"{_GIN}c51.gin", learning_rate=2.5e-4, adam_eps=3.125e-4)
"""What Dopamine has for C51 without prioritized replay; with it an agent is its Rainbow."""


def protocol_table(protocol: str, parts: dict[str, Any]) -> Table:
    """The fields of a protocol for an agent of these `parts`; of those only loss and prioritized are read."""
    loss = parts.get("loss", "huber")
    own = LOSS_PROTOCOLS.get(protocol, {}).get(loss, {})
    if (protocol, loss) == ("dopamine", "cross_entropy") and not parts.get("prioritized"):
        own = UNIFORM_C51
    return {**PROTOCOLS[protocol], **own}


def protocol_values(protocol: str, parts: dict[str, Any]) -> dict[str, Any]:
    """As `protocol_table`, the values alone."""
    return values_of(protocol_table(protocol, parts))
