"""What an actor does alone: whole rows with the learner's priorities, and a spread of exploration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mujigae
from mujigae.agents.presets import resolve
from mujigae.distributed import collector as module
from mujigae.distributed.chunk import decode, encode
from mujigae.distributed.collector import Collector, Policy, spread
from mujigae.distributed.ledger import Standing
from mujigae.distributed.plan import Plan
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Elsewhere
from mujigae.distributed.shard_server import ShardServer
from mujigae.distributed.shares import Shares
from mujigae.training import loop
from mujigae.training.batches import draw_batch

SMALL = {"num_envs": 2, "hidden_sizes": (16,), "head_size": 16, "min_replay_steps": 20, "capacity": 1000}


def collector(preset: str, env_id: str = "CartPole-v1", actor: int = 0, **options: Any) -> Collector:
    config = resolve(preset, env_id, {**SMALL, **options})
    return Collector(config, actor=actor, num_actors=2, life=1, first_lane=2 * actor, chunk_steps=8)


def policy_of(agent: Any, version: int, step: int) -> Policy:
    return Policy(version, step, {name: value.numpy() for name, value in agent.policy().items()})


@pytest.mark.parametrize("preset", ["prioritized", "rainbow"])
def test_first_priorities_are_those_that_the_learner_would_give(preset: str) -> None:
    """Of rows whose n-step window lies in the chunk; noise is silent, so that they are numbers and no draws."""
    one = collector(preset, noisy=False, n_step=3)
    rows, _ = one.collect()
    (block,) = decode(rows, one.layout)
    buffer = loop.make_buffer(one.config, one.environment, type(one.agent))
    buffer.extend(*block[1:7], block.env_ids)
    batch = draw_batch(buffer, one.agent, 200)
    expected = one.agent.learn(batch).priorities  # worked out before the step is taken
    first = {(int(t), int(e)): block.priority[t, e] for t in range(8) for e in range(2)}
    assert buffer.priorities(batch.key).min() > 0
    found = {obs.tobytes(): value for obs, value in zip(batch.obs.numpy(), expected.tolist(), strict=True)}
    compared = [
        (first[t, e], found[block.obs[t, e].tobytes()])
        for t, e in first
        if block.obs[t, e].tobytes() in found
    ]
    assert len(compared) > 4
    np.testing.assert_allclose(*zip(*compared, strict=True), rtol=1e-4)


def test_batches_of_an_actors_rows_are_those_of_a_buffer_that_was_given_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Field by field, weights and priorities included, over more rows than there is room for, and truncated games too."""
    steps: list[Any] = []
    monkeypatch.setattr(module, "encode", lambda part, layout: steps.extend(part) or encode(part, layout))
    one = collector("prioritized", n_step=3, capacity=300, env_kwargs=("max_episode_steps=15",))
    plan = Plan(one.config, loop.make_buffer(one.config, one.environment, type(one.agent))._spec, 1, 1)
    server = ShardServer(plan.shards(tmp_path)[0]._replace(slack=1e9, min_rows=1))
    buffer = mujigae.PrioritizedReplayBuffer._of_spec(plan.spec, None)
    buffer.reseed(plan.shards(tmp_path)[0].seed)
    sender, shares = Sender(0, 1, Standing()), Shares(1)
    for number in range(30):
        sender.put(one.collect()[0])
        sender.answered(number + 1, server.add(sender.next()))  # type: ignore[arg-type]
        for step in steps:
            buffer.add(*step[1:7], step.env_ids, priority=step.priority)
        steps.clear()
        for _ in range(3):
            (pulled,), batch = server.pull(16, Elsewhere()), buffer.sample(16, beta=0.7)
            shares.known = [pulled.share]
            weight = shares.weights(0, pulled.batch.probability, 0.7)
            for name, value in pulled.batch._replace(weight=weight)._asdict().items():
                assert np.array_equal(value, getattr(batch, name)), name
            priorities = 0.1 + np.abs(batch.reward * batch.action)
            assert server.update(pulled.incarnation, pulled.batch.key, priorities) == 16
            buffer.update_priorities(batch.key, priorities)
    assert len(buffer) == 300
    server.close()


def test_a_policy_is_the_learners_network_and_moves_nothing_else() -> None:
    one, learner = collector("dqn"), collector("dqn", actor=1).agent
    one.take(policy_of(learner, 3, 100))
    obs = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    rng = np.random.default_rng(0)
    assert np.array_equal(one.agent.explain(obs).values, learner.explain(obs).values)  # type: ignore[union-attr]
    assert np.array_equal(
        one.agent.act_for_evaluation(obs, rng), learner.act_for_evaluation(obs, np.random.default_rng(0))
    )
    assert one.version == 3
    one.take(policy_of(collector("dqn", seed=5).agent, 2, 90))  # late
    assert np.array_equal(one.agent.explain(obs).values, learner.explain(obs).values)  # type: ignore[union-attr]


def test_epsilons_are_spread_over_the_environments_of_all_actors() -> None:
    epsilons = spread(8)
    assert epsilons[0] == pytest.approx(0.4)
    assert epsilons[-1] == pytest.approx(0.4**8)
    assert (np.diff(epsilons) < 0).all()
    agents = [collector("dqn", actor=a).agent for a in range(2)]
    found = [agent.exploration.epsilon_at(10_000) for agent in agents]  # type: ignore[attr-defined]
    assert sorted(np.concatenate(found)) == pytest.approx(sorted(spread(4)))
    assert np.array_equal(agents[0].exploration.epsilon_at(0), [1.0, 1.0])  # type: ignore[attr-defined]


def test_noisy_networks_explore_by_their_noise_alone() -> None:
    agent: Any = collector("rainbow").agent
    assert agent.exploration.epsilon_at(10_000) == 0.0


def test_chunk_of_a_slow_environment_ends_when_its_time_is_up() -> None:
    one = collector("prioritized")
    rows, _ = one.collect(seconds=0.0)
    assert len(rows.env_ids) == 2  # one vector step
    assert len(one.collect()[0].env_ids) == 16


def test_actors_and_their_successors_see_different_games() -> None:
    config = resolve("dqn", "CartPole-v1", SMALL)
    first = [
        Collector(
            config, actor=actor, num_actors=2, life=life, first_lane=0, chunk_steps=2
        ).environment.stream.obs.tobytes()
        for actor in range(2)
        for life in (1, 2)
    ]
    assert len({*first}) == 4


def test_rows_are_in_the_lanes_of_their_actor() -> None:
    one = collector("dqn", actor=1)
    rows, _ = one.collect()
    assert {*rows.env_ids.tolist()} == {2, 3}
    assert rows.priority is None  # uniform draws have none
    assert torch.get_num_threads() == 1
