"""The loop: what is collected, stored, learned and closed, step by step, on tiny environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mujigae
from mujigae.agents.presets import resolve
from mujigae.config.run import Run
from mujigae.envs.steps import Episode, Steps
from mujigae.errors import ConfigError, MujigaeError
from mujigae.seeds import child_seed
from mujigae.training.loop import Training, build, is_finished, run

SMALL: dict[str, Any] = {
    "num_envs": 3,
    "hidden_sizes": (8,),
    "head_size": 0,
    "batch_size": 4,
    "capacity": 300,
    "min_replay_steps": 12,
    "learn_period_steps": 3,
    "num_updates": 1,
    "tau": 1.0,
    "target_update_period_updates": 250,
    "steps": 60,
    "checkpoint_period_steps": 1_000,
    "log_period_steps": 30,
    "num_threads": 1,
}


def tiny(preset: str = "dqn", env_id: str = "CartPole-v1", **changes: Any) -> Run:
    return resolve(preset, env_id, {**SMALL, **changes})


def spy_on_adds(training: Training) -> list[dict[str, Any]]:
    """Records the arguments of every add, which goes through unchanged."""
    calls: list[dict[str, Any]] = []
    add = training.buffer.add

    def recording_add(*args: Any, **kwargs: Any) -> None:
        names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
        calls.append({**dict(zip(names, args, strict=True)), **kwargs})
        add(*args, **kwargs)

    training.buffer.add = recording_add
    return calls


def spy_on_resets(training: Training) -> list[int]:
    seeds: list[int] = []
    reset = training.environment.stream.reset

    def recording_reset(seed: int | None = None) -> Any:
        seeds.append(int(seed or 0))
        return reset(seed)

    training.environment.stream.reset = recording_reset  # type: ignore[method-assign]
    return seeds


def fake_steps(training: Training, **changes: Any) -> None:
    """Replaces the environment's answers in part; observations stay real."""
    step = training.environment.stream.step

    def changed(action: Any) -> Steps:
        return step(action)._replace(**{name: make() for name, make in changes.items()})

    training.environment.stream.step = changed  # type: ignore[method-assign]


def test_steps_are_decisions_over_all_environments_until_the_budget() -> None:
    progress = list(run(build(tiny())))
    assert [p.step for p in progress] == list(range(3, 61, 3))
    assert [p.is_checkpoint for p in progress] == [False] * 19 + [True]


def test_budget_that_is_no_multiple_of_the_environments_is_passed_by_less_than_one_vector_step() -> None:
    *_, last = run(build(tiny(steps=61)))
    assert last.step == 63
    assert last.is_checkpoint


def test_checkpoint_closes_no_episode_and_resets_no_environment() -> None:
    training = build(tiny(env_id="mujigae/Chain-v0", steps=30, checkpoint_period_steps=12))
    calls, seeds = spy_on_adds(training), spy_on_resets(training)
    checkpoints = [p.is_checkpoint for p in run(training)]
    assert checkpoints == [step in (12, 24, 30) for step in range(3, 31, 3)]
    assert len(seeds) == 1
    assert not any(
        call["truncated"].any() for call in calls
    )  # Chain has a limit of 40 steps: never reached here
    assert training.buffer.num_silent_boundaries == 0


def test_exact_resume_ends_open_episodes_at_each_checkpoint_and_only_there() -> None:
    training = build(
        tiny("n_step", "mujigae/Chain-v0", steps=30, checkpoint_period_steps=12, n_step=9, exact_resume=True)
    )
    for progress in run(training):
        is_ready = len(training.buffer) == progress.step
        assert is_ready == progress.is_checkpoint, "all rows can be drawn once every episode has ended"
    assert training.buffer.num_silent_boundaries == 0


def test_exact_resume_follows_every_checkpoint_by_a_reset_with_a_seed_of_its_own() -> None:
    training = build(tiny(steps=36, checkpoint_period_steps=12, seed=5, exact_resume=True))
    seeds = spy_on_resets(training)
    list(run(training))
    assert seeds == [child_seed(5, "environments", number) for number in range(3)]
    assert len(set(seeds)) == 3


def test_learner_sees_clipped_rewards_while_scores_stay_raw() -> None:
    training = build(tiny(clip_rewards=True))
    calls = spy_on_adds(training)
    games = (Episode(0, 7.5, 3),)
    fake_steps(training, reward=lambda: np.array([5.0, -0.25, -9.0]), episodes=lambda: games)
    progress = next(run(training))
    np.testing.assert_array_equal(calls[0]["reward"], [1.0, -0.25, -1.0])
    assert progress.episodes == games
    assert list(training.counters.recent_scores) == [7.5]


def test_rewards_are_stored_as_they_are_without_clipping() -> None:
    training = build(tiny())
    calls = spy_on_adds(training)
    fake_steps(training, reward=lambda: np.array([5.0, -0.25, -9.0]))
    next(run(training))
    np.testing.assert_array_equal(calls[0]["reward"], [5.0, -0.25, -9.0])


def test_vector_step_without_rows_is_no_step() -> None:
    training = build(tiny())
    calls = spy_on_adds(training)
    step = training.environment.stream.step

    def no_rows(action: Any) -> Steps:
        return Steps(*[field[:0] for field in step(action)[:-1]], ())

    training.environment.stream.step = no_rows  # type: ignore[method-assign]
    assert next(run(training)).step == 0
    assert calls == []


def test_rows_of_some_environments_only_are_stored_under_their_numbers() -> None:
    training = build(tiny())
    calls = spy_on_adds(training)
    step = training.environment.stream.step

    def some_rows(action: Any) -> Steps:
        return Steps(*[field[[0, 2]] for field in step(action)[:-1]], ())

    training.environment.stream.step = some_rows  # type: ignore[method-assign]
    assert next(run(training)).step == 2
    assert calls[0]["env_ids"].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("period", "num_updates", "expected"),
    [
        (3, 1, [0, 0, 0, 1, 1, 1]),
        (3, 4, [0, 0, 0, 4, 4, 4]),
        (6, 1, [0, 0, 0, 1, 0, 1]),
        (1, 1, [0, 0, 0, 3, 3, 3]),
    ],
)
def test_updates_begin_with_the_minimum_and_come_by_period(
    period: int, num_updates: int, expected: list[int]
) -> None:
    config = tiny(steps=18, min_replay_steps=12, learn_period_steps=period, num_updates=num_updates)
    assert [len(p.updates) for p in run(build(config))] == expected


def test_priorities_go_back_unweighted_under_the_keys_of_their_batch() -> None:
    training = build(tiny("prioritized", steps=12))
    batches, updates = [], []
    sample, update = training.buffer.sample, training.buffer.update_priorities

    def recording_sample(*args: Any, **kwargs: Any) -> Any:
        batches.append(sample(*args, **kwargs))
        return batches[-1]

    def recording_update(key: Any, priorities: Any) -> Any:
        updates.append((key, priorities))
        return update(key, priorities)

    training.buffer.sample, training.buffer.update_priorities = recording_sample, recording_update
    *_, last = run(training)
    assert len(batches) == len(updates) == len(last.updates) == 1
    np.testing.assert_array_equal(updates[0][0], batches[0].key)
    np.testing.assert_array_equal(updates[0][1], last.updates[0].priorities.numpy())


def test_beta_of_the_step_reaches_the_sampler() -> None:
    training = build(tiny("prioritized", steps=120, beta_start=0.5, beta_end=1.0))
    betas = []
    sample = training.buffer.sample

    def recording_sample(batch_size: int, beta: float) -> Any:
        betas.append(beta)
        return sample(batch_size, beta=beta)

    training.buffer.sample = recording_sample
    progress = list(run(training))
    assert betas == [p.beta for p in progress if p.updates]
    assert progress[0].beta == 0.5
    assert progress[4].beta == 0.5  # the first update, after 12 steps
    assert progress[22].beta == pytest.approx(0.75)  # 54 of the 108 steps from there on were taken before it


def test_step_reaches_the_agent_whose_epsilon_depends_on_it() -> None:
    training = build(tiny(epsilon_steps=30, epsilon_end=0.1))
    steps, epsilons = [], []
    act = training.agent.act

    def recording_act(obs: Any, step: int) -> Any:
        steps.append(step)
        action = act(obs, step)
        epsilons.append(training.agent.scalars()["epsilon"])
        return action

    training.agent.act = recording_act  # type: ignore[method-assign]
    list(run(training))
    assert steps == list(range(0, 60, 3))
    assert [epsilons[i] for i in (0, 4, 9, 14, -1)] == pytest.approx([1.0, 1.0, 0.55, 0.1, 0.1])


def test_stop_score_needs_a_hundred_finished_games() -> None:
    training = build(tiny(steps=10_000, min_replay_steps=20_000, stop_score=5.0))
    fake_steps(training, episodes=lambda: (Episode(0, 5.0, 1), Episode(1, 9.0, 1)))
    *_, last = run(training)
    assert training.counters.episodes == 100
    assert last.is_checkpoint
    assert is_finished(training)


def test_score_below_the_stop_score_goes_on() -> None:
    training = build(tiny(steps=600, min_replay_steps=20_000, stop_score=5.0))
    fake_steps(training, episodes=lambda: (Episode(0, 4.9, 1),))
    *_, last = run(training)
    assert last.step == 600


def test_minutes_are_a_budget_too() -> None:
    training = build(tiny(steps=10**9, minutes=1e-3, min_replay_steps=10**9))
    *_, last = run(training)
    assert last.is_checkpoint
    assert 0.06 <= last.seconds < 5.0


def test_run_that_was_asked_to_stop_ends_with_a_checkpoint_at_once() -> None:
    training = build(tiny())
    seen = list(run(training, should_stop=lambda: training.counters.steps == 12))
    assert [(p.is_checkpoint, p.is_last) for p in seen] == [(False, False)] * 3 + [(True, True)]


def test_exact_run_that_was_asked_to_stop_between_two_checkpoints_ends_without_one() -> None:
    training = build(tiny(exact_resume=True))
    seen = list(run(training, should_stop=lambda: training.counters.steps == 12))
    assert [(p.is_checkpoint, p.is_last) for p in seen] == [(False, False)] * 3 + [(False, True)]


def test_finished_run_yields_nothing() -> None:
    training = build(tiny())
    list(run(training))
    assert list(run(training)) == []


def test_emulator_frames_are_counted_beside_decisions() -> None:
    training = build(tiny())
    training.environment.frames_per_step = 4
    assert [(p.step, p.frames) for p in run(training)][:2] == [(3, 12), (6, 24)]


@pytest.mark.parametrize("preset", ["dqn", "prioritized"])
def test_loss_that_is_no_longer_finite_is_said(preset: str) -> None:
    training = build(tiny(preset, log_period_steps=3))
    with torch.no_grad():
        for parameter in training.agent.online.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(MujigaeError, match="training diverged at step 12: the loss is nan"):
        list(run(training))


def test_diverged_network_reaches_no_checkpoint() -> None:
    """Also where the steps that learn are not those that close a log period."""
    training = build(tiny(learn_period_steps=12, log_period_steps=10_000, checkpoint_period_steps=40))
    seen = run(training)
    assert next(p.step for p in seen if p.is_checkpoint) == 42
    with torch.no_grad():
        next(training.agent.online.parameters()).fill_(float("nan"))
    with pytest.raises(MujigaeError, match="training diverged at step 60: the loss is nan"):
        list(seen)


def test_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    def losses(seed: int) -> list[float]:
        return [float(u.metrics["loss"]) for p in run(build(tiny("rainbow", seed=seed))) for u in p.updates]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_compressed_frames_take_less_room_and_change_nothing_else(tmp_path: Path) -> None:
    """On frames large enough to be compressed, of a real game."""
    trained = []
    for compress in (False, True):
        training = build(
            tiny("prioritized", "ALE/Pong-v5", frame_size=42, torso="small_pixels", compress=compress)
        )
        list(run(training))
        trained.append(training)
    plain, compressed = trained
    plain.buffer.save(tmp_path / "plain")
    compressed.buffer.save(tmp_path / "compressed")
    assert (tmp_path / "compressed").stat().st_size < (tmp_path / "plain").stat().st_size / 2
    tensors = compressed.agent.tensors()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in plain.agent.tensors().items())


def test_truncation_is_bootstrapped_all_the_way_to_the_infinite_sum() -> None:
    """One state, reward 1 in every step, cut after 5: Q is 1 / (1 - gamma), not the sum of five rewards."""
    config = tiny(
        env_id="mujigae/Loop-v0",
        steps=2_400,
        gamma=0.8,
        batch_size=16,
        learning_rate=3e-3,
        target_update_period_updates=20,
        checkpoint_period_steps=10_000,
    )
    training = build(config)
    list(run(training))
    obs = torch.from_numpy(training.environment.stream.obs)
    reward = 1.0
    q = training.agent.online(obs)[..., 0].detach().max(1).values
    torch.testing.assert_close(q, torch.full_like(q, reward / (1 - 0.8)), atol=0.15, rtol=0)


@pytest.mark.parametrize(
    ("changes", "sampler"),
    [
        ({}, mujigae.Uniform()),
        ({"replacement": False}, mujigae.Uniform(replacement=False)),
        ({"prioritized": True, "alpha": 0.5}, mujigae.Proportional(0.5, 0.4)),
        (
            {"prioritized": True, "uniform_share": 0.1, "priority_eps": 1e-3},
            mujigae.Proportional(0.6, 0.4, 1e-3, uniform_share=0.1),
        ),
        ({"prioritized": True, "sampler": "rank_based", "alpha": 0.7}, mujigae.RankBased(0.7, 0.4)),
    ],
    ids=str,
)
def test_rows_are_drawn_by_the_configured_sampler(changes: dict[str, Any], sampler: object) -> None:
    training = build(tiny(**changes))
    assert training.buffer.sampler == sampler
    list(run(training))
    assert training.counters.updates > 0


def test_updates_wait_for_a_whole_batch_of_distinct_rows() -> None:
    config = tiny(prioritized=True, replacement=False, batch_size=20, min_replay_steps=3, steps=30)
    assert [len(p.updates) for p in run(build(config))] == [0] * 6 + [1] * 4


@pytest.mark.parametrize("changes", [{"replacement": False}, {"uniform_share": 0.5}], ids=str)
def test_ranks_are_drawn_with_replacement_and_by_rank_alone(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(changes))}: expected .* with rank_based"):
        tiny(prioritized=True, sampler="rank_based", **changes)
