"""What ran the measurement."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")

# By vendor, family and models (the last one included), as Linux and the vendors list them.
ARCHITECTURES = {
    ("AuthenticAMD", 23): (((0x00, 0x2F), "zen"), ((0x30, 0xFF), "zen2")),
    ("AuthenticAMD", 25): (
        ((0x00, 0x0F), "zen3"),
        ((0x10, 0x1F), "zen4"),
        ((0x20, 0x5F), "zen3"),
        ((0x60, 0xAF), "zen4"),
    ),
    ("AuthenticAMD", 26): (((0x00, 0xFF), "zen5"),),
    ("GenuineIntel", 6): (
        *(((63, 63), "haswell"), ((79, 79), "broadwell"), ((85, 85), "skylake"), ((106, 108), "icelake")),
        *(((143, 143), "sapphirerapids"), ((173, 174), "graniterapids"), ((207, 207), "emeraldrapids")),
    ),
}
ARM_PARTS = {0xD0C: "neoverse-n1", 0xD40: "neoverse-v1", 0xD49: "neoverse-n2", 0xD4F: "neoverse-v2"}


def machine_name(cpuinfo: str, instruction_set: str, num_cores: int) -> str:
    """A folder's name for the results of a machine: "epyc-zen3-avx2-2core".

    Args:
        cpuinfo: the text of /proc/cpuinfo.
        instruction_set: the one in use, as `mujigae.build_info` names it.
        num_cores: cores that may be used.

    Two processors of one family that use other instruction sets have other names; so have an unknown model and any other, by number.
    """
    return "-".join([*_brand(cpuinfo), architecture(cpuinfo), instruction_set, f"{num_cores}core"])


def _brand(cpuinfo: str) -> list[str]:
    """The maker's line of processors, where it is one of those that measure replay buffers."""
    found = re.search(r"\b(epyc|xeon|ryzen|core)\b", field(cpuinfo, "model name").replace("(R)", " ").lower())
    return [found[1]] if found else []


def architecture(cpuinfo: str) -> str:
    """The processor's generation; family and model by number where they are not known."""
    if part := field(cpuinfo, "CPU part"):
        return ARM_PARTS.get(int(part, 16), f"arm-part{int(part, 16):x}")
    vendor, family, model = (field(cpuinfo, name) for name in ("vendor_id", "cpu family", "model"))
    if not model:
        return platform.machine()
    for (first, last), name in ARCHITECTURES.get((vendor, int(family)), ()):
        if first <= int(model) <= last:
            return name
    return f"family{family}-model{model}"


def field(cpuinfo: str, name: str) -> str:
    """The first value of this name, "" where there is none."""
    found = re.search(rf"^{name}\s*:[ \t]*(.*)$", cpuinfo, flags=re.MULTILINE)
    return found[1].strip() if found else ""


def processor() -> str:
    """The model's name, as the system gives it."""
    return field(CPUINFO.read_text(), "model name") or platform.machine()


def results_folder(results: Path, python: Path, variables: dict[str, str] | None = None) -> Path:
    """This machine's folder below `results`, with the instruction set that mujigae uses in that Python and with those variables."""
    code = "import mujigae; print(mujigae.build_info()['active_instruction_set'])"
    environment = os.environ | (variables or {})
    command = [str(python), "-P", "-c", code]
    used = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    return results / machine_name(CPUINFO.read_text(), used, os.cpu_count() or 1)


def describe() -> dict[str, Any]:
    """Processor, cores, memory, instruction sets that matter here, kernel."""
    cpuinfo = CPUINFO.read_text()
    flags = (field(cpuinfo, "flags") or field(cpuinfo, "Features")).split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": processor(),
        "architecture": architecture(cpuinfo),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "instruction_sets": [name for name in ("avx2", "avx512f", "avx512bw", "asimd") if name in flags],
        "huge_pages": re.sub(r".*\[(\w+)\].*", r"\1", huge_pages.read_text().strip())
        if huge_pages.exists()
        else None,
        "load_before": [round(load, 1) for load in os.getloadavg()],
    }
