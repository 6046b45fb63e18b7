"""/proc/iomem: the memory map and the kernel's place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware import iomem
from memplan.firmware.source import SourceFacts, open_source, read_source
from memplan.machine.model import E820_ACPI, E820_RAM, E820_RESERVED, E820_SOFT_RESERVED, E820Entry

#: As Linux 6.12 lists it; the reserved range of the PCI hole lies within a bus, and RAM within what was soft reserved.
IOMEM = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-000fffff : Reserved
  000a0000-000bffff : PCI Bus 0000:00
  000f0000-000fffff : System ROM
00100000-bfffffff : System RAM
  01000000-022090c7 : Kernel code
  02400000-02e08fff : Kernel rodata
  03000000-0327c03f : Kernel data
  ab000000-baffffff : Crash kernel
c0000000-c0000fff : ACPI Tables
c0001000-febfffff : PCI Bus 0000:00
  e0000000-efffffff : PCI ECAM 0000 [bus 00-ff]
    e0000000-efffffff : Reserved
      e0000000-efffffff : pnp 00:00
fec00000-fec003ff : IOAPIC 0
100000000-63fffffff : System RAM
640000000-73fffffff : Soft Reserved
  640000000-73fffffff : dax0.0
    640000000-73fffffff : System RAM (kmem)
"""
EXPECTED = (
    E820Entry(0, 0x1000, E820_RESERVED),
    E820Entry(0x1000, 0x9FC00, E820_RAM),
    E820Entry(0x9FC00, 0x100000, E820_RESERVED),
    E820Entry(0x100000, 0xC0000000, E820_RAM),
    E820Entry(0xC0000000, 0xC0001000, E820_ACPI),
    E820Entry(0xE0000000, 0xF0000000, E820_RESERVED),
    E820Entry(0x100000000, 0x640000000, E820_RAM),
    E820Entry(0x640000000, 0x740000000, E820_SOFT_RESERVED),
)


def read(text: str, tmp_path: Path) -> SourceFacts:
    file = tmp_path / "iomem"
    file.write_text(text)
    return read_source(file)


def test_map_and_kernel(tmp_path: Path) -> None:
    found = read(IOMEM, tmp_path)
    assert found.kind == "/proc/iomem"
    assert found.facts["e820"].value == EXPECTED
    assert found.facts["e820"].weak
    assert found.facts["kernel.load_address"].value == 0x1000000
    assert found.facts["kernel.load_address"].origin.endswith("iomem:7 Kernel code")
    assert not found.problems


def test_nothing_that_an_allocator_decided(tmp_path: Path) -> None:
    assert set(read(IOMEM, tmp_path).facts) == {"e820", "kernel.load_address"}


def test_hidden_from_users(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"all addresses are 0: the kernel hides them from users \(read it as root\)"):
        read(re.sub(r"[0-9a-f]{8,9}-[0-9a-f]{8,9}", "00000000-00000000", IOMEM), tmp_path)


def test_no_memory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no line tells of memory"):
        read("fec00000-fec003ff : IOAPIC 0\n", tmp_path)


def test_damage_has_its_line(tmp_path: Path) -> None:
    found = read(IOMEM.replace("00001000-0009fbff", "00001000-00000fbf") + "rubbish\n", tmp_path)
    assert [problem.line for problem in found.problems] == [2, 21]
    assert found.facts["e820"].value == (EXPECTED[0], *EXPECTED[2:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(32, 126)), min_size=1, max_size=12))
def test_no_text_raises_anything_else(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    text = bytearray(IOMEM.encode())
    for place, char in changes:
        text[place % len(text)] = char
    file = tmp_path / "mutated"
    file.write_bytes(text)
    try:
        iomem.read(open_source(file))
    except InputError:
        return
