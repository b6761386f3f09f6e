"""Tunes the learning rate of dqn on CartPole with Optuna, in one process, and ends hopeless trials early.

pip install "mujigae[train]" optuna && python optuna_learning_rate.py

Each trial is a run of `mujigae train dqn` without its folder. After every 2,000 steps it reports the mean score of the last
20 games, and Optuna ends those that are worse than the median of the others at that step.
"""

from __future__ import annotations

import argparse

import optuna

from mujigae.agents.presets import resolve
from mujigae.errors import MujigaeError
from mujigae.training.loop import build, run

REPORT_PERIOD_STEPS, NUM_GAMES = 2_000, 20


def score_of(trial: optuna.Trial, steps: int, seed: int) -> float:
    """Trains one agent; raises TrialPruned where Optuna ends it early."""
    learning_rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    options = {"learning_rate": learning_rate, "steps": steps, "seed": seed, "num_threads": 1}
    training = build(resolve("dqn", "CartPole-v1", options))
    try:
        score, next_report = 0.0, REPORT_PERIOD_STEPS
        for progress in run(training):
            if progress.step < next_report:
                continue
            next_report += REPORT_PERIOD_STEPS
            games = list(training.counters.recent_scores)[-NUM_GAMES:]
            score = sum(games) / max(len(games), 1)
            trial.report(score, progress.step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score
    except MujigaeError as error:  # a loss that is no longer finite
        raise optuna.TrialPruned(str(error)) from error
    finally:
        training.environment.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=options.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    study.optimize(lambda trial: score_of(trial, options.steps, options.seed), n_trials=options.trials)
    ended = [trial.state.name for trial in study.trials]
    print(f"{ended.count('COMPLETE')} trials to the end, {ended.count('PRUNED')} ended early")
    print(f"best: learning_rate {study.best_params['learning_rate']:.2g}, score {study.best_value:.1f}")


if __name__ == "__main__":
    main()
