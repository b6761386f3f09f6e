"""bench/core/hardware.py: results lie in a folder that is named by the processor's family and the instruction set in use."""

from __future__ import annotations

from typing import Any

import pytest


def cpuinfo(vendor: str, family: int, model: int, name: str) -> str:
    """As Linux gives it on x86-64, of the first two cores."""
    core = f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {name}\nflags\t\t: fpu avx2\n"
    return core + "\n" + core.replace("processor\t: 0", "processor\t: 1")


ZEN_3 = cpuinfo("AuthenticAMD", 25, 1, "AMD EPYC 7B13")
ZEN_4 = cpuinfo("AuthenticAMD", 25, 17, "AMD EPYC 9R14 96-Core Processor")
SAPPHIRE_RAPIDS = cpuinfo("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz")
UNNAMED = cpuinfo("GenuineIntel", 6, 9999, "Intel(R) Xeon(R) Processor")
DESKTOP = cpuinfo("AuthenticAMD", 25, 33, "AMD Ryzen 9 5900X 12-Core Processor")
NEOVERSE = (
    "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
)


@pytest.mark.parametrize(
    ("text", "instruction_set", "num_cores", "expected"),
    [
        (ZEN_3, "avx2", 2, "epyc-zen3-avx2-2core"),
        (ZEN_4, "avx512", 16, "epyc-zen4-avx512-16core"),
        (ZEN_4, "avx2", 16, "epyc-zen4-avx2-16core"),
        (SAPPHIRE_RAPIDS, "avx512", 2, "xeon-sapphirerapids-avx512-2core"),
        (UNNAMED, "avx512", 2, "xeon-family6-model9999-avx512-2core"),
        (DESKTOP, "avx2", 24, "ryzen-zen3-avx2-24core"),
        (NEOVERSE, "scalar", 4, "neoverse-n1-scalar-4core"),
    ],
)
def test_folder_is_named_by_family_instruction_set_and_cores(
    modules: Any, text: str, instruction_set: str, num_cores: int, expected: str
) -> None:
    assert modules["core.hardware"].machine_name(text, instruction_set, num_cores) == expected


def test_machine_that_tells_nothing_of_its_processor_has_a_name(modules: Any) -> None:
    assert modules["core.hardware"].machine_name("", "scalar", 1).endswith("-scalar-1core")
