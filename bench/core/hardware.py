"""What ran the measurement."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any


def processor() -> str:
    """The model's name, as the system tells it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def machine_name() -> str:
    """A short name for a folder: "epyc-2core"."""
    words = re.sub(r"\(r\)|\(tm\)|@.*|\b(intel|amd|cpu|processor|[\d]+-core)\b", " ", processor().lower())
    return "-".join([*re.findall(r"[a-z0-9]+", words), f"{os.cpu_count()}core"])


def describe() -> dict[str, Any]:
    """Processor, cores, memory, instruction sets that matter here, kernel."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    flags = (
        set(re.findall(r"^flags\s*:(.*)$", cpuinfo, flags=re.MULTILINE)[:1].pop().split())
        if "flags" in cpuinfo
        else set()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "instruction_sets": [name for name in ("avx2", "avx512f", "avx512bw", "asimd") if name in flags],
        "huge_pages": re.sub(r".*\[(\w+)\].*", r"\1", huge_pages.read_text().strip())
        if huge_pages.exists()
        else None,
        "load_before": [round(load, 1) for load in os.getloadavg()],
    }
