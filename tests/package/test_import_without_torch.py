"""`import mujigae` needs NumPy and nothing else: every other installed package is blocked in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

import mujigae

BLOCKER = """
import sys

BLOCKED = frozenset({blocked!r})

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Blocker())
"""


def run_with_numpy_only(script: str, *, expected_status: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs `script` where only the standard library, NumPy and mujigae can be imported."""
    blocked = sorted(set(metadata.packages_distributions()) - {"mujigae", "numpy"})
    assert {"torch", "gymnasium", "ale_py", "matplotlib"} <= set(blocked), "else this would prove nothing"
    command = [sys.executable, "-c", BLOCKER.format(blocked=blocked) + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expected_status, done.stderr
    return done


def test_buffer_stores_and_samples_with_numpy_alone() -> None:
    done = run_with_numpy_only("""
import numpy as np
import mujigae

buffer = mujigae.PrioritizedReplayBuffer(100, {"x": ((3,), np.float32)}, ((), np.int64), seed=0)
for t in range(10):
    obs = {"x": np.full(3, t, np.float32)}
    buffer.add(obs, t, float(t), {"x": np.full(3, t + 1, np.float32)}, False, t == 9)
batch = buffer.sample(32)
assert batch.reward.shape == (32,)
assert buffer.update_priorities(batch.key, np.ones(32)) == 32
print("sampled", len(buffer))
""")
    assert done.stdout == "sampled 10\n"


def test_import_loads_no_optional_package_even_where_it_is_installed() -> None:
    script = """
import sys
import numpy.random
before = set(sys.modules)
import mujigae
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - set(sys.stdlib_module_names) - {"mujigae", "numpy"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[]\n"


def test_info_works_with_numpy_alone() -> None:
    done = run_with_numpy_only("from mujigae.cli import main; raise SystemExit(main(['info']))")
    assert f"mujigae {metadata.version('mujigae')}" in done.stdout
    assert "torch is not installed" in done.stdout


def test_train_without_its_extra_names_the_pip_command_and_exits_with_2() -> None:
    script = "from mujigae.cli import main; raise SystemExit(main(['train', 'dqn']))"
    done = run_with_numpy_only(script, expected_status=2)
    assert 'python -m pip install "mujigae[train]"' in done.stderr
    assert done.stderr.count("\n") == 1, "one line, no traceback"


def test_an_adapter_without_its_library_names_the_pip_command() -> None:
    done = run_with_numpy_only("import mujigae.integrations.stable_baselines3", expected_status=1)
    assert done.stderr.splitlines()[-1].startswith(
        "mujigae.errors.MissingExtraError: stable_baselines3 is not"
    )
    assert 'python -m pip install "mujigae[sb3]"' in done.stderr


def test_a_saved_buffer_is_looked_at_with_numpy_alone(tmp_path: Path) -> None:
    buffer = mujigae.ReplayBuffer(8, ((2,), np.float32), ((), np.int64))
    buffer.add(np.zeros(2, np.float32), 0, 1.0, np.ones(2, np.float32), True, False)
    buffer.save(tmp_path / "buffer")
    call = "import sys; from mujigae.cli import main; sys.exit(main(['replay', {0!r}{1}]))"
    done = run_with_numpy_only(call.format(str(tmp_path / "buffer"), ""))
    assert "1 of 8 can be drawn" in done.stdout
    done = run_with_numpy_only(
        call.format(str(tmp_path / "buffer"), ", '--video', 'film'"), expected_status=2
    )
    assert 'python -m pip install "mujigae[train]"' in done.stderr
