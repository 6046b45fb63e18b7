"""Lines copied out of logs into a description."""

from __future__ import annotations

from memplan.machine.load import parse_machine
from memplan.machine.model import E820Entry

MAP = """
e820:
  BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff]  System RAM
  [    0.000000] BIOS-e820: [gap 0x000000000009fc00-0x00000000000fffff]
  - "BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff]  System RAM"
  BIOS-e820: [mem 0x00000000bffe0000-0x00000000bfffffff]  persistent RAM (type 12)
"""


def test_a_map_of_linux_7_pasted_with_its_gaps() -> None:
    entries = (
        E820Entry(0, 0x9FC00, 1),
        E820Entry(0x100000, 0xBFFE0000, 1),
        E820Entry(0xBFFE0000, 0xC0000000, 12),
    )
    assert parse_machine(MAP, "m.yaml").e820 == entries


def test_a_map_of_linux_7_in_quotes_with_a_bare_gap() -> None:
    text = MAP.replace('  - "BIOS', "  BIOS").replace('RAM"', "RAM")
    quoted = [f'  - "{line.strip()}"' if "[mem" in line else line for line in text.splitlines()]
    assert parse_machine("\n".join(quoted), "m.yaml").e820 == parse_machine(MAP, "m.yaml").e820
