"""The words of docs/results.md on what the agents learn: small tasks by preset (train/sweep.py), Pong by part
(train/parts.py)."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bench.train.studies import Study
from bench.train.tasks import TASKS, Task

CARTPOLE, PARTS, PONG = "cartpole.json", "pong-parts/parts.json", "pong_seeds.json"
HALF_CHEETAH, ELSEWHERE = "half_cheetah.json", "half_cheetah_elsewhere.json"
TARGET, HIGHEST = 495.0, 500.0

Table = Callable[[list[str], list[list[Any]]], str]
Results = dict[str, Any]


class Game(NamedTuple):
    score: float
    length_steps: int


def cartpole(folder: Path, table: Table) -> str:
    """One row for each preset; over its seeds."""
    if not (folder / CARTPOLE).exists():
        return "Not measured yet: `python bench/train/sweep.py`."
    results = json.loads((folder / CARTPOLE).read_text())
    presets: Results = results["presets"]
    header = ["preset", "interquartile mean", "highest", "lowest", "last network"]
    header += ["steps, median (most)", "seconds, median (least)"]
    rows = [cartpole_row(*row) for row in presets.items()]
    return "\n\n".join(
        [cartpole_verdict(presets), table(header, rows), sweep_note(results, TASKS["CartPole-v1"])]
    )


def sweep_note(results: Results, task: Task) -> str:
    """How the runs of a sweep were made, and what their scores are."""
    presets: Results = results["presets"]
    conditions = [f"{side_by_side(told['side_by_side'])} on {machine(told)}" for told in presets.values()]
    where = [f"{text} ({names(presets, conditions, text)})" for text in dict.fromkeys(conditions)]
    machines = ", ".join(where) if len(where) > 1 else conditions[0]
    unit = f" ({task.unit})" if task.unit else ""
    return (
        f"`{command(task, 'PRESET')}`, {seeds_of(presets)}, "
        f"{machines}, no GPU. A score is the mean of {results['episodes']} games{unit} of the best snapshot, which was chosen by other "
        'games; "last network" is the same for the network that the run ended with. Seconds are those of the whole command, film included.'
    )


def seeds_of(presets: Results) -> str:
    """Which seeds the runs had."""
    ranges = [f"{told['runs'][0]['seed']} to {told['runs'][-1]['seed']}" for told in presets.values()]
    different = list(dict.fromkeys(ranges))
    if len(different) == 1:
        first, _, last = different[0].partition(" to ")
        return f"seed {first}" if first == last else f"seeds {different[0]}"
    return "seeds " + ", ".join(f"{text} ({names(presets, ranges, text)})" for text in different)


def overview(folder: Path, table: Table, tasks: Iterable[Task]) -> str:
    """One row for each task that was measured: its best preset, what that reaches, and what others reach."""
    rows = []
    for task in tasks:
        if not (folder / task.file).exists():
            continue
        presets: Results = json.loads((folder / task.file).read_text())["presets"]
        name, told = max(presets.items(), key=lambda item: standing(item[1]))
        ends = told.get("interval", {}).get("best", ()) if len(told["runs"]) > 1 else ()
        interval = [f"{end:.1f}" for end in ends]
        steps = max(run["training"]["steps"] for run in told["runs"])
        anchors = ", ".join(f"{other} {score:g}" for other, score in task.anchors.items())
        rows.append(
            [
                task.env_id + (f" ({task.unit})" if task.unit else ""),
                f"`{command(task, name)}`",
                f"{told['interquartile_mean']['best']:.1f}",
                " to ".join(interval),
                len(told["runs"]),
                f"{steps:,}",
                f"{anchors} ({task.source})" if anchors else "",
            ]
        )
    header = ["task", "best preset", "score (interquartile mean)", "95% interval", "seeds", "steps, at most"]
    header += ["others"]
    return table(header, rows)


def standing(told: Results) -> tuple[float, float]:
    """By what presets are ordered: the interquartile mean, then the lower end of its interval."""
    return told["interquartile_mean"]["best"], told.get("interval", {}).get("best", [-math.inf])[0]


def command(task: Task, preset: str) -> str:
    return " ".join(["mujigae train", *task.command(preset)])


def of_task(folder: Path, table: Table, task: Task) -> str:
    """One row for each preset, beside what it has to reach, and what others reached."""
    if not (folder / task.file).exists():
        return f"Not measured yet: `python bench/train/sweep.py --env {task.env_id}`."
    results = json.loads((folder / task.file).read_text())
    presets: Results = results["presets"]
    header = ["preset", "seeds", "interquartile mean (95% interval)", "to reach", "lowest", "last network"]
    header += ["steps", "steps/s, median", "seconds, median (least)"]
    rows = [task_row(*row, task) for row in presets.items()]
    anchors = ", ".join(f"{name} {score:g}" for name, score in task.anchors.items())
    note = f"Elsewhere: {anchors} ({task.source}). With fewer than four seeds the interquartile mean is the mean."
    text = [task_verdict(presets, task), table(header, rows), sweep_note(results, task), note]
    curves = (folder / task.file).with_suffix(".png")
    if curves.exists():
        text.insert(1, f"![Return of each preset against steps and minutes](bench/results/{curves.name})")
    return "\n\n".join(text)


def of_study(folder: Path, table: Table, study: Study) -> str:
    """One row for each variant: what its networks reach after the same steps, and how many updates that takes."""
    if not (folder / study.file).exists():
        return f"Not measured yet: `python bench/train/sweep.py --study {study.name}`."
    results = json.loads((folder / study.file).read_text())
    variants: Results = results["presets"]
    header = [
        "variant",
        "best snapshot, mean (each seed)",
        "last network, mean (each seed)",
        "updates",
    ]
    rows = [study_row(name, told) for name, told in variants.items()]
    commands = "; ".join(
        f"`{name}` is `{' '.join(['mujigae train', *study.command(name)])}`" for name in variants
    )
    conditions = dict.fromkeys(
        f"{side_by_side(told['side_by_side'])} on {machine(told)}" for told in variants.values()
    )
    note = f"{commands}. {seeds_of(variants).capitalize()}, {', '.join(conditions)}; means of {results['episodes']} games each."
    picture = f"![Return of each variant against steps and minutes](bench/results/{Path(study.file).with_suffix('.png')})"
    return "\n\n".join([picture, table(header, rows), note])


def study_row(name: str, told: Results) -> list[Any]:
    scores = [
        f"{statistics.mean(means):.1f} ({', '.join(f'{one:.1f}' for one in means)})"
        for means in ([run[network]["mean"] for run in told["runs"]] for network in ("best", "last"))
    ]
    return [
        f"`{name}`",
        *scores,
        f"{statistics.median(run['training']['updates'] for run in told['runs']):,.0f}",
    ]


def steps_per_second(run: Results) -> float:
    return float(run["training"]["steps"] / (60 * run["training"]["minutes"]))


def pong(folder: Path, table: Table) -> str:
    """One row for each seed of `mujigae train pong`: how long it took to 18, and what the trained network scores."""
    if not (folder / PONG).exists():
        return "Not measured yet: `python bench/train/pong.py`."
    results = json.loads((folder / PONG).read_text())
    runs: Results = results["runs"]
    header = ["seed", "minutes to 18 over 20 games", "over 100 games", "steps", "steps/s", "evaluation"]
    (low, high), limit = results["minutes"]["interval"], results["max_minutes"]
    spread = f" (95% interval {low:.1f} to {high:.1f})" if len(runs) > 3 else ""
    verdict = (
        f"{results['num_reached']} of {len(runs)} seeds reach a mean of 18 over 100 games within {limit:g} minutes; "
        f"interquartile mean {results['minutes']['interquartile_mean']:.1f} minutes{spread}."
    )
    machines = ", ".join(dict.fromkeys(machine(run) for run in runs.values()))
    note = f"`mujigae train pong --seed SEED --minutes {limit:g}`, one run at a time on {machines}; ± is the standard error."
    return "\n\n".join([verdict, table(header, [pong_row(*row) for row in runs.items()]), note])


def pong_row(seed: str, run: Results) -> list[Any]:
    trained, played = run["training"], run["evaluation"]
    minutes = [trained["minutes_to_stop_score"][games] for games in ("20", "100")]
    return [
        seed,
        *("not reached" if one is None else f"{one:.1f}" for one in minutes),
        f"{trained['steps']:,}",
        f"{steps_per_second(run):.0f}",
        f"{played['mean']:.1f} ± {played['standard_error']:.1f} ({played['episodes']} games)",
    ]


def half_cheetah(folder: Path, table: Table) -> str:
    """TD3 of mujigae beside that of Stable-Baselines3 on either buffer: the last network's games, and how fast they train."""
    if not (folder / ELSEWHERE).exists():
        return "Not measured yet: `python bench/train/half_cheetah_elsewhere.py`."
    ours = json.loads((folder / HALF_CHEETAH).read_text())["presets"]["td3"]
    elsewhere = json.loads((folder / ELSEWHERE).read_text())
    runs = [("mujigae", run["last"]["mean"], steps_per_second(run)) for run in ours["runs"]]
    runs += [(run["subject"], run["mean"], run["steps_per_second"]) for run in elsewhere["runs"]]
    rows = []
    for subject in dict.fromkeys(run[0] for run in runs):
        scores, rates = zip(*(run[1:] for run in runs if run[0] == subject), strict=True)
        each = ", ".join(f"{score:,.0f}" for score in scores)
        rows.append(
            [
                subject,
                len(scores),
                f"{statistics.mean(scores):,.0f} ({each})",
                f"{statistics.median(rates):.0f}",
            ]
        )
    versions = ", ".join(
        f"{name} {elsewhere['packages'][name]}" for name in ("stable-baselines3", "mujoco", "torch")
    )
    note = (
        f"{elsewhere['env_id']}, {elsewhere['steps']:,} steps; the mean of {elsewhere['episodes']} games by the last network, of each seed. "
        f"One thread on {machine(elsewhere)}; {versions}."
    )
    return "\n\n".join([table(["TD3 of", "seeds", "mean score (each)", "steps/s, median"], rows), note])


def task_row(preset: str, told: Results, task: Task) -> list[Any]:
    runs = told["runs"]
    low, high = told["interval"]["best"]
    interval = f" ({low:.1f} to {high:.1f})" if len(runs) > 1 else ""
    seconds = [run["seconds"] for run in runs]
    target = task.targets.get(preset)
    return [
        f"`{preset}`",
        len(runs),
        f"{told['interquartile_mean']['best']:.1f}{interval}",
        "" if target is None else f"{target:g}",
        f"{min(run['best']['mean'] for run in runs):.1f}",
        f"{told['interquartile_mean']['last']:.1f}",
        f"{max(run['training']['steps'] for run in runs):,}",
        f"{statistics.median(map(steps_per_second, runs)):.0f}",
        f"{statistics.median(seconds):.0f} ({min(seconds):.0f})",
    ]


def task_verdict(presets: Results, task: Task) -> str:
    """How many reach what they have to, and by how much the others miss it."""
    short = {
        name: task.targets[name] - told["interquartile_mean"]["best"]
        for name, told in presets.items()
        if name in task.targets
    }
    missed = [f"`{name}` by {by:.1f}" for name, by in short.items() if by > 0]
    met = len(short) - len(missed)
    which = "every preset has to" if task.needs_all else "one preset has to"
    tail = f"; missed: {', '.join(missed)}" if missed else ""
    return f"Targets, which {which} reach: met by {met} of {len(short)} presets{tail}."


def names(presets: Results, conditions: list[str], text: str) -> str:
    """Which presets were measured under these conditions."""
    return ", ".join(
        f"`{preset}`" for preset, condition in zip(presets, conditions, strict=True) if condition == text
    )


def cartpole_row(preset: str, told: Results) -> list[Any]:
    runs = told["runs"]
    scores = [run["best"]["mean"] for run in runs]
    steps, seconds = ([run["training"]["steps"] for run in runs], [run["seconds"] for run in runs])
    return [
        f"`{preset}`",
        f"{told['interquartile_mean']['best']:.1f}",
        f"{max(scores):.1f}",
        f"{min(scores):.1f}",
        f"{told['interquartile_mean']['last']:.1f}",
        f"{statistics.median(steps):,.0f} ({max(steps):,})",
        f"{statistics.median(seconds):.0f} ({min(seconds):.0f})",
    ]


def cartpole_verdict(presets: Results) -> str:
    """The target, met by how many."""
    met = [name for name, told in presets.items() if reaches(told)]
    missed = [f"`{name}`" for name in presets if name not in met]
    outcome = f"{len(met)} of {len(presets)} presets" + (f", missed by {', '.join(missed)}" if missed else "")
    return f"Target within 50,000 steps: an interquartile mean of {TARGET:.0f} and a seed at {HIGHEST:.0f}; met by {outcome}."


def reaches(told: Results) -> bool:
    return told["interquartile_mean"]["best"] >= TARGET and told["highest"]["best"] >= HIGHEST


def parts(folder: Path, table: Table) -> str:
    """One row for each run, as the logs tell it."""
    if not (folder / PARTS).exists():
        return "Not measured yet: `python bench/train/parts.py`."
    results = json.loads((folder / PARTS).read_text())
    end = min(run["steps"] for run in results["runs"].values())
    header = [
        "parts",
        "steps",
        "updates",
        "games",
        "last 20 games",
        f"until step {end:,}",
        "steps a game until then",
    ]
    rows = [
        parts_row(name, run, last_games(folder / Path(PARTS).parent / name, end))
        for name, run in results["runs"].items()
    ]
    note = (
        f"`pong` with its parts switched off or on, {results['minutes']:g} minutes each, seed {results['seed']}, one thread each on "
        f"{machine(results)}; means of 20 games. The commands: [parts.json](bench/results/{PARTS})."
    )
    picture = "![Return of each set of parts against steps and minutes](bench/results/pong-parts/curves.png)"
    return "\n\n".join([picture, table(header, rows), note])


def parts_row(name: str, run: Results, games: list[Game]) -> list[Any]:
    score = statistics.mean(game.score for game in games)
    length = statistics.mean(game.length_steps for game in games)
    counts = [f"{run['steps']:,}", f"{run['updates']:,}", run["episodes"]]
    return [f"`{name}`", *counts, f"{run['last_20_mean']:.1f}", f"{score:.1f}", f"{length:,.0f}"]


def last_games(run: Path, end: int, num_games: int = 20) -> list[Game]:
    """The last that ended within `end` steps: what runs of different speeds had learned from as much play."""
    with (run / "episodes.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= end]
    return [Game(float(row["score"]), int(row["length_steps"])) for row in rows[-num_games:]]


def side_by_side(num_runs: int) -> str:
    return "one run at a time" if num_runs == 1 else f"{num_runs} runs at a time"


def machine(results: Results) -> str:
    cores = results["machine"]["cores"]
    return f"{cores} core{'s' if cores > 1 else ''} of an {results['machine']['processor']}"
