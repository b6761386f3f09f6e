"""Says which build is under test."""

from __future__ import annotations

import mujigae


def pytest_report_header() -> str:
    info = mujigae.build_info()
    return f"mujigae {info['version']}, compiler {info['compiler']}, {info['active_instruction_set']}"
