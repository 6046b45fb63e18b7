"""What the lines of a boot log mean for the machine: one function for each part of the description.

Large parts have modules of their own: dmesg_e820, dmesg_image, dmesg_acpi, dmesg_cpus, dmesg_efi, dmesg_build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.parameters import page_table_buffer
from memplan.errors import MemplanError
from memplan.firmware.dmesg_acpi import acpi_facts, srat_facts
from memplan.firmware.dmesg_build import build_facts
from memplan.firmware.dmesg_cpus import cpu_facts
from memplan.firmware.dmesg_e820 import memory_map, setup_data
from memplan.firmware.dmesg_efi import efi_facts
from memplan.firmware.dmesg_image import brk_line, image_facts
from memplan.klog.boot import BootLines
from memplan.machine.model import E820_RAM, Initrd, MpTable
from memplan.machine.options import bad_options
from memplan.units import KIB, MIB, PAGE_SIZE

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts
    from memplan.kernel.model import Kernel

#: The most base memory that the kernel believes in (BIOS_START_MAX).
_BASE_MEMORY_MOST = 0x9F000
#: The range in which the kernel believes the BIOS's word on where base memory ends.
_BASE_MEMORY = (128 * KIB, 640 * KIB)
#: printk's longest record, about which a command line is cut.
_LONGEST_LINE = 980


def facts_of(boot: BootLines, found: SourceFacts, named: str | Kernel | None = None) -> None:
    """Put all that the lines of `boot` tell into `found`; `named` is the kernel where the log is not to tell it."""
    for line, message in boot.impossible:
        found.damage(message, line=line, hint="a digit may have got lost or changed")
    for line, message in boot.unreadable:
        if line != boot.last:
            found.damage(message, line=line, hint="take another copy")
        else:
            found.note(f"the log ends here: {message}", line)
    kernel = _kernel(boot, found, named)
    memory_map(boot, found)
    if named is None:
        build_facts(boot, kernel, found)
    _cmdline(boot, kernel, found)
    image_facts(boot, kernel, found)
    setup_data(boot, found)
    _initrd(boot, found)
    acpi_facts(boot, found)
    srat_facts(boot, found)
    _bios(boot, found)
    _dmi(boot, kernel, found)
    cpu_facts(boot, kernel, found)
    efi_facts(boot, found)
    _missing(boot, found)


def _kernel(boot: BootLines, found: SourceFacts, named: str | Kernel | None) -> Kernel | None:
    """kernel.build by the release, and the build's facts where memplan has them."""
    if named is not None:
        from memplan.kernel.load import kernel_named

        return kernel_named(named)
    if not boot.version:
        found.lacks(
            "kernel.build", "no 'Linux version' line: the log begins too late to tell the kernel (--kernel names it)"
        )
        return None
    from memplan.kernel.builds import OLDEST_BUILD, is_older, match_release
    from memplan.kernel.load import find_kernel

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


def _initrd(boot: BootLines, found: SourceFacts) -> None:
    if boot.initrd is None:
        return
    start, end = boot.initrd
    found.put("initrd", Initrd(start, boot.initrd_size or end - start), "RAMDISK", line=boot.lines["ramdisk"])


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
    if boot.hypervisor == "Xen PV":
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
    brk = brk_line(boot)
    if brk is None or kernel is None:
        return
    pages = (brk.end - brk.start - page_table_buffer(kernel)) // PAGE_SIZE
    if pages > 1:
        # The rest of the brk is page tables' buffer; one page is what the description has without being told.
        found.put("bios.dmi_length", pages * PAGE_SIZE, "the brk's length, in whole pages", line=brk.line)


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
