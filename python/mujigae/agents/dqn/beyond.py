"""Presets from after Rainbow, each value with its source: `btr` and `der`.

btr   Clark et al. 2024, "Beyond The Rainbow"; "code" is the authors' at github.com/VIPTankz/BeyondTheRainbowICML
der   van Hasselt et al. 2019, "When to use parametric models in reinforcement learning?", appendix: data-efficient Rainbow
"""

from __future__ import annotations

from mujigae.agents.dqn.sources import Sourced, Table, from_one

__all__ = ["BTR", "DER"]

BTR: Table = {
    **from_one("section 3, kept of Rainbow", dueling=True, prioritized=True, noisy=True, n_step=3),
    "target": Sourced(
        "munchausen", "section 3; the log-policy is the target network's, as in Vieillard et al. 2020"
    ),
    "munchausen_alpha": Sourced(0.9, "code, Agent.py: alpha"),
    "temperature": Sourced(0.03, "code, Agent.py: entropy_tau"),
    "log_policy_min": Sourced(-1.0, "code, Agent.py: lo"),
    "loss": Sourced("implicit_quantile", "section 3"),
    **from_one("code, main.py: taus", num_fractions=8, num_target_fractions=8, num_action_fractions=8),
    "torso": Sourced("impala", "section 3"),
    "torso_width": Sourced(2, "code, main.py: model_size"),
    "spectral_norm": Sourced(True, "section 3, in the residual blocks"),
    "pool_size": Sourced(6, "section 3, adaptive max-pooling"),
    "head_size": Sourced(512, "code, main.py: linear_size"),
    "noisy_sigma": Sourced(0.5, "code, networks.py"),
    "noisy_epsilon": Sourced(True, "code, Agent.py: epsilon beside the noise"),
    "epsilon_schedule": Sourced("asymptotic", "code, Agent.py: a share of what is left in every step"),
    "epsilon_steps": Sourced(2_000_000, "code, Agent.py: eps_steps"),
    "epsilon_end": Sourced(0.01, "code, Agent.py: eps_final"),
    "epsilon_last_steps": Sourced(25_000_000, "code, Agent.py: half of the run, 100M frames"),
    "eval_epsilon": Sourced(0.01, "code, Agent.py: choose_action"),
    "num_envs": Sourced(64, "code, main.py: envs"),
    "learn_period_steps": Sourced(64, "code, main.py: one update for each step of all environments"),
    "batch_size": Sourced(256, "code, main.py: bs"),
    "learning_rate": Sourced(1e-4, "code, main.py: lr"),
    "adam_eps": Sourced(0.005 / 256, "code, Agent.py"),
    "max_grad_norm": Sourced(10.0, "code, Agent.py"),
    "gamma": Sourced(0.997, "code, main.py: discount"),
    "target_update_period_updates": Sourced(500, "code, main.py: c"),
    "alpha": Sourced(0.2, "code, Agent.py: per_alpha"),
    "beta_start": Sourced(0.4, "code, Agent.py: per_beta"),
    "beta_end": Sourced(1.0, "code, Agent.py"),
    "capacity": Sourced(1_048_576, "code, Agent.py: max_mem_size"),
    "min_replay_steps": Sourced(200_000, "code, Agent.py: min_sampling_size"),
    "sticky_probability": Sourced(0.25, "ALE/...-v5 as the code makes it (Machado et al. 2018)"),
    "life_loss": Sourced(False, "code, main.py: life_info 0"),
    "steps": Sourced(50_000_000, "200M frames"),
}

_TABLE = "appendix, table of hyperparameters"

DER: Table = {
    **from_one(
        "Rainbow's parts", double=True, dueling=True, prioritized=True, noisy=True, loss="cross_entropy"
    ),
    "n_step": Sourced(20, f"{_TABLE} (Dopamine's DER takes 10)"),
    "torso": Sourced("data_efficient", f"{_TABLE}: 32 and 64 channels, 5 x 5, stride 5"),
    "head_size": Sourced(256, _TABLE),
    "learning_rate": Sourced(1e-4, _TABLE),
    "adam_eps": Sourced(1.5e-4, "Rainbow's, Hessel et al. 2018, table 1"),
    "learn_period_steps": Sourced(1, _TABLE),
    "num_envs": Sourced(1, "one environment"),
    "min_replay_steps": Sourced(1_600, _TABLE),
    "target_update_period_updates": Sourced(2_000, _TABLE),
    "alpha": Sourced(0.5, "Rainbow's, Hessel et al. 2018, table 1"),
    "batch_size": Sourced(32, "Rainbow's"),
    "capacity": Sourced(100_000, "all steps are kept"),
    "max_grad_norm": Sourced(10.0, "Wang et al. 2016, as every Atari preset here"),
    "steps": Sourced(100_000, "the budget, 400,000 frames"),
    "checkpoint_period_steps": Sourced(10_000, "ours"),
}
