"""Writes every number of the README and of docs/, and the pages and pictures beside the results, from the JSON in bench/results/.

python bench/report.py            rewrites the blocks between the markers, the pages and the pictures
python bench/report.py --check    exits 1 when one of them says otherwise than the results
python bench/report.py --run ...  measures the speed first: bench/peers/speed.py, which gets the other arguments
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import (
    agents_table,
    distributed_table,
    headline,
    learning_table,
    libraries_table,
    memory_table,
    own_suites_table,
    protocols_table,
    rates_table,
    speed_plots,
    speed_table,
)
from bench.core import comparison
from bench.speed_results import Results, machines
from bench.train.studies import STUDIES
from bench.train.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results"


def table(header: list[str], rows: list[list[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def summaries() -> list[tuple[str, dict[str, Any]]]:
    paths = sorted(RESULTS.glob("*/summary.json"))
    return [(path.parent.name, json.loads(path.read_text())) for path in paths]


def training() -> str:
    """One row for each committed run."""
    header = [
        "command",
        "seed",
        "steps",
        "minutes",
        "first 20 games",
        "best 20 games",
        "last 20 games",
        "last 100 games",
        "evaluation",
    ]
    machines = {
        f"{run['machine']['cores']} cores of an {run['machine']['processor']}" for _, run in summaries()
    }
    note = f"Machine: {', '.join(sorted(machines))}, no GPU; ± is the standard error of the mean."
    rows = [training_row(folder, run) for folder, run in summaries()]
    return "\n\n".join([table(header, rows), *times_to_stop(), note])


def times_to_stop() -> list[str]:
    """When the runs that reached their stop score, over 20 games at least, were first there."""
    logs = [(folder, run["training"]) for folder, run in summaries()]
    return [
        f"[{folder}](bench/results/{folder}): a mean of {log['stop_score']:g} over 20 games {when(log, 20)}, over 100 games {when(log, 100)}."
        for folder, log in logs
        if log.get("minutes_to_stop_score", {}).get("20") is not None
    ]


def when(log: dict[str, Any], num_games: int) -> str:
    minutes = log["minutes_to_stop_score"][str(num_games)]
    return "never" if minutes is None else f"after {minutes:.1f} minutes"


def training_row(folder: str, run: dict[str, Any]) -> list[Any]:
    log, evaluation = run["training"], run["evaluation"]
    return [
        f"[`{run['command']}`](bench/results/{folder})",
        run["seed"],
        f"{log['steps']:,}",
        f"{log['minutes']:.1f}",
        f"{log['first_20_mean']:.1f}",
        f"{log['best_20_mean']:.1f}",
        f"{log['last_20_mean']:.1f}",
        "" if log["last_100_mean"] is None else f"{log['last_100_mean']:.1f}",
        f"{evaluation['mean']:.1f} ± {evaluation['standard_error']:.1f} ({evaluation['episodes']} games)",
    ]


def libraries() -> str:
    return libraries_table.section(json.loads((RESULTS / "drop_in.json").read_text()), table)


def learning() -> str:
    return agents_table.learning(json.loads((RESULTS / "learning.json").read_text()), table)


def hindsight() -> str:
    return agents_table.hindsight(json.loads((RESULTS / "hindsight.json").read_text()), table)


def own_suites() -> str:
    return own_suites_table.section(own_suites_results(), table)


def own_suites_page() -> str:
    return own_suites_table.page(own_suites_results(), table)


def own_suites_results() -> dict[str, Any]:
    """What each library's own tests say of the buffers in their places."""
    return dict(json.loads((RESULTS / "own_suites.json").read_text()))


def peers() -> list[dict[str, Any]]:
    """What the conformance suite says of each library."""
    return list(json.loads((RESULTS / "conformance.json").read_text()).values())


def conformance() -> str:
    """One row for each library."""
    rows = [[peer["name"], peer["version"], *peer["counts"].values()] for peer in peers()]
    note = (
        "Case by case, with what was expected and what came: [conformance.md](bench/results/conformance.md)."
    )
    return table(["library", "version", "passed", "failed", "not offered"], rows) + "\n\n" + note


def conformance_page() -> str:
    """Case by library, then the reason of each failure and of what is not offered."""
    libraries = peers()
    header = ["", "case", *(peer["name"] for peer in libraries)]
    columns = [peer["cases"] for peer in libraries]
    rows = [
        [cases[0]["id"], cases[0]["name"].replace("_", " "), *(MARKS[case["status"]] for case in cases)]
        for cases in zip(*columns, strict=True)
    ]
    parts = [
        "# Replay buffers in every corner",
        "Written by bench/report.py from [conformance.json](conformance.json), which bench/peers/run.py writes. "
        "What each case asks for and why: `python -m mujigae.conformance --list`.",
        ", ".join(f"{mark} {status}" for status, mark in MARKS.items()),
        table(header, rows),
        *(reasons(peer) for peer in libraries),
    ]
    return "\n\n".join(parts) + "\n"


MARKS = {"passed": "✓", "failed": "✗", "not offered": "-"}


def reasons(peer: dict[str, Any]) -> str:
    """Why a library's cases failed, and what it does not offer."""
    packages = ", ".join(f"{name} {version}" for name, version in peer["packages"].items())
    lines = [f"## {peer['name']} {peer['version']}", f"Python {peer['python']}, {packages}."]
    for status in ("failed", "not offered"):
        told = [case for case in peer["cases"] if case["status"] == status]
        if told:
            lines.append(status.capitalize() + ":")
            lines.append(
                "\n".join(
                    f"* {case['id']} {case['name'].replace('_', ' ')}: {case['reason']}" for case in told
                )
            )
    return "\n\n".join(lines)


def lead() -> str:
    """The picture at the top."""
    for results in machines(RESULTS)[:1]:
        picture = results.path.with_name("speed.png").relative_to(ROOT)
        return (
            f"![Time of each library in units of mujigae's: sum tree, Atari cycle, 17-float cycle]({picture})\n\n"
            "Times of other libraries in units of mujigae's, logarithmic: shorter is faster. [How it was measured](docs/benchmarks.md)."
        )
    return ""


def readme_table() -> str:
    """A few numbers beside the best of the others."""
    return "\n\n".join(
        headline.headline(RESULTS, results, peers(), table) for results in machines(RESULTS)[:1]
    )


def speed() -> str:
    """The pictures, and where every number is."""
    for results in machines(RESULTS)[:1]:
        folder = results.path.parent.relative_to(ROOT)
        pictures = [f"![{alt}]({folder}/{name})" for name, alt in speed_plots.ALTERNATIVES.items()]
        numbers = f"Every number, each library: [speed.md]({folder}/speed.md)."
        return "\n\n".join([f"{speed_table.note(results)} {numbers}", *pictures])
    return "Not measured yet: `python bench/report.py --run`."


def targets() -> str:
    """What was asked for, and what came of it."""
    found = machines(RESULTS)
    if not found:
        return "Not measured yet: `python bench/report.py --run`."
    results, *others = found
    header, *rows = speed_table.targets_table(results, others)
    elsewhere = [text for other in others for text in speed_elsewhere(results, other)]
    return "\n\n".join([f"{speed_table.summary(results, others)}.", table(header, list(rows)), *elsewhere])


def speed_elsewhere(results: Results, other: Results) -> list[str]:
    """What was measured on another machine alone."""
    rows = speed_table.measured_elsewhere(results, other)
    if not rows:
        return []
    page = other.path.with_name("speed.md").relative_to(ROOT)
    return [
        f"Measured elsewhere ([every number]({page})). {speed_table.note(other)}",
        table(rows[0], rows[1:]),
    ]


def rates() -> str:
    """How fast Rainbow trains."""
    return rates_table.section(rates_table.newest(RESULTS), table)


def speed_pages() -> dict[Path, str]:
    """Every number of each machine."""
    return {
        results.path.with_name("speed.md"): speed_table.page(results, table) for results in machines(RESULTS)
    }


def against_pages() -> dict[Path, str]:
    """Two versions of mujigae beside each other, on each machine where `--against` compared some."""
    return {
        path.with_suffix(".md"): against_page(Results(path))
        for path in sorted(RESULTS.glob("*/against.json"))
    }


def against_page(results: Results) -> str:
    rows = comparison.beside_exact_adds(results.data["rows"]) + comparison.against(results.data["rows"])
    lines = [
        [
            row.what,
            speed_table.microseconds(row.seconds),
            speed_table.microseconds(row.other_seconds),
            f"{row.ratio:.2f}",
            f"{row.limit:g}",
        ]
        for row in rows
    ]
    return (
        "\n\n".join(
            [
                f"# Two versions of mujigae on {results.machine()}",
                "Written by bench/report.py from [against.json](against.json). The first rows compare `add` with `env_ids` or a dict with the "
                "same steps without, the others this version with the one before.",
                table(["work", "mujigae", "beside", "ratio", "at most"], lines),
            ]
        )
        + "\n"
    )


def distributed(name: str) -> str:
    """A block of docs/clusters.md; bench/distributed/ measures what it says."""
    if name in ("kills", "many_shards"):
        return str(getattr(distributed_table, name)(RESULTS))
    if name == "learning":
        return distributed_table.learning(RESULTS, table)
    results = distributed_table.newest(
        RESULTS, "distributed_serving" if name == "sizing" else f"distributed_{name}"
    )
    return str(getattr(distributed_table, name)(results, table))


BLOCKS: dict[str, Callable[[], str]] = {
    "lead": lead,
    "headline": readme_table,
    "speed": speed,
    "targets": targets,
    "training": training,
    "cartpole": lambda: learning_table.cartpole(RESULTS, table),
    "tasks": lambda: learning_table.overview(RESULTS, table, TASKS.values()),
    **{
        Path(task.file).stem: partial(learning_table.of_task, RESULTS, table, task)
        for task in TASKS.values()
        if task.targets
    },
    **{
        Path(study.file).stem: partial(learning_table.of_study, RESULTS, table, study)
        for study in STUDIES.values()
    },
    "half_cheetah_elsewhere": lambda: learning_table.half_cheetah(RESULTS, table),
    "pong_seeds": lambda: learning_table.pong(RESULTS, table),
    "parts": lambda: learning_table.parts(RESULTS, table),
    "rates": rates,
    "memory": lambda: memory_table.memory(RESULTS),
    "stable_baselines3": lambda: memory_table.stable_baselines3(RESULTS),
    "snapshots": lambda: memory_table.snapshots(RESULTS, table),
    "sac_share": lambda: memory_table.sac_share(RESULTS),
    "libraries": libraries,
    "conformance": conformance,
    "protocols": lambda: protocols_table.protocols(table),
    "beyond": lambda: protocols_table.beyond(table),
    "own_suites": own_suites,
    "learning": learning,
    "hindsight": hindsight,
    **{
        f"clusters_{name}": partial(distributed, name)
        for name in ("kills", "serving", "ratio", "learning", "sizing", "model", "many_shards")
    },
}
PAGES: dict[str, Callable[[], str]] = {
    "conformance.md": conformance_page,
    "own_suites.md": own_suites_page,
}
READMES = (
    ROOT / "README.md",
    *(ROOT / f"docs/{name}.md" for name in ("benchmarks", "results", "conformance", "protocols", "clusters")),
)


def rewritten(path: Path) -> str:
    """The page with each block between `<!-- NAME: ... -->` and `<!-- end -->` written anew."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}\n{as_seen_from(path.parent, BLOCKS[match[2]]())}\n<!-- end -->"

    text = path.read_text()
    return re.sub(
        r"(<!-- (\w+): written by bench/report\.py -->).*?<!-- end -->", block, text, flags=re.DOTALL
    )


def as_seen_from(folder: Path, text: str) -> str:
    """Links into the repository, which blocks write from its root, made relative to a page's folder."""

    def link(match: re.Match[str]) -> str:
        return f"]({os.path.relpath(ROOT / match[1], folder)}"

    return re.sub(r"\]\((?!https?://|#)([^)#\s]+)", link, text)


def main() -> int:
    is_check = "--check" in sys.argv[1:]
    if "--run" in sys.argv[1:]:
        import matplotlib  # noqa: F401  pictures are drawn at the end of a quarter of an hour: fail now, if at all

        others = [argument for argument in sys.argv[1:] if argument != "--run"]
        subprocess.run([sys.executable, str(ROOT / "bench/peers/speed.py"), *others], check=True)
    texts = {path: rewritten(path) for path in READMES}
    texts |= {RESULTS / name: page() for name, page in PAGES.items()}
    texts |= speed_pages() | against_pages()
    pictured = machines(RESULTS)[:1]
    is_stale = any(not path.exists() or path.read_text() != text for path, text in texts.items())
    is_stale = is_stale or not all(speed_plots.are_current(results) for results in pictured)
    if not is_check:
        for results in pictured:
            speed_plots.draw(results)
        for path, text in texts.items():
            path.write_text(text)
    return int(is_check and is_stale)


if __name__ == "__main__":
    sys.exit(main())
