"""Values of the DQN family: a preset chooses the parts, the environment's family gives sizes, rates and budget.

    defaults of the fields  <  FAMILIES[family]  <  NOISY_FAMILIES[family]  <  LOSS_FAMILIES[loss][family]
        <  ENVIRONMENTS[env_id]  <  PRESETS[preset]  <  what the caller overrides

NOISY_FAMILIES is for noisy layers, LOSS_FAMILIES for losses on return distributions, whether the preset or the caller
switched them on.

The "atari" family is that of Hessel et al. 2018: table 1, the text for epsilon (0.01 after 250,000 frames, 62,500 steps).
Two things differ: four environments are stepped together with one update per vector step (the paper: one environment,
one update every four steps), and gradients are clipped at a norm of 10, as Wang et al. 2016 do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mujigae.agents.dqn.beyond import BTR, DER
from mujigae.agents.dqn.sources import values_of

__all__ = [
    *(
        "DEFAULT_ENVIRONMENTS",
        "ENVIRONMENTS",
        "FAMILIES",
        "LOSS_FAMILIES",
        "NOISY_FAMILIES",
        "PRESETS",
    ),
    "defaults",
]

Values = Mapping[str, Any]

# One line for each preset in `mujigae info`; the parts are the family of Hessel et al. 2018, figure 1.
PRESETS: dict[str, Values] = {
    "dqn": {},
    "double": {"double": True},
    "dueling": {"dueling": True},
    "prioritized": {"prioritized": True},
    "n_step": {"n_step": 3},
    "noisy": {"noisy": True},
    "c51": {"loss": "cross_entropy"},
    "qr_dqn": {"loss": "quantile"},
    "iqn": {"loss": "implicit_quantile"},
    "munchausen": {"target": "munchausen"},
    "hl_gauss": {"loss": "hl_gauss"},
    "rainbow": {
        "double": True,
        "dueling": True,
        "prioritized": True,
        "alpha": 0.5,
        "n_step": 3,
        "noisy": True,
        "loss": "cross_entropy",
    },
    "btr": values_of(BTR),
    "der": values_of(DER),
    # Pong on two CPU cores: frames a quarter of the usual area, a torso to match, bfloat16 where it is faster. A rally
    # lasts dozens of steps, so long windows bring its outcome back sooner; and the gradients of so small errors, divided
    # by importance weights, are far below the paper's epsilon for Adam, which would all but stop it. One random action in a
    # hundred costs an agent that plays well several points a game, so exploration ends at one in a thousand.
    "pong": {
        "double": True,
        "dueling": True,
        "prioritized": True,
        "n_step": 10,
        "num_envs": 16,
        "frame_size": 42,
        "life_loss": False,
        "torso": "small_pixels",
        "head_size": 256,
        "learning_rate": 3e-4,
        "adam_eps": 1e-5,
        "batch_size": 64,
        "learn_period_steps": 8,
        "target_update_period_updates": 500,
        "capacity": 100_000,
        "min_replay_steps": 10_000,
        "alpha": 0.5,
        "beta_steps": 400_000,  # about where stop_score ends its runs
        "epsilon_schedule": "exponential",
        "epsilon_end": 0.001,
        "epsilon_steps": 100_000,
        "precision": "fastest",
        "channels_last": True,
        "overlap": True,
        "steps": 1_000_000,
        "stop_score": 18.0,
        "checkpoint_period_steps": 250_000,
    },
}

FAMILIES: dict[str, Values] = {
    # A value travels back by one window each time the target is copied, and those of CartPole by a hundred steps: so
    # the target is copied often. Noise of the paper's 0.5, meant for 512 units and millions of frames, drowns what so
    # small a network has to say.
    "vector": {
        "hidden_sizes": (256,),
        "head_size": 256,
        "learning_rate": 1e-3,
        "adam_eps": 1e-8,
        "learn_period_steps": 128,
        "num_updates": 64,
        "target_update_period_updates": 32,
        "noisy_sigma": 0.3,
        "epsilon_steps": 5_000,
    },
    "pixels": {
        "torso": "small_pixels",
        "learning_rate": 3e-4,
        "capacity": 100_000,
        "min_replay_steps": 5_000,
        "batch_size": 32,
        "target_update_period_updates": 1_000,
        "epsilon_end": 0.01,
        "epsilon_steps": 100_000,
        "steps": 1_000_000,
        "checkpoint_period_steps": 100_000,
        "log_period_steps": 5_000,
    },
    "tiny_pixels": {
        "torso": "tiny_pixels",
        "head_size": 128,
        "learning_rate": 3e-4,
        "capacity": 100_000,
        "min_replay_steps": 5_000,
        "batch_size": 32,
        "target_update_period_updates": 1_000,
        "epsilon_end": 0.01,
        "epsilon_steps": 100_000,
        "steps": 1_000_000,
        "checkpoint_period_steps": 100_000,
        "log_period_steps": 5_000,
    },
    "atari": {
        "torso": "nature",
        "head_size": 512,
        "learning_rate": 6.25e-5,
        "batch_size": 32,
        "learn_period_steps": 4,
        "target_update_period_updates": 2_000,
        "capacity": 1_000_000,
        "min_replay_steps": 20_000,
        "epsilon_end": 0.01,
        "epsilon_steps": 62_500,
        "eval_epsilon": 0.001,
        "steps": 50_000_000,
        "checkpoint_period_steps": 1_000_000,
        "log_period_steps": 5_000,
    },
}

# What a family changes for noisy layers: values that noise alone explores for can run away when the target is copied often.
NOISY_FAMILIES: dict[str, Values] = {
    "vector": {"target_update_period_updates": 64},
}

# What a family changes for a loss. A support bounds the returns of cross_entropy; quantiles have no bounds. The longer period
# between their targets is that of noisy layers; what it changes for them has not been measured.
LOSS_FAMILIES: dict[str, dict[str, Values]] = {
    "cross_entropy": {
        "vector": {
            "hidden_sizes": (128,),
            "head_size": 128,
            "noisy_sigma": 0.1,
            "target_update_period_updates": 32,
        },
    },
    "hl_gauss": {
        "vector": {"hidden_sizes": (128,), "head_size": 128, "noisy_sigma": 0.1},
    },
    "quantile": {
        "vector": {
            "hidden_sizes": (128,),
            "head_size": 128,
            "noisy_sigma": 0.1,
            "num_quantiles": 32,
            "target_update_period_updates": 64,
        },
    },
    # The cost of an update grows with the fractions.
    "implicit_quantile": {
        "vector": {
            "hidden_sizes": (128,),
            "head_size": 128,
            "noisy_sigma": 0.1,
            "num_fractions": 8,
            "num_target_fractions": 8,
            "num_action_fractions": 8,
            "target_update_period_updates": 64,
        },
    },
}

for _table in (FAMILIES, NOISY_FAMILIES, *LOSS_FAMILIES.values()):
    _table["flattened"] = _table["vector"]  # flattened spaces are vectors too

ENVIRONMENTS: dict[str, Values] = {
    "CartPole-v1": {
        "steps": 50_000,
        "checkpoint_period_steps": 2_560,
        "best_episodes": 20,
        "stop_evaluation": 500.0,
        "min_reward_per_step": 0.0,
        "max_reward_per_step": 1.0,
        "v_min": 0.0,
        "v_max": 100.0,
    },
    # A reward of -1 in every step until the goal. The budgets of these tasks are about those of RL Baselines3 Zoo.
    "Acrobot-v1": {
        "steps": 100_000,
        "checkpoint_period_steps": 5_000,
        "best_episodes": 20,
        "min_reward_per_step": -1.0,
        "max_reward_per_step": 0.0,
        "v_min": -100.0,
        "v_max": 0.0,
    },
    "MountainCar-v0": {
        "steps": 120_000,
        "checkpoint_period_steps": 5_000,
        "best_episodes": 20,
        "min_reward_per_step": -1.0,
        "max_reward_per_step": 0.0,
        "v_min": -100.0,
        "v_max": 0.0,
    },
    # A tenth for each step and one for each pipe, until the bird dies. A flap at the wrong time kills, so few are made at random.
    "FlappyBird-v0": {
        "num_envs": 8,
        "capacity": 200_000,
        "batch_size": 64,
        "min_replay_steps": 5_000,
        "learn_period_steps": 8,
        "num_updates": 2,
        "learning_rate": 3e-4,
        "target_update_period_updates": 500,
        "epsilon_steps": 20_000,
        "epsilon_end": 0.001,
        "steps": 2_000_000,
        "checkpoint_period_steps": 100_000,
        "best_episodes": 20,
        "v_min": -5.0,
        "v_max": 20.0,
    },
    # A landing brings 100 to 140 and a crash costs 100, at the end; steps before cost or bring a few.
    "LunarLander-v3": {
        "steps": 300_000,
        "checkpoint_period_steps": 10_000,
        "best_episodes": 20,
        "v_min": -300.0,
        "v_max": 300.0,
    },
}

DEFAULT_ENVIRONMENTS: dict[str, str] = dict.fromkeys(("pong", "btr", "der"), "ALE/Pong-v5")


def defaults(env_id: str, family: str, parts: Values) -> dict[str, Any]:
    """What suits an environment of `family` where preset and caller chose `parts`; empty for an unknown family.

    Of `parts` only those are read that have tables of their own, and what may change the rewards: their bounds are not known then.
    """
    tables = [FAMILIES]
    tables += [NOISY_FAMILIES] if parts.get("noisy") else []
    tables += [LOSS_FAMILIES.get(parts.get("loss", ""), {})]
    values = {name: value for table in tables for name, value in table.get(family, {}).items()}
    values |= ENVIRONMENTS.get(env_id, {})
    if parts.get("env_kwargs") or parts.get("wrapper"):
        return {name: value for name, value in values.items() if name not in _REWARD_BOUNDS}
    return values


_REWARD_BOUNDS = ("min_reward_per_step", "max_reward_per_step")
