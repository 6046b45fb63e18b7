"""What the lines of a boot log mean for the machine: one function for each part of the description."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from memplan.boot.parameters import page_table_buffer
from memplan.errors import MemplanError
from memplan.firmware.dmesg_build import build_facts
from memplan.firmware.dmesg_cpus import affinities, cpu_facts
from memplan.firmware.source import Evidence
from memplan.klog.boot import BootLines, Reserved
from memplan.klog.memory_types import EFI_BOOT_DATA
from memplan.machine.model import (
    E820_ACPI,
    E820_NVS,
    E820_RAM,
    E820_RESERVED,
    AcpiTable,
    E820Entry,
    EfiRange,
    Initrd,
    MpTable,
    SetupData,
    Srat,
    TableUpgrade,
)
from memplan.machine.options import bad_options
from memplan.units import KIB, MIB, PAGE_SIZE, SIZE_2M, round_down, round_up

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts
    from memplan.kernel.model import Kernel

#: A setup_data node's header.
_SETUP_HEADER = 16
#: The most base memory that the kernel believes in (BIOS_START_MAX).
_BASE_MEMORY_MOST = 0x9F000
#: The range in which the kernel believes the BIOS's word on where base memory ends.
_BASE_MEMORY = (128 * KIB, 640 * KIB)
_PAGE_SLIT = 44
#: Page tables in the brk that lie so near behind the image's usual place are no sign of another one.
_LARGEST_IMAGE = 128 * MIB
#: printk's longest record, about which a command line is cut.
_LONGEST_LINE = 980
#: What an allocated reservation for EFI tables is for, by the symbol that asks.
_EFI_CALLERS = {
    "efi_tpm_eventlog_init": "TPM event log",
    "efi_config_parse_tables": "EFI memory reservations",
    "reserve_unaccepted": "unaccepted memory",
    "efi_mem_reserve": "MOK variables",
}


def facts_of(boot: BootLines, found: SourceFacts, named: str | None = None) -> None:
    """Put all that the lines of `boot` tell into `found`; `named` is the kernel where the log is not to tell it."""
    for line, message in boot.impossible:
        if line == boot.last:
            continue
        found.damage(message, line=line, hint="a digit may have got lost or changed")
    kernel = _kernel(boot, found, named)
    _memory_map(boot, found)
    if named is None:
        build_facts(boot, kernel, found)
    _cmdline(boot, kernel, found)
    _placement(boot, kernel, found)
    _setup_data(boot, found)
    _initrd(boot, found)
    _acpi(boot, found)
    _srat(boot, found)
    _bios(boot, found)
    _dmi(boot, kernel, found)
    cpu_facts(boot, kernel, found)
    _efi(boot, found)
    _missing(boot, found)


def _kernel(boot: BootLines, found: SourceFacts, named: str | None) -> Kernel | None:
    """kernel.build by the release, and the build's facts where memplan has them."""
    if named is not None:
        from memplan.kernel.load import find_kernel

        return find_kernel(named)
    if not boot.version:
        found.lacks(
            "kernel.build", "no 'Linux version' line: the log begins too late to tell the kernel (--kernel names it)"
        )
        return None
    from memplan.kernel.load import OLDEST_BUILD, find_kernel, is_older, match_release

    line = boot.lines["version"]
    release = boot.version.split()[2] if len(boot.version.split()) > 2 else ""
    try:
        name, note = match_release(release, boot.version)
        found.put("kernel.build", name, f"Linux version {release}", line=line)
        if note:
            found.note(note, line)
        return find_kernel(name)
    except MemplanError as error:
        if not is_older(release):
            found.note(str(error), line)
            return None
        found.put("kernel.build", OLDEST_BUILD, f"Linux version {release}", line=line)
        found.note(
            f"the boot of Linux {release} is not covered: that of {OLDEST_BUILD}, the oldest one that is, is planned "
            "instead, so places and sizes may differ",
            line,
        )
        return find_kernel(OLDEST_BUILD)


def _memory_map(boot: BootLines, found: SourceFacts) -> None:
    """The e820 map: firmware's where the log has it whole, else what the kernel made of it."""
    bios, first = boot.maps["BIOS-e820"], boot.lines.get("bios", 0)
    if boot.maps["extended"]:
        found.put("e820", tuple(boot.maps["extended"]), "extended physical RAM map", line=boot.lines["derived"])
        return
    whole = "BIOS-provided" in boot.map_heads or (bool(bios) and bios[0].start == 0)
    for number in boot.broken:
        if number != boot.last:
            found.damage("a BIOS-e820 line is broken, so an entry is missing", line=number, hint="take another copy")
    if bios and whole:
        found.put("e820", _trimmed(boot, bios, found), "BIOS-e820", line=first)
        if boot.last_kind == "bios" and set(boot.lines) <= {"bios", "map_head"} and boot.last not in boot.broken:
            found.note("the file holds the map alone; it is taken for whole", boot.last)
        elif boot.last_kind == "bios":
            found.damage(
                "the log ends in the BIOS-e820 map, which may go on",
                line=boot.last,
                hint="take the whole log",
            )
        return
    for name in ("modified", "user"):
        entries = boot.maps[name]
        if entries and (f"{'user-defined' if name == 'user' else name}" in boot.map_heads or entries[0].start == 0):
            found.put("e820", _rejoined(boot, entries), f"{name} map", line=boot.lines["derived"])
            found.note(f"the log lacks firmware's own map (BIOS-e820); the kernel's {name} map is taken instead")
            return
    if bios:
        found.put("e820", tuple(bios), "BIOS-e820", line=first)
        found.damage(
            "the log begins in the BIOS-e820 map, of which the first entries are missing",
            line=first,
            hint="take the whole log",
        )
    elif any(boot.maps.values()):
        found.damage("the log holds only a part of a memory map", line=boot.lines.get("derived", 0))
        found.put("e820", tuple(boot.maps["modified"] or boot.maps["user"]), "part of a map", weak=True)
    else:
        found.lacks("e820", "the log has no memory map (it begins after the BIOS-e820 lines)")


def _trimmed(boot: BootLines, entries: list[E820Entry], found: SourceFacts) -> tuple[E820Entry, ...]:
    """The map without the holes that no MTRR covers (mtrr_trim_uncached_memory); RAM cut off at the end is no hole."""
    last = max((entry.end for entry in entries if entry.type == E820_RAM), default=0)
    holes = [hole for hole in boot.trimmed if hole[1] < last and any(_cut(entry, hole) for entry in entries)]
    if not holes:
        return tuple(entries)
    found.note("the MTRRs leave a hole, whose RAM the kernel takes for reserved; so does the map", boot.lines["mtrr"])
    for hole in holes:
        entries = [piece for entry in entries for piece in (_cut(entry, hole) or [entry])]
    return tuple(entries)


def _cut(entry: E820Entry, hole: tuple[int, int]) -> list[E820Entry]:
    """The pieces of `entry`, which is RAM, around the hole in it; [] where there is none."""
    start, end = max(entry.start, hole[0]), min(entry.end, hole[1])
    if entry.type != E820_RAM or start >= end:
        return []
    pieces = [
        E820Entry(entry.start, start, E820_RAM),
        E820Entry(start, end, E820_RESERVED),
        E820Entry(end, entry.end, E820_RAM),
    ]
    return [piece for piece in pieces if piece.start < piece.end]


def _rejoined(boot: BootLines, entries: list[E820Entry]) -> tuple[E820Entry, ...]:
    """The kernel's map without the kernel's changes: page 0 and the place of upgraded tables are RAM again."""
    upgraded = sum(length for _, length in boot.upgrades)
    joined: list[E820Entry] = []
    for index, entry in enumerate(entries):
        following = entries[index + 1] if index + 1 < len(entries) else None
        before_ram = bool(following and following.type == E820_RAM and following.start == entry.end)
        page_0 = not index and entry.start == 0 and entry.end == PAGE_SIZE
        tables = entry.type in (E820_ACPI, E820_NVS) and entry.end - entry.start == upgraded
        if before_ram and (page_0 or tables):
            entry = E820Entry(entry.start, entry.end, E820_RAM)
        if joined and entry.type == joined[-1].type == E820_RAM and joined[-1].end == entry.start:
            entry = E820Entry(joined.pop().start, entry.end, E820_RAM)
        joined.append(entry)
    return tuple(joined)


def _cmdline(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    if not boot.has("cmdline"):
        found.lacks("cmdline", "no command line in the log; it is taken to be empty")
        return
    line = boot.lines["cmdline"]
    found.put("cmdline", boot.cmdline, "Command line", line=line)
    if boot.loader_cmdline and boot.cmdline != boot.loader_cmdline:
        found.note(
            '"Kernel command line" tells other options than "Command line" (CONFIG_CMDLINE, or a line that was cut);'
            " they are taken",
            line,
        )
    for first, last in boot.joined_cmdlines:
        found.note(f"the command line was wrapped; lines {first} to {last} are taken for one", first)
    for number in boot.cut_cmdlines:
        found.note("the command line may go on in the next line of the file, which was not taken; check it", number)
    if "crashkernel=auto" in boot.words and (kernel is None or not kernel.rules.crashkernel_auto):
        found.note(
            "crashkernel=auto is Red Hat's own option; how much it takes is not known, so nothing is planned", line
        )
    if len(boot.cmdline) >= _LONGEST_LINE:
        found.note("the command line is so long that printk may have cut it; /proc/cmdline has it whole", line)
    for message in bad_options(boot.cmdline):
        found.put("booted", True, "bad values among the options", line=line)
        found.note(f"{message}; planned as the kernel takes it", line)


def _placement(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    """Where the image lies: by /proc/iomem, by the brk that lies behind it, or by how far KASLR moved it."""
    randomized = _randomized(boot, kernel)
    if randomized is not None:
        line = boot.lines.get("kaslr") or boot.lines.get("kernel_offset") or boot.lines.get("cmdline", 0)
        found.put("kernel.randomized", randomized, "KASLR", line=line)
    told = _told_place(boot, kernel)
    if told is not None and told[0] >= 0:
        place, origin, line = told
        found.put("kernel.load_address", place, origin, line=line)
        return
    found.evidence += [Evidence(own.nid, own.start, own.end, f"{found.source}:{own.line}") for own in boot.node_data]
    if randomized and (kernel is None or kernel.facts.get("image.load_address")):
        found.lacks(
            "kernel.load_address",
            "KASLR is on and no line tells where the kernel image lies; it is taken to lie where it would without "
            "(give /proc/iomem as a further source, read as root)",
        )
    elif boot.has("efi"):
        found.lacks(
            "kernel.load_address",
            "on an EFI boot the loader may put the kernel image elsewhere than its usual place, and no line tells "
            "where (give /proc/iomem as a further source, read as root)",
        )


def _told_place(boot: BootLines, kernel: Kernel | None) -> tuple[int, str, int] | None:
    """The image's place with what told it and the line; the brk only with memblock=debug, its tables in old logs."""
    if boot.kernel_code is not None:
        return boot.kernel_code, "Kernel code", boot.lines["iomem"]
    brk = _brk(boot)
    size = kernel.facts.get("image.brk_start") if kernel is not None else None
    if brk is not None:
        holder = next((start for start, end in boot.first_dump if start <= brk.start < end), None)
        place = brk.start - size if isinstance(size, int) else holder
        if place is not None:
            return place, "brk behind the image", brk.line
    usual = kernel.facts.get("image.load_address") if kernel is not None else None
    if kernel is None or not isinstance(usual, int) or not isinstance(size, int):
        return None
    if boot.kernel_offset is not None and kernel.rules.kaslr == "below 1G":
        return usual + boot.kernel_offset, "Kernel Offset", boot.lines["kernel_offset"]
    if boot.kvm_clock is not None and "kvmclock_init" not in kernel.rules.steps and kernel.config("AMD_MEM_ENCRYPT"):
        # What is shared with the host lies in a 2M page of its own at the image's end.
        place = round_down(boot.kvm_clock, SIZE_2M) + SIZE_2M - round_up(size, SIZE_2M)
        if abs(place - usual) >= _LARGEST_IMAGE:
            return place, "KVM guest clock in the image", boot.lines["kvm_clock"]
    if boot.brk_page is not None and not 0 <= boot.brk_page - usual < _LARGEST_IMAGE:
        # The image's size is perhaps another build's, so the place is as exact as the alignment.
        return round_down(boot.brk_page - size, SIZE_2M), "page tables in the brk behind the image", boot.lines["brk"]
    return None


def _brk(boot: BootLines) -> Reserved | None:
    """The line that reserves the brk: setup_arch's one before the first dump."""
    first_dump = boot.lines.get("dump", 0)
    return next((r for r in boot.reserves if r.caller in ("setup_arch", "reserve_brk") and r.line < first_dump), None)


def _randomized(boot: BootLines, kernel: Kernel | None) -> bool | None:
    if "nokaslr" in boot.words:
        return False
    if boot.kaslr is not None:
        return boot.kaslr
    if kernel is not None and boot.has("cmdline"):
        return kernel.config("RANDOMIZE_BASE")
    return None


def _setup_data(boot: BootLines, found: SourceFacts) -> None:
    """setup_data, from the map that is printed where there is any: its nodes cut the RAM entries in pieces.

    RAM and a node are printed alike, so a run of entries that touch is RAM, node, RAM, node, …
    """
    nodes: list[SetupData] = []
    run: list[E820Entry] = []
    firmware = {e.start for e in boot.maps["BIOS-e820"] + boot.maps["extended"]}
    for entry in [*boot.setup_data_map, None]:
        if entry is not None and _continues(run, entry) and entry.start not in firmware:
            run.append(entry)
            continue
        for piece in _nodes_in(run):
            nodes.append(SetupData(piece.start, max(0, piece.end - piece.start - _SETUP_HEADER)))
        run = [entry] if entry is not None and entry.type == E820_RAM else []
    if nodes:
        found.put("setup_data", tuple(nodes), "reserve setup_data", line=boot.lines["derived"])


def _continues(run: list[E820Entry], entry: E820Entry) -> bool:
    return entry.type == E820_RAM and bool(run) and run[-1].end == entry.start


def _nodes_in(run: list[E820Entry]) -> list[E820Entry]:
    if len(run) == 2:
        return [min(run, key=lambda e: e.end - e.start)]
    return run[1::2]


def _initrd(boot: BootLines, found: SourceFacts) -> None:
    if boot.initrd is None:
        return
    start, end = boot.initrd
    found.put("initrd", Initrd(start, boot.initrd_size or end - start), "RAMDISK", line=boot.lines["ramdisk"])


def _acpi(boot: BootLines, found: SourceFacts) -> None:
    tables: list[AcpiTable] = []
    upgraded: list[tuple[str, int]] = []
    pending: set[str] = set()
    line = 0
    for table in boot.tables:
        line = line or table.line
        if table.signature == "RSDP":
            found.put("acpi.rsdp", table.address, "ACPI: RSDP", line=table.line)
        elif table.signature in ("RSDT", "XSDT"):
            continue
        elif table.upgrade:
            upgraded.append((table.signature, table.length))
            continue
        elif table.length == 0:
            pending.add(table.signature)
            tables.append(AcpiTable(table.signature, table.address, 0))
            continue
        elif table.signature in pending:
            # The line behind a table that an upgrade replaces: the upgrade at its new place.
            pending.discard(table.signature)
            upgraded.append((table.signature, table.length))
            continue
        else:
            tables.append(AcpiTable(table.signature, table.address, table.length))
    if tables:
        found.put("acpi.tables", tuple(tables), "ACPI tables", line=line)
        if any(not t.length for t in tables):
            found.note(
                "the length of firmware's own table is not printed where one from the initrd replaces it; it is 0"
            )
    else:
        found.lacks("acpi.tables", "the log lists no ACPI tables")
    _upgrades(boot, upgraded, found)
    if boot.has("ioapic"):
        found.put("acpi.ioapics", boot.ioapics, "IOAPIC", line=boot.lines["ioapic"])
    elif boot.has("cpus"):
        found.put("acpi.ioapics", 0, "no IOAPIC line before the CPU count", line=boot.lines["cpus"])
    if boot.has("hpet") or boot.has("cpus"):
        found.put("acpi.hpet", boot.has("hpet"), "HPET id", line=boot.lines.get("hpet", 0))
    slit = next((t for t in tables if t.signature == "SLIT"), None)
    if slit is not None and slit.length > _PAGE_SLIT:
        count = isqrt(slit.length - _PAGE_SLIT)
        matrix = tuple(tuple(10 if row == column else 20 for column in range(count)) for row in range(count))
        found.put("acpi.slit", matrix, "SLIT's length; distances assumed", line=line, weak=True)
        found.lacks("acpi.slit", "there is a SLIT, whose distances the log does not print; 10 and 20 are assumed")


def _upgrades(boot: BootLines, upgraded: list[tuple[str, int]], found: SourceFacts) -> None:
    listed = boot.upgrades or upgraded
    if not listed:
        return
    installed = list(boot.installed)
    upgrades = []
    for signature, length in listed:
        replaces = signature not in installed
        if not replaces:
            installed.remove(signature)
        upgrades.append(TableUpgrade(signature, length, replaces))
    line = boot.lines.get("upgrade") or boot.lines.get("override", 0)
    found.put("acpi.upgrades", tuple(upgrades), "tables in the initrd", line=line)


def _srat(boot: BootLines, found: SourceFacts) -> None:
    listed = next((t for t in reversed(boot.tables) if t.signature == "SRAT" and t.length), None)
    if not boot.srat_memory and not boot.srat_cpus:
        if listed is not None:
            found.lacks(
                "srat",
                "there is an SRAT, but its entries are not in the log (numa=off, or a log that ends early)",
                listed.line,
            )
        return
    line = boot.lines.get("srat_memory") or boot.lines.get("srat_cpu", 0)
    revision = listed.revision if listed is not None and listed.revision else 3
    srat = Srat(tuple(boot.srat_memory), affinities(boot), revision=revision)
    found.put("srat", srat, "SRAT", line=line)
    if unnamed := dict.fromkeys(cpu.pxm for cpu in srat.cpus if cpu.pxm not in boot.pxm_nodes):
        domains = ", ".join(map(str, unnamed))
        found.note(f"a node has no memory, and no line names its proximity domain: {domains} is taken", line)


def _bios(boot: BootLines, found: SourceFacts) -> None:
    """Base memory, the MP table, the iBFT and SMBIOS."""
    start = _base_memory(boot)
    if start is not None:
        place, line, origin = start
        found.put("bios.lowmem", place, origin, line=line, weak=True)
        found.put("bios.ebda", place, origin, line=line, weak=True)
    if boot.mp_table is not None:
        line = boot.lines["mp_table"]
        scanned = [r for r in boot.reserves if r.caller.startswith("smp_scan_config") and r.start != boot.mp_table]
        table = MpTable(boot.mp_table)
        if scanned:
            table = MpTable(boot.mp_table, scanned[0].start, scanned[0].end - scanned[0].start)
        elif not any(r.caller.startswith("smp_scan_config") for r in boot.reserves):
            found.note("the log tells where the MP floating pointer is, not the table that it names", line)
        found.put("bios.mp_table", table, "SMP MP-table", line=line)
    if boot.ibft is not None:
        length = next((t.length for t in boot.tables if t.signature.upper() == "IBFT"), 4 * KIB)
        found.put("bios.ibft", (boot.ibft, length), "iBFT", line=boot.lines["ibft"])
    if boot.hypervisor in ("Xen", "Xen PV"):
        found.put("bios.legacy_area", False, "Xen PV", line=boot.lines["hypervisor"])


def _base_memory(boot: BootLines) -> tuple[int, int, str] | None:
    """Where base memory ends: what the kernel reserved up to 1 MiB tells, else firmware's map below 640 KiB."""
    low, high = _BASE_MEMORY
    reserved = [
        (r.start, r.line)
        for r in boot.reserves
        if r.end == MIB and r.caller in ("reserve_bios_regions", "reserve_ebda_region")
    ]
    reserved += [(start, boot.lines["dump"]) for start, end in boot.first_dump if end == MIB]
    for start, line in reserved:
        # The kernel takes 0x9f000 where the BIOS says more, so that much is not firmware's word.
        if low <= start < _BASE_MEMORY_MOST:
            return start, line, "start of the BIOS area"
    for entry, following in zip(boot.maps["BIOS-e820"], boot.maps["BIOS-e820"][1:], strict=False):
        if entry.type == E820_RAM and entry.end == following.start and low <= entry.end < high:
            return entry.end // KIB * KIB, boot.lines["bios"], "end of base memory in the map"
    return None


def _dmi(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    """The machine's name, and how much of the brk the SMBIOS structures take."""
    if boot.dmi:
        found.put("name", boot.dmi, "DMI", line=boot.lines["dmi"], weak=True)
    if boot.no_smbios:
        found.put("bios.dmi_length", 0, "DMI not present", line=boot.lines["smbios"])
        return
    brk = _brk(boot)
    if brk is None or kernel is None:
        return
    pages = (brk.end - brk.start - page_table_buffer(kernel)) // PAGE_SIZE
    if pages > 1:
        # The rest of the brk is page tables' buffer; one page is what the description has without being told.
        found.put("bios.dmi_length", pages * PAGE_SIZE, "the brk's length, in whole pages", line=brk.line)


def _efi(boot: BootLines, found: SourceFacts) -> None:
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


def _missing(boot: BootLines, found: SourceFacts) -> None:
    """Notes on the parts of the boot that the log lacks."""
    if not boot.has("cpus") and not boot.has("nr_cpus"):
        found.lacks("cpus.possible", "the log ends before the kernel counts the CPUs; one CPU is assumed")
    if boot.dumps or boot.reserves:
        found.note(
            "memblock=debug lines were used only for what firmware and the boot loader chose (where the kernel image, "
            "the MP table, EFI's map and tables lie); nothing that an allocator decided was taken"
        )
    nodes = {affinity.pxm for affinity in boot.srat_memory}
    if len(nodes) > 1 and not boot.srat_cpus and not boot.cpu_nodes:
        found.lacks(
            "cpus.nodes", "no line tells which CPU is on which node (this kernel tells when it brings the CPUs up)"
        )
