"""Options that change nothing in a run: given on a command line, they look as if they did something."""

from __future__ import annotations

from collections.abc import Iterable

from mujigae.config.run import Needs, Run

__all__ = ["unused_lines"]

_OF_PRIORITIES = ("sampler", "uniform_share", "alpha", "beta_start", "beta_end", "beta_steps")
_OF_ATARI = (
    *("frame_size", "frame_stack", "frame_skip", "max_frames_per_episode", "full_action_set"),
    *("sticky_probability", "life_loss", "fire_reset", "num_noops"),
)


def unused_lines(run: Run, given: Iterable[str]) -> list[str]:
    """A line for each option in `given`, by its name in `Run.flat`, that changes nothing in `run`."""
    missing = {name: need.what for need in _needs(run) if not need.is_there for name in need.names}
    return [
        f"--{name.replace('_', '-')} changes nothing here: it needs {missing[name]}"
        for name in given
        if name in missing
    ]


def _needs(run: Run) -> tuple[Needs, ...]:
    return (
        Needs("--prioritized", run.replay.prioritized, _OF_PRIORITIES),
        Needs("an Atari game (--env ALE/...)", run.env.env_id.startswith("ALE/"), _OF_ATARI),
        *run.agent.needs(),
    )
