"""Writes every number of the README from the committed JSON under bench/results/.

python bench/report.py            rewrites the README's table
python bench/report.py --check    exits 1 when the README says otherwise than the results
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results: written by bench/report.py -->", "<!-- end of results -->"


def training_rows() -> list[str]:
    rows = [
        "| run | seed | steps | minutes | return at the start | last 20 games | evaluation |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "bench/results").glob("*/summary.json")):
        rows.append(training_row(json.loads(path.read_text()), path.parent.name))
    return rows


def training_row(summary: dict[str, Any], folder: str) -> str:
    training, evaluation = summary["training"], summary["evaluation"]
    cells = [
        f"[`{summary['preset']}` on {summary['env_id']}](bench/results/{folder})",
        summary["seed"],
        f"{training['steps']:,}",
        f"{training['minutes']:.1f}",
        f"{training['first_20_mean']:.1f}",
        f"{training['last_20_mean']:.1f}",
        f"{evaluation['mean']:.1f} ± {evaluation['standard_error']:.1f} ({evaluation['episodes']} games)",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def machines() -> str:
    found = set()
    for path in sorted((ROOT / "bench/results").glob("*/summary.json")):
        machine = json.loads(path.read_text())["machine"]
        found.add(f"{machine['cores']} cores of an {machine['processor']}, no GPU")
    return (
        "Machine: " + "; ".join(sorted(found)) + ". Start-up included; ± is the standard error of the mean."
    )


def report(readme: str) -> str:
    """The README with its results written anew."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return "\n".join([before + BEGIN, *training_rows(), "", machines(), END + after])


def main() -> int:
    path = ROOT / "README.md"
    old = path.read_text()
    new = report(old)
    if "--check" in sys.argv[1:]:
        return int(old != new)
    path.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
