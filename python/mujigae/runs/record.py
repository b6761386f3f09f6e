"""Films one game of a trained run, and draws what the agent expected along it."""

from __future__ import annotations

from pathlib import Path

from mujigae.pictures import distributions, video
from mujigae.runs import folder as run_folder
from mujigae.runs.closing import closed_in_the_end
from mujigae.seeds import child_seed
from mujigae.training.evaluate import play
from mujigae.training.loop import learner_reward

__all__ = ["record_run"]

_ATARI_FRAMES_PER_SECOND = 60
_RENDERED_STEPS_PER_SECOND = 30
_FILM_MOMENTS_PER_SECOND = 12


def record_run(
    folder: Path,
    max_steps: int = 4_000,
    device: str | None = None,
    network: run_folder.Network = "latest",
    *,
    trust_modules: bool = False,
) -> list[Path]:
    """Films one game of the latest checkpoint, the best snapshot or the untrained network; draws what it expected.

    Writes play.gif, play.mp4 and q_values.png, for an agent with return distributions distributions.png, .gif and .mp4 too;
    of another network than the latest the names begin with "best_" or "untrained_".
    """
    config, environment, agent = run_folder.load_player(
        folder, num_envs=1, device=device, render=True, network=network, trust_modules=trust_modules
    )
    is_atari = environment.family == "atari"
    fps = _ATARI_FRAMES_PER_SECOND / environment.frames_per_step if is_atari else _RENDERED_STEPS_PER_SECOND
    prefix = "" if network == "latest" else f"{network}_"
    game = distributions.Game(environment.action_names)
    with closed_in_the_end(environment):
        seed = child_seed(config.seed, "recording")
        moments = play(agent, environment, seed=seed, max_steps=max_steps)
        paths = [*video.record(game.watch(moments), folder, f"{prefix}play", fps)]
    if game.has_values:
        rewards = learner_reward(config, game.rewards)
        out = folder / f"{prefix}q_values.png"
        paths.append(distributions.draw_values(game, rewards, config.replay.gamma, out))
    if game.has_distributions:
        paths.append(distributions.draw_moments(game, folder / f"{prefix}distributions.png"))
        frames, stem = distributions.film(game), f"{prefix}distributions"
        paths += video.record(frames, folder, stem, _FILM_MOMENTS_PER_SECOND, gif_side=640)
    return paths
