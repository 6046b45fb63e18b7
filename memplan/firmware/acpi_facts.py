"""What ACPI tables say of a machine: the facts of SRAT, SLIT, MADT, CEDT and the root table, as Linux reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memplan.errors import Problem
from memplan.firmware.acpi_tables import DAMAGE, Defect, RawTable
from memplan.firmware.source import SourceFacts
from memplan.machine.model import AcpiTable, CpuAffinity, CxlWindow, MemoryAffinity, Srat

#: Tables whose content is read.
_READ = frozenset(("SRAT", "SLIT", "APIC", "HMAT", "CEDT", "MSCT", "XSDT", "RSDT", "FACP"))
#: Signatures of which several tables are normal.
_MANY = frozenset(("SSDT", "PSDT", "OEM0", "OEM1", "OEM2", "OEM3", "OEM4"))
_NO_APIC = 0xFF
_NO_X2APIC = 0xFFFFFFFF
#: The revision of the MADT, and of the FADT, since which "online capable" has a meaning (ACPI 6.3).
_ONLINE_CAPABLE_MADT = 5
_ONLINE_CAPABLE_FADT = (6, 3)


def found_of(source: str, kind: str, tables: Sequence[RawTable]) -> SourceFacts:
    """The facts in `tables`.

    The first table of a signature counts, as it does for Linux.  Damage that makes the content of such a table
    doubtful is a problem of the result; in tables that tell nothing here it is only noted.  Where the FACP is among
    the tables, they are all that a machine has.
    """
    found = SourceFacts(source, kind)
    first: dict[str, RawTable] = {}
    for table in tables:
        counts = first.setdefault(table.signature, table) is table
        if not counts and table.signature not in _MANY:
            _note(found, table, 0, f"a further {table.signature}; Linux uses the first one")
        for defect in table.defects:
            if defect.kind in DAMAGE and counts and table.signature in _READ:
                found.problems.append(problem_of(table, defect))
            elif defect.kind in DAMAGE:
                _note(found, table, defect.offset, defect.message)
    if "SRAT" in first:
        _put_srat(found, first["SRAT"])
    if "SLIT" in first and first["SLIT"].matrix:
        _put(found, first["SLIT"], "acpi.slit", first["SLIT"].matrix)
    if "CEDT" in first:
        windows = tuple(CxlWindow(entry["base"], entry["size"]) for entry in first["CEDT"].of_type(1))
        _put(found, first["CEDT"], "acpi.cxl_windows", windows)
    if "APIC" in first:
        _put_madt(found, first["APIC"], first.get("FACP"))
    if "FACP" in first:
        found.put("acpi.hpet", "HPET" in first, "HPET" if "HPET" in first else "no HPET among the tables")
    _put_places(found, tables)
    return found


def problem_of(table: RawTable, defect: Defect) -> Problem:
    """A table's defect as a problem of the file, with the line of a text or the byte offset in a binary file."""
    line = table.line(defect.offset)
    return Problem(table.source, f"{_place(table, defect.offset)}: {defect.message}", line=line)


def _place(table: RawTable, offset: int) -> str:
    return f"{table.signature}, byte {offset if table.lines else table.offset + offset:#x}"


def _note(found: SourceFacts, table: RawTable, offset: int, text: str) -> None:
    line = table.line(offset)
    found.notes.append(f"{table.source}{f':{line}' * bool(line)}: {_place(table, offset)}: {text}")


def _put(found: SourceFacts, table: RawTable, path: str, value: object, *, weak: bool = False) -> None:
    place = f" of {table.source}" if table.source != found.source else ""
    found.put(path, value, f"{table.signature}{place}", line=table.line(0) if not place else 0, weak=weak)


def _put_srat(found: SourceFacts, table: RawTable) -> None:
    """The affinities; domains of revision 1 have 8 bits (acpi_parse_memory_affinity, drivers/acpi/numa/srat.c)."""
    mask = 0xFF if table.revision <= 1 else 0xFFFFFFFF
    memory, cpus = [], []
    ignored: dict[str, int] = {}
    for entry in table.entries:
        if not entry.values:
            continue
        if entry.type in (0, 1):
            pxm = entry["pxm"] if entry.type else entry["pxm_low"] | entry["pxm_high"] << 8
            if pxm & ~mask and entry.enabled:
                _note(
                    found,
                    table,
                    entry.offset,
                    f"domain {pxm:#x} in a table of revision {table.revision}: its low 8 bits count ({pxm & mask})",
                )
            if entry.type:
                hotplug, nonvolatile = bool(entry["flags"] & 2), bool(entry["flags"] & 4)
                memory.append(
                    MemoryAffinity(pxm & mask, entry["base"], entry["size"], entry.enabled, hotplug, nonvolatile)
                )
            else:
                cpus.append(CpuAffinity(entry["apic_id"], pxm & mask, entry.enabled))
        elif entry.type == 2:
            cpus.append(CpuAffinity(entry["apic_id"], entry["pxm"], entry.enabled, x2apic=True))
        elif entry.type != 5:
            ignored[entry.name] = ignored.get(entry.name, 0) + 1
    for name, count in ignored.items():
        _note(found, table, 0, f"{count} {name} entries are not used: they place no memory of an x86 machine")
    initiators = tuple(entry["pxm"] for entry in table.of_type(5) if entry.enabled)
    _put(found, table, "srat", Srat(tuple(memory), tuple(cpus), initiators, table.revision))


def _put_madt(found: SourceFacts, table: RawTable, fadt: RawTable | None) -> None:
    """CPUs and I/O APICs as acpi_parse_lapic and acpi_parse_x2apic count them (arch/x86/kernel/acpi/boot.c, 6.12).

    The CPUs are weak facts: how many are possible depends on the kernel too, which a log tells.
    """
    online_capable = table.revision >= _ONLINE_CAPABLE_MADT
    if fadt is not None and len(fadt.data) > 131:
        online_capable = (fadt.revision, fadt.data[131] & 0xF) >= _ONLINE_CAPABLE_FADT
    present: dict[int, None] = {}
    later: dict[int, None] = {}
    unusable = 0
    local = any(
        entry["apic_id"] != _NO_APIC and (entry.enabled or (online_capable and entry["flags"] & 2))
        for entry in table.of_type(0)
    )
    for entry in table.of_type(0, 9):
        apic_id = entry["apic_id"]
        if apic_id == (_NO_X2APIC if entry.type else _NO_APIC) or (entry.type and local and apic_id < _NO_APIC):
            continue
        if entry.enabled:
            present[apic_id] = None
        elif online_capable and entry["flags"] & 2:
            later[apic_id] = None
        else:
            unusable += 1
    for apic_id in present:
        later.pop(apic_id, None)
    if present:
        _put(found, table, "cpus.possible", len(present) + len(later), weak=True)
        _put(found, table, "cpus.present", len(present), weak=True)
        _put(found, table, "cpus.apic_ids", (*present, *later), weak=True)
    else:
        _note(found, table, 0, "names no CPU that is enabled")
    if unusable:
        _note(
            found,
            table,
            0,
            f"{unusable} disabled CPUs are not counted as possible; 3.13, 5.10 and guests of a hypervisor count them",
        )
    _put(found, table, "acpi.ioapics", sum(1 for _ in table.of_type(1)))


def _put_places(found: SourceFacts, tables: Sequence[RawTable]) -> None:
    """Where the tables lie, in the root table's order with DSDT and FACS behind FACP, as Linux lists them."""
    rsdp = next((table for table in tables if table.signature == "RSDP" and table.address), None)
    if rsdp is not None:
        _put(found, rsdp, "acpi.rsdp", rsdp.address)
    placed = [table for table in tables if table.address and table.signature not in ("RSDP", "RSDT", "XSDT")]
    if not placed:
        return
    root = next((table for table in tables if table.signature == "XSDT"), None) or next(
        (table for table in tables if table.signature == "RSDT"), None
    )
    ordered = list(_in_root_order(placed, root)) if root is not None else placed
    missing = [table.signature for table in placed if table not in ordered]
    if missing:
        found.note(f"not in the root table, so not loaded at boot: {', '.join(missing)}")
    places = tuple(AcpiTable(table.signature, table.address, table.length) for table in ordered)
    if places:
        found.put("acpi.tables", places, "tables' places")


def _in_root_order(placed: Iterable[RawTable], root: RawTable) -> Iterable[RawTable]:
    by_address = {table.address: table for table in placed}
    size = 8 if root.signature == "XSDT" else 4
    for at in range(36, len(root.data) - size + 1, size):
        table = by_address.get(int.from_bytes(root.data[at : at + size], "little"))
        if table is None:
            continue
        yield table
        if table.signature == "FACP":
            for wide, narrow in ((140, 40), (132, 36)):
                address = int.from_bytes(table.data[wide : wide + 8], "little")
                address = address or int.from_bytes(table.data[narrow : narrow + 4], "little")
                if address in by_address:
                    yield by_address[address]
