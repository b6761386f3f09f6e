"""Every adapter says what it needs: a missing library names the pip command, an unsupported version those that are."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mujigae.errors import UnsupportedVersionError, require

ROOT = Path(__file__).parents[2]
NEEDED = re.compile(r'require\("(\w+)", "([\w-]+)"(?:, first="([\d.]+)", below="([\d.]+)")?\)')
INTEGRATIONS = ROOT / "python/mujigae/integrations"
SOURCES = {path.stem: path for path in INTEGRATIONS.glob("[!_]*.py")}
SOURCES |= {path.parent.name: path for path in INTEGRATIONS.glob("*/__init__.py")}
ADAPTERS = {name: NEEDED.search(SOURCES[name].read_text(encoding="utf-8")) for name in sorted(SOURCES)}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
WITH_LIBRARY = [name for name, needed in ADAPTERS.items() if needed]


def test_all_adapters_but_one_need_a_library() -> None:
    assert {name for name, needed in ADAPTERS.items() if not needed} == {"cpprb"}


@pytest.mark.parametrize("adapter", WITH_LIBRARY)
def test_missing_library_names_the_pip_command(adapter: str) -> None:
    module, extra = ADAPTERS[adapter].group(1, 2)
    script = f"import sys; sys.modules[{module!r}] = None; import mujigae.integrations.{adapter}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        f"mujigae.errors.MissingExtraError: {module} is not installed; it comes with: "
        f'python -m pip install "mujigae[{extra}]"'
    )


@pytest.mark.parametrize("adapter", WITH_LIBRARY)
def test_extra_brings_the_versions_that_the_adapter_takes_and_nothing_of_ours(adapter: str) -> None:
    module, extra, first, below = ADAPTERS[adapter].groups()
    requirements = [re.sub(r"\[\w+\]", "", requirement) for requirement in EXTRAS[extra]]
    assert not any(requirement.startswith("mujigae") for requirement in requirements)
    if first is not None:
        assert requirements == [f"{module.replace('_', '-')}>={first},<{below}"]


def test_unsupported_version_says_which_are() -> None:
    expected = (
        r'numpy \S+ is installed; supported are versions from 90 on and below 91: .* "mujigae\[extra\]"'
    )
    with pytest.raises(UnsupportedVersionError, match=expected):
        require("numpy", "extra", first="90", below="91")
    assert require("numpy", "extra", first="1.26", below="90").__name__ == "numpy"


def test_importing_the_package_imports_no_library() -> None:
    script = f"import sys, mujigae; print([name for name in {WITH_LIBRARY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
