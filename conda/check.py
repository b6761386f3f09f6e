"""Renders the recipe for every Python and compares it with pyproject.toml: version, and what the installed package needs.

Nothing is downloaded or built: `rattler-build build --recipe conda --variant-config conda/variants.yaml` does that.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from rattler_build import RenderConfig, Stage0Recipe, VariantConfig

FOLDER = Path(__file__).parent


def spaced(requirement: str) -> str:
    """How conda writes a requirement: a space between name and versions."""
    return re.sub(r"(?<=\w)(?=[<>=])", " ", requirement, count=1)


def check(rendered: Any, project: dict[str, Any]) -> None:
    recipe = rendered.recipe.to_dict()
    assert recipe["package"]["version"] == project["version"], (recipe["package"], project["version"])
    needed = {f"python {project['requires-python']}", *map(spaced, project["dependencies"])}
    assert needed <= set(recipe["requirements"]["run"]), (recipe["requirements"]["run"], needed)


def main() -> None:
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    variants = VariantConfig.from_file(str(FOLDER / "variants.yaml"))
    rendered = Stage0Recipe.from_file(str(FOLDER / "recipe.yaml")).render(variants, RenderConfig())
    assert len(rendered) == 5, len(rendered)
    for package in rendered:
        check(package, project)


if __name__ == "__main__":
    main()
