"""The files of a session that was killed go when the next one starts; those of a run that is alive stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mujigae.distributed.session_folder import session_folder

RUN = """
import time
from mujigae.distributed.session_folder import session_folder
with session_folder() as folder:
    (folder / "session").mkdir()
    (folder / "session" / "log").write_text("busy")
    print(folder, flush=True)
    time.sleep(100)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_run_left_is_deleted_and_what_others_have_stays(root: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(root)},
        )
        for _ in range(2)
    ]
    folders = [Path(process.stdout.readline().strip()) for process in processes if process.stdout is not None]
    (root / "mujigae-session-new").mkdir()  # not locked yet
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "file").write_text("kept")
    (root / "mujigae-session-link").symlink_to(root / "elsewhere")
    try:
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait(timeout=30)
        with session_folder() as own:
            assert own.is_dir()
            assert not folders[0].exists()
            assert (folders[1] / "session" / "log").read_text() == "busy"
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=30)
    assert not own.exists()
    assert (root / "mujigae-session-new").is_dir()
    assert (root / "elsewhere" / "file").read_text() == "kept"
