"""Chunks come out of the wire as they went in, and cost one frame a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rows

from mujigae.distributed.chunk import Step, decode, encode
from mujigae.replay.spaces import ObsLayout

STACKED = ObsLayout.of(rows.OBS, rows.STACK)
NESTED = ObsLayout.of({"image": ((2, 3), np.uint8), "speed": ((1,), np.float32)}, {"image": 2})


def random_steps(rng: Any, layout: ObsLayout, num_steps: int, continues: float) -> list[Step]:
    """Steps of some of four lanes; an observation is the lane's last successor, or (1 - continues) another one."""
    held: dict[int, list[Any]] = {}
    steps = []
    for _ in range(num_steps):
        lanes = np.flatnonzero(rng.random(4) < 0.8)
        lanes = lanes if len(lanes) else np.array([2])
        before, after = zip(*(transition(rng, layout, held, lane, continues) for lane in lanes), strict=True)
        obs, next_obs = (
            layout.unflatten([np.stack(part) for part in zip(*leaves, strict=True)])
            for leaves in (before, after)
        )
        flags = rng.random((2, len(lanes))) < 0.2
        steps.append(
            Step(lanes, obs, lanes * 2, rng.random(len(lanes)), next_obs, *flags, rng.random(len(lanes)))
        )
    return steps


def transition(rng: Any, layout: ObsLayout, held: dict[int, list[Any]], lane: int, continues: float) -> Any:
    def fresh(spec: Any) -> Any:
        return rng.integers(0, 9, spec.shape).astype(spec.dtype)

    if lane not in held or rng.random() > continues:
        held[lane] = [fresh(spec) for spec in layout.specs]
    obs = held[lane]
    held[lane] = [
        np.concatenate([old[1:], fresh(spec)[-1:]]) if spec.stack > 1 else fresh(spec)
        for spec, old in zip(layout.specs, obs, strict=True)
    ]
    return obs, held[lane]


def in_order(steps: Any, layout: ObsLayout) -> list[Any]:
    """Every row of the steps, one after another, as bytes."""
    out = []
    for step in steps:
        fields = (*layout.flatten("obs", step.obs), step.action, step.reward)
        fields = (
            *fields,
            *layout.flatten("next_obs", step.next_obs),
            step.terminated,
            step.truncated,
            step.priority,
        )
        num_steps = len(step.reward) if step.reward.ndim == 2 else 1
        flat = [np.asarray(field).reshape(num_steps * len(step.env_ids), -1) for field in fields]
        lanes = np.tile(step.env_ids, num_steps)
        out += [(int(lane), *(field[i].tobytes() for field in flat)) for i, lane in enumerate(lanes)]
    return out


@pytest.mark.parametrize("layout", [STACKED, NESTED], ids=["stacks", "nested"])
@pytest.mark.parametrize("continues", [0.0, 0.7, 1.0])
def test_rows_come_back_bit_for_bit_whatever_lanes_took_part(layout: ObsLayout, continues: float) -> None:
    rng = np.random.default_rng(0)
    for num_steps in (1, 2, 17):
        steps = random_steps(rng, layout, num_steps, continues)
        assert in_order(decode(encode(steps, layout), layout), layout) == in_order(steps, layout)


def test_stacks_that_do_not_roll_come_back_as_they_were() -> None:
    rng = np.random.default_rng(0)
    steps = random_steps(rng, STACKED, 5, 1.0)
    broken = steps[2]._replace(next_obs=rng.integers(0, 9, steps[2].next_obs.shape, dtype=np.uint8))
    steps[2] = broken
    assert in_order(decode(encode(steps, STACKED), STACKED), STACKED) == in_order(steps, STACKED)


def test_a_row_in_the_middle_of_an_episode_costs_one_frame() -> None:
    (frames,) = rows.rows_of(0, rows.EPISODE_STEPS).frames
    assert len(frames.pool) == rows.NUM_LANES * (rows.STACK + rows.EPISODE_STEPS)


def test_neighbouring_steps_of_the_same_lanes_are_one_block() -> None:
    steps = [rows.step_of(0), rows.step_of(1), rows.step_of(2, lanes=(1,)), rows.step_of(3)]
    blocks = decode(encode(steps, STACKED), STACKED)
    assert [block.reward.shape for block in blocks] == [(2, 2), (1, 1), (1, 2)]


def test_observations_are_never_cast() -> None:
    wrong = rows.step_of(0)._replace(obs=np.zeros((2, *rows.OBS.shape), np.float32))
    with pytest.raises(TypeError, match=r"obs: expected dtype uint8 .* got float32"):
        encode([wrong], STACKED)
