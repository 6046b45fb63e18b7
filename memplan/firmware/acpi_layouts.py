"""How the sub-tables of ACPI tables are laid out.

After the ACPI specification 6.5, chapters 5.2.12 to 5.2.29, and CXL 3.0, 9.17.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """A sub-table: its size in bytes, fields as name -> (offset, bytes), and the bits of its flags that mean something.

    `exact` is False where it may be longer than `size` (by a list).
    """

    name: str
    size: int
    fields: Mapping[str, tuple[int, int]]
    flags: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Body:
    """A table's own fields, where its sub-tables begin, how their heads look, and the sub-tables by type."""

    start: int
    type_size: int
    length_at: int
    length_size: int
    fields: Mapping[str, tuple[int, int]]
    layouts: Mapping[int, Layout]
    #: Types from here on are the vendors' own.
    vendor_types: int = 0x10000


def _fields(text: str) -> dict[str, tuple[int, int]]:
    """``name@offset:bytes`` words as a mapping."""
    words = (word.replace("@", ":").split(":") for word in text.split())
    return {name: (int(offset), int(size)) for name, offset, size in words}


def _layout(name: str, size: int, fields: str = "", *, flags: int = 0xFFFFFFFF, exact: bool = True) -> Layout:
    return Layout(name, size, _fields(fields), flags, exact)


_GENERIC = (
    "reserved@2:1 handle_type@3:1 pxm@4:4 handle_low@8:8 handle_high@16:8 flags@24:4 reserved1@28:4"  # initiator, port
)
BODIES: Mapping[str, Body] = {
    "SRAT": Body(
        48,
        1,
        1,
        1,
        _fields("table_revision@36:4 reserved@40:8"),
        {
            0: _layout(
                "Processor Local APIC/SAPIC Affinity",
                16,
                "pxm_low@2:1 apic_id@3:1 flags@4:4 sapic_eid@8:1 pxm_high@9:3 clock_domain@12:4",
                flags=1,
            ),
            1: _layout(
                "Memory Affinity",
                40,
                "pxm@2:4 reserved1@6:2 base@8:8 size@16:8 reserved2@24:4 flags@28:4 reserved3@32:8",
                flags=0xF,
            ),
            2: _layout(
                "Processor Local x2APIC Affinity",
                24,
                "reserved1@2:2 pxm@4:4 apic_id@8:4 flags@12:4 clock_domain@16:4 reserved2@20:4",
                flags=1,
            ),
            3: _layout("GICC Affinity", 18, "pxm@2:4 processor_uid@6:4 flags@10:4 clock_domain@14:4", flags=1),
            4: _layout("GIC ITS Affinity", 12, "pxm@2:4 reserved@6:2 its_id@8:4"),
            5: _layout("Generic Initiator Affinity", 32, _GENERIC, flags=3),
            6: _layout("Generic Port Affinity", 32, _GENERIC, flags=3),
            7: _layout(
                "RINTC Affinity", 20, "reserved@2:2 pxm@4:4 processor_uid@8:4 flags@12:4 clock_domain@16:4", flags=1
            ),
        },
    ),
    "APIC": Body(
        44,
        1,
        1,
        1,
        _fields("local_apic_address@36:4 flags@40:4"),
        {
            0: _layout("Processor Local APIC", 8, "processor_uid@2:1 apic_id@3:1 flags@4:4", flags=3),
            1: _layout("I/O APIC", 12, "ioapic_id@2:1 reserved@3:1 address@4:4 gsi_base@8:4"),
            2: _layout("Interrupt Source Override", 10, "bus@2:1 irq@3:1 gsi@4:4 flags@8:2", flags=0xF),
            3: _layout("NMI Source", 8, "flags@2:2 gsi@4:4", flags=0xF),
            4: _layout("Local APIC NMI", 6, "processor_uid@2:1 flags@3:2 lint@5:1", flags=0xF),
            5: _layout("Local APIC Address Override", 12, "reserved@2:2 address@4:8"),
            6: _layout("I/O SAPIC", 16, "ioapic_id@2:1 reserved@3:1 gsi_base@4:4 address@8:8"),
            7: _layout("Local SAPIC", 16, "processor_id@2:1 sapic_id@3:1 sapic_eid@4:1 flags@8:4", exact=False),
            8: _layout("Platform Interrupt Sources", 16),
            9: _layout("Processor Local x2APIC", 16, "reserved@2:2 apic_id@4:4 flags@8:4 processor_uid@12:4", flags=3),
            10: _layout("Local x2APIC NMI", 12, "flags@2:2 processor_uid@4:4 lint@8:1 reserved@9:3", flags=0xF),
            16: _layout("Multiprocessor Wakeup", 16, exact=False),
            **{
                number: _layout(name, 2, exact=False)
                for number, name in (
                    (11, "GIC CPU Interface"),
                    (12, "GIC Distributor"),
                    (13, "GIC MSI Frame"),
                    (14, "GIC Redistributor"),
                    (15, "GIC Interrupt Translation Service"),
                    (17, "Core PIC"),
                    (18, "Legacy I/O PIC"),
                    (19, "HyperTransport PIC"),
                    (20, "Extended I/O PIC"),
                    (21, "MSI PIC"),
                    (22, "Bridge I/O PIC"),
                    (23, "LPC PIC"),
                    (24, "RISC-V INTC"),
                    (25, "RISC-V IMSIC"),
                    (26, "RISC-V APLIC"),
                    (27, "RISC-V PLIC"),
                )
            },
        },
        vendor_types=0x80,
    ),
    "HMAT": Body(
        40,
        2,
        4,
        4,
        _fields("reserved@36:4"),
        {
            0: _layout(
                "Memory Proximity Domain Attributes",
                40,
                "reserved@2:2 flags@8:2 reserved1@10:2 initiator_pxm@12:4 memory_pxm@16:4 reserved2@20:4 "
                "reserved3@24:8 reserved4@32:8",
                flags=7,
            ),
            1: _layout(
                "System Locality Latency and Bandwidth Information",
                32,
                "reserved@2:2 flags@8:1 data_type@9:1 min_transfer_size@10:1 reserved1@11:1 initiators@12:4 "
                "targets@16:4 reserved2@20:4 base_unit@24:8",
                flags=0x3F,
                exact=False,
            ),
            2: _layout(
                "Memory Side Cache Information",
                32,
                "reserved@2:2 memory_pxm@8:4 reserved1@12:4 size@16:8 attributes@24:4 address_mode@28:2 handles@30:2",
                exact=False,
            ),
        },
    ),
    "CEDT": Body(
        36,
        1,
        2,
        2,
        {},
        {
            0: _layout(
                "CXL Host Bridge Structure",
                32,
                "reserved@1:1 uid@4:4 cxl_version@8:4 reserved1@12:4 base@16:8 size@24:8",
            ),
            1: _layout(
                "CXL Fixed Memory Window Structure",
                36,
                "reserved@1:1 reserved1@4:4 base@8:8 size@16:8 interleave_ways@24:1 arithmetic@25:1 reserved2@26:2 "
                "granularity@28:4 restrictions@32:2 qtg_id@34:2",
                exact=False,
            ),
            2: _layout("CXL XOR Interleave Math Structure", 8, "granularity@6:1 maps@7:1", exact=False),
            3: _layout("RCEC Downstream Port Association Structure", 16),
        },
    ),
    "MSCT": Body(
        56,
        1,
        1,
        1,
        _fields("proximity_offset@36:4 max_pxms@40:4 max_clock_domains@44:4 max_address@48:8"),
        {1: _layout("Maximum Proximity Domain Information", 22, "start@2:4 end@6:4 processors@10:4 memory@14:8")},
    ),
}
