"""What an EFI boot adds to a machine, as a boot log tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.klog.boot import BootLines
from memplan.klog.memory_types import EFI_BOOT_DATA
from memplan.machine.model import EfiRange

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts

#: What an allocated reservation for EFI tables is for, by the symbol that asks.
_EFI_CALLERS = {
    "efi_tpm_eventlog_init": "TPM event log",
    "efi_config_parse_tables": "EFI memory reservations",
    "reserve_unaccepted": "unaccepted memory",
    "efi_mem_reserve": "MOK variables",
}


def efi_facts(boot: BootLines, found: SourceFacts) -> None:
    """What an EFI boot adds; the map's place and the tables' lengths are told by memblock=debug only."""
    by_caller = {r.caller: r for r in reversed(boot.reserves)}
    memmap = by_caller.get("efi_memblock_x86_reserve_range")
    if not boot.has("efi") and memmap is None:
        return
    line = boot.lines.get("efi") or boot.lines["reserve"]
    found.put("efi.secure", boot.has("secure"), "EFI boot", line=line)
    if memmap is not None:
        found.put("efi.memmap", (memmap.start, memmap.end - memmap.start), "EFI memory map", line=memmap.line)
        size = next((size for size in (48, 40) if (memmap.end - memmap.start) % size == 0), 48)
        if size != 48:
            found.put("efi.descriptor_size", size, "EFI memory map", line=memmap.line)
    else:
        found.lacks("efi.memmap", "no line tells where the EFI memory map lies; its reservation is left out")
    attributes = by_caller.get("efi_memattr_init")
    if attributes is not None:
        place = (attributes.start, attributes.end - attributes.start)
        found.put("efi.memattr", place, "EFI memory attributes", line=attributes.line)
    elif "MEMATTR" in boot.efi_tables:
        found.lacks(
            "efi.memattr", "the EFI memory attributes table's length is not in the log; its reservation is left out"
        )
    _efi_tables(boot, found)
    for number, name in boot.unknown_efi_types:
        found.damage(f"an EFI memory type called {name!r} is unknown", line=number)
    ranges, origin = _efi_ranges(boot)
    if ranges:
        found.put("efi.descriptors", ranges, origin, line=boot.lines.get("efi_mem", 0))
    else:
        found.lacks(
            "efi.descriptors",
            "the EFI memory map is not in the log (efi=debug prints it); boot services' memory is left out",
        )


def _efi_tables(boot: BootLines, found: SourceFacts) -> None:
    """Tables that the kernel reserves beside the map and the attributes."""
    logo = next((table.line for table in boot.tables if table.signature == "BGRT"), 0)
    reserved = [
        # What is reserved behind the list of ACPI tables is the boot logo's.
        (r.start, r.end - r.start, "BGRT" if logo and r.line > logo else _EFI_CALLERS[r.caller])
        for r in boot.reserves
        if r.caller in _EFI_CALLERS
    ]
    if boot.esrt is not None and not any(what == "ESRT" for _, _, what in reserved):
        reserved.append((boot.esrt[0], boot.esrt[1] - boot.esrt[0], "ESRT"))
    if reserved:
        found.put("efi.reserved", tuple(reserved), "EFI tables", line=boot.lines.get("efi_tables", 0))
    told = {what for _, _, what in reserved}
    if told & {"ESRT", "MOK variables"} and not boot.efi_ranges:
        found.note(
            "where the ESRT or the MOK variables lie, the kernel splits the EFI memory map, which only efi=debug "
            "prints; the new map that it allocates is left out"
        )
    if logo and "BGRT" not in told:
        found.note("the log does not tell where the boot logo (BGRT) lies, which is kept from 4.11 on; it is left out")
    for table, what in (
        ("TPMEventLog", "TPM event log"),
        ("MOKvar", "MOK variables"),
        ("MEMRESERVE", "EFI memory reservations"),
    ):
        if table in boot.efi_tables and what not in told:
            found.note(f"the log tells that there are {what}, not their length; their reservation is left out")


def _efi_ranges(boot: BootLines) -> tuple[tuple[EfiRange, ...], str]:
    if boot.efi_ranges:
        return tuple(boot.efi_ranges), "efi: mem"
    services = [
        EfiRange(r.start, r.end, EFI_BOOT_DATA) for r in boot.reserves if r.caller == "efi_reserve_boot_services"
    ]
    return tuple(sorted((*services, *boot.efi_mmio), key=lambda e: e.start)), "boot services and MMIO lines only"
