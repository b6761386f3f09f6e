"""The card of a run: Markdown for people, above it the metadata that the Hugging Face hub reads.

https://huggingface.co/docs/hub/model-cards; the metadata are YAML, of which JSON values are a part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mujigae.config.run import Run
from mujigae.runs import checkpoint, own_folders

__all__ = ["card_of"]

_TASK = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
_PICTURES = (
    ("play.gif", "A game"),
    ("curve.png", "Learning curve"),
    ("progress.png", "Loss, exploration and values"),
    ("q_values.png", "What the agent expected"),
)


def card_of(folder: Path, config: Run, *, name: str) -> str:
    """The card of a folder with the files that are pushed; `name` is the run's."""
    evaluation = _evaluation(folder)
    lines = ["---", *_metadata(config, evaluation), "---", "", *_text(folder, config, evaluation, name)]
    return "\n".join(lines) + "\n"


def _metadata(config: Run, evaluation: dict[str, float] | None) -> Iterator[str]:
    tags = [
        "reinforcement-learning",
        "deep-reinforcement-learning",
        "mujigae",
        config.preset,
        config.env.env_id,
    ]
    yield "library_name: mujigae"
    yield "pipeline_tag: reinforcement-learning"
    yield f"tags: {json.dumps(tags)}"
    if evaluation is not None:
        metric = {"type": "mean_reward", "name": "mean_reward", "value": round(evaluation["mean_return"], 2)}
        dataset = {"type": config.env.env_id, "name": config.env.env_id}
        result = {"task": _TASK, "dataset": dataset, "metrics": [metric]}
        yield f"model-index: {json.dumps([{'name': config.preset, 'results': [result]}])}"


def _text(folder: Path, config: Run, evaluation: dict[str, float] | None, name: str) -> Iterator[str]:
    yield from (f"# {_code(config.preset)} on {_code(config.env.env_id)}", "")
    yield from (f"An agent trained with mujigae for {_steps(folder):,} steps, seed {config.seed}.", "")
    if evaluation is not None:
        yield (
            f"The best network returned {evaluation['mean_return']:.1f} +- {evaluation['standard_error']:.1f} "
            f"(standard error) in the {evaluation['episodes']:.0f} games that it was chosen by."
        )
        yield ""
    for file, title in _PICTURES:
        if (folder / file).exists():
            yield from (f"![{title}]({file})", "")
    extra = "atari" if config.env.env_id.startswith("ALE/") else "train"
    best = "" if evaluation is None else " --best"
    yield from ("## Play it", "", "```sh", f'pip install "mujigae[{extra},hub]"')
    yield f"mujigae pull hf://USER/NAME --name {_word(name)}  # or this folder"
    yield f"mujigae evaluate {_word(name)}{best}"
    yield from ("```", "", "## What a score depends on", "", _code(_protocol(folder)), "")
    yield from ("## Configuration", "", "```json", json.dumps(config.flat(), indent=1), "```")


def _evaluation(folder: Path) -> dict[str, float] | None:
    """What the best snapshot scored when it was chosen; None where there is none."""
    if own_folders.find(folder / own_folders.BEST) is None:
        return None
    row: Any = checkpoint.best_state(folder).get("evaluation")
    names = ("mean_return", "standard_error", "episodes")
    if not isinstance(row, dict) or not all(isinstance(row.get(name), int | float) for name in names):
        return None
    found = {name: float(row[name]) for name in names}
    return found if all(map(math.isfinite, found.values())) else None


def _steps(folder: Path) -> int:
    places = own_folders.checkpoints(folder) or [folder / own_folders.BEST]
    return checkpoint.verify(places[-1])


def _protocol(folder: Path) -> str:
    path = folder / "protocol.txt"
    return path.read_text(encoding="utf-8", errors="replace")[:4_000] if path.exists() else "not recorded"


def _code(text: str) -> str:
    """As a span of code: what a name has in it means nothing there."""
    return f"`{' '.join(text.replace('`', chr(39)).split()) or ' '}`"


def _word(name: str) -> str:
    """A name that a shell takes as it is."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
