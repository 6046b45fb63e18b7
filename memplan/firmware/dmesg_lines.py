"""The lines of a boot log that tell of the machine, gathered as they come; nothing is concluded here."""

from __future__ import annotations

import re
from typing import NamedTuple

from memplan.klog.memory_types import EFI_MMIO, efi_attributes, efi_type, printed_e820_type
from memplan.klog.statements import HEADS
from memplan.machine.model import CpuAffinity, E820Entry, EfiRange, MemoryAffinity

_RANGE = re.compile(r"\[mem (0x[0-9a-fA-F]+)-(0x[0-9a-fA-F]+)\]\s*(.*)")
_GAP = re.compile(r"BIOS-e820: \[gap 0x")
_OLD_RANGE = re.compile(r"([0-9a-fA-F]{8,16}) - ([0-9a-fA-F]{8,16}) \((.*?)\)")
_SRAT_MEMORY = re.compile(r"Node (\d+) PXM (\d+) \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\](.*)")
_SRAT_CPU = re.compile(r"PXM (\d+) -> APIC 0x([0-9a-f]+) -> Node (\d+)")
_UPGRADE = re.compile(r"([!-~]{4}) ACPI table found in initrd \[[^\]]*\]\[0x([0-9a-f]+)\]")
_OVERRIDE = re.compile(r"(Table Upgrade: override|Table Upgrade: install|Override) \[(.{4})")
_TABLE = re.compile(r"(.{4}) (?:0x)?([0-9A-Fa-f]{8,16}) ([0-9A-Fa-f]{6,8})(?: \(v([0-9A-Fa-f]{2}) ?([^) ]*))?")
_REPLACED = re.compile(r"(.{4}) (?:0x)?([0-9A-Fa-f]{8,16}) ")
_LAPIC = re.compile(r"(?:lapic_id|apic_id)\[0x([0-9a-f]+)\](?: uid\[0x[0-9a-f]+\])? (enabled|disabled)")
_CPUS = re.compile(r"Allowing (\d+) (?:present )?CPUs(?:,| plus) (\d+) hotplug CPUs")
_NR_CPUS = re.compile(r"nr_cpu_ids:(\d+)")
_NR_NODES = re.compile(r"(?:nr_node_ids:|Nodes=)(\d+)")
_SIBLING = re.compile(r"CPU #(\d+)'s \S+ CPU #(\d+) is not on the same node! \[node: (\d+) != (\d+)\]")
_RESERVE = re.compile(r"(?:__)?memblock_reserve: +\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\](?: nid=\S+)?(?: flags[ =]\S+)? (\w+)")
_DUMPED = re.compile(r"\s+reserved(?:\.\w+)?\[0x[0-9a-f]+\]\s+\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_XSAVE = re.compile(r"(?:xstate_bv|xstate features) 0x([0-9a-f]+), (?:cntxt size 0x([0-9a-f]+))?")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,16}(?![0-9a-fA-F])")
_EFI_TABLE = re.compile(r"([A-Za-z0-9. ]+)=0x([0-9a-f]+)")
_EFI_MEM = re.compile(
    r"mem ?\d+: (?:\[([^|\]]*)\|?([^\]]*)\]|type=(\d+), attr=0x([0-9a-f]+),) *"
    r"range=\[0x([0-9a-f]+)-0x([0-9a-f]+)([\])])"
)
_EFI_MMIO_RANGE = re.compile(r"range=\[0x([0-9a-f]+)-0x([0-9a-f]+)\]")
_IOMEM = re.compile(r"([0-9a-f]{8,16})-([0-9a-f]{8,16}) : Kernel code")
#: A 3.x kernel prints reservations with 14 digits and the end exclusive.
_OLD_RESERVE_WIDTH = len("0x00000000000000")


class Reserved(NamedTuple):
    """A memblock_reserve line: ``[start, end)`` and the symbol that asked."""

    start: int
    end: int
    caller: str
    line: int


class Table(NamedTuple):
    """An ACPI table's line; `length` 0 where an override hid it, `upgrade` where it came from the initrd."""

    signature: str
    address: int
    length: int
    revision: int
    line: int
    upgrade: bool = False


class BootLines:
    """What the lines of one boot said, in their order; `lines` has the first line of each kind of statement."""

    def __init__(self) -> None:
        self.first = 0
        self.last = 0
        #: The kind of the last line, "other" for one that tells nothing (a time stamp alone is a line cut off).
        self.last_kind = ""
        self.version = ""
        self.cmdline = ""
        self.lines: dict[str, int] = {}
        self.maps: dict[str, list[E820Entry]] = {"BIOS-e820": [], "user": [], "modified": [], "extended": []}
        self.setup_data_map: list[E820Entry] = []
        self.map_heads: set[str] = set()
        self.broken: list[int] = []
        self.max_arch_pfn = 0
        self.last_pfns: list[int] = []
        self.srat_memory: list[MemoryAffinity] = []
        self.srat_cpus: list[CpuAffinity] = []
        self.cpu_nodes: dict[int, int] = {}
        self.pxm_nodes: dict[int, int] = {}
        #: Where each made-up node begins.
        self.fake_nodes: dict[int, int] = {}
        self.srat_unused = False
        self.upgrades: list[tuple[str, int]] = []
        self.installed: list[str] = []
        self.overridden: list[str] = []
        self.tables: list[Table] = []
        self.oem = ""
        self.lapics: list[tuple[int, bool]] = []
        self.ioapics = 0
        self.allowed: tuple[int, int] | None = None
        self.nr_cpu_ids = 0
        self.nr_node_ids = 0
        self.mp_table: int | None = None
        self.reserves: list[Reserved] = []
        self.dumps = 0
        self.first_dump: list[tuple[int, int]] = []
        self.initrd: tuple[int, int] | None = None
        self.initrd_size = 0
        #: The extended features' bits, and the state's size where 3.13 prints it (else 0).
        self.xsave: tuple[int, int] | None = None
        self.no_smbios = False
        self.dmi = ""
        self.hypervisor = ""
        #: Whether the first CPU's line names Intel.
        self.intel: bool | None = None
        self.ibft: int | None = None
        self.efi_tables: dict[str, int] = {}
        self.efi_ranges: list[EfiRange] = []
        self.efi_mmio: list[EfiRange] = []
        #: The line and the name of each EFI memory type that is none.
        self.unknown_efi_types: list[tuple[int, str]] = []
        self.esrt: tuple[int, int] | None = None
        self.kaslr: bool | None = None
        self.kernel_code: int | None = None
        self._ended_maps: set[str] = set()
        self._node = -1
        self._upgraded = ""

    @property
    def e820(self) -> bool:
        """Whether any memory map was seen."""
        return any(self.maps.values())

    @property
    def words(self) -> list[str]:
        """The boot options, split at blanks, without what is meant for init."""
        return self.cmdline.partition(" -- ")[0].split()

    def has(self, kind: str) -> bool:
        """Whether a line of that kind was seen."""
        return kind in self.lines

    def take(self, number: int, text: str) -> None:
        """Take the bare line `text` in."""
        head = HEADS.match(text)
        if head is None:
            if text and not text.startswith("["):
                self.last_kind = "other"
            return
        kind = head.lastgroup or ""
        if not self.first:
            if kind in ("bringup_rest", "efi_tables", "late", "iomem", "dmi", "efi_mem"):
                return
            self.first = number
        handler = getattr(self, f"_on_{kind}", None)
        if handler is not None:
            # The words that say which part of the kernel speaks are not part of the statement.
            handler(text[head.start(kind) :], number)
        self.last, self.last_kind = number, kind
        self.lines.setdefault(kind, number)

    def _on_version(self, text: str, _: int) -> None:
        self.version = text.strip()

    def _on_cmdline(self, text: str, number: int) -> None:
        if not self.cmdline:
            self.cmdline = text.partition(": ")[2].strip()
            self.lines["cmdline"] = number

    def _on_map_head(self, text: str, _: int) -> None:
        self.map_heads.add(text.split()[0])

    def _on_bios(self, text: str, number: int) -> None:
        if _GAP.match(text):
            # Linux 7.0 on: what no entry covers.
            return
        if _entry(text) is None:
            self.broken.append(number)
        self._map_entry("BIOS-e820", text)

    def _on_derived(self, text: str, _: int) -> None:
        name = text.partition(":")[0]
        if name == "reserve setup_data":
            if (entry := _entry(text)) is not None:
                self.setup_data_map.append(entry)
        else:
            self._map_entry(name, text)

    def _map_entry(self, name: str, text: str) -> None:
        entry = _entry(text)
        if entry is None:
            return
        entries = self.maps[name]
        if entries and entry.start < entries[-1].start:
            # The map is printed again, changed: the first one is nearest to firmware's.
            self._ended_maps.add(name)
        if name not in self._ended_maps:
            entries.append(entry)

    def _on_last_pfn(self, text: str, _: int) -> None:
        numbers = _HEX.findall(text)
        if not numbers:
            return
        self.last_pfns.append(int(numbers[0], 16))
        if len(numbers) > 1:
            self.max_arch_pfn = int(numbers[1], 16)

    def _on_srat_memory(self, text: str, _: int) -> None:
        if found := _SRAT_MEMORY.match(text):
            node, pxm, base, last, rest = found.groups()
            self.pxm_nodes[int(pxm)] = int(node)
            start = int(base, 16)
            length = max(0, int(last, 16) + 1 - start)
            self.srat_memory.append(
                MemoryAffinity(int(pxm), start, length, hotplug="hotplug" in rest, nonvolatile="non-volatile" in rest)
            )

    def _on_srat_cpu(self, text: str, _: int) -> None:
        if found := _SRAT_CPU.match(text):
            self.pxm_nodes[int(found[1])] = int(found[3])
            # A local APIC's id is printed with two digits, an x2APIC's with four.
            self.srat_cpus.append(CpuAffinity(int(found[2], 16), int(found[1]), x2apic=len(found[2]) > 2))

    def _on_fake_node(self, text: str, _: int) -> None:
        self.fake_nodes.setdefault(int(text.split()[2]), int(_HEX.findall(text)[0], 16))

    def _on_srat_unused(self, *_: object) -> None:
        self.srat_unused = True

    def _on_upgrade(self, text: str, _: int) -> None:
        if found := _UPGRADE.match(text):
            self.upgrades.append((found[1], int(found[2], 16)))

    def _on_override(self, text: str, _: int) -> None:
        if found := _OVERRIDE.match(text):
            installed = found[1].endswith("install")
            (self.installed if installed else self.overridden).append(found[2])
            self._upgraded = found[2] if installed else ""

    def _on_replaced(self, text: str, number: int) -> None:
        if found := _REPLACED.match(text):
            self.tables.append(Table(found[1], int(found[2], 16), 0, 0, number))
            self._upgraded = found[1]

    def _on_table(self, text: str, number: int) -> None:
        if found := _TABLE.match(text):
            upgrade = self._upgraded == found[1]
            self._upgraded = ""
            self.oem = self.oem or found[5] or ""
            revision = int(found[4], 16) if found[4] else 0
            self.tables.append(Table(found[1], int(found[2], 16), int(found[3], 16), revision, number, upgrade))

    def _on_lapic(self, text: str, _: int) -> None:
        if found := _LAPIC.search(text):
            self.lapics.append((int(found[1], 16), found[2] == "enabled"))

    def _on_ioapic(self, *_: object) -> None:
        self.ioapics += 1

    def _on_cpus(self, text: str, _: int) -> None:
        if found := _CPUS.match(text):
            first, hotplug = int(found[1]), int(found[2])
            allowed = (first + hotplug, first) if "present" in text else (first, first - hotplug)
            if 0 < allowed[1] <= allowed[0]:
                self.allowed = allowed

    def _on_nr_cpus(self, text: str, _: int) -> None:
        if found := _NR_CPUS.search(text):
            self.nr_cpu_ids = int(found[1])
        self._on_slub(text, 0)

    def _on_slub(self, text: str, _: int) -> None:
        if found := _NR_NODES.search(text):
            self.nr_node_ids = int(found[1])

    def _on_bringup(self, text: str, _: int) -> None:
        node, cpus = text.split(",", 1)
        self._node = int(node.rpartition("#")[2] if "#" in node else node.split()[-1])
        self._brought_up(cpus)

    def _on_bringup_rest(self, text: str, _: int) -> None:
        if self._node >= 0:
            self._brought_up(text)

    def _brought_up(self, cpus: str) -> None:
        for cpu in re.findall(r"#(\d+)", cpus):
            self.cpu_nodes[int(cpu)] = self._node

    def _on_sibling(self, text: str, _: int) -> None:
        if found := _SIBLING.search(text):
            cpu, other, node, other_node = map(int, found.groups())
            self.cpu_nodes.setdefault(cpu, node)
            self.cpu_nodes.setdefault(other, other_node)

    def _on_mp_table(self, text: str, _: int) -> None:
        if found := _HEX.search(text):
            self.mp_table = int(found[0], 16)

    def _on_reserve(self, text: str, number: int) -> None:
        if found := _RESERVE.match(text):
            extent = _extent(found[1], found[2], inclusive=len(found[2]) > _OLD_RESERVE_WIDTH)
            if extent is not None:
                self.reserves.append(Reserved(*extent, found[3], number))

    def _on_dump(self, *_: object) -> None:
        self.dumps += 1

    def _on_dumped(self, text: str, _: int) -> None:
        if self.dumps == 1 and (found := _DUMPED.match(text)):
            self.first_dump.append((int(found[1], 16), int(found[2], 16) + 1))

    def _on_ramdisk(self, text: str, _: int) -> None:
        if text.startswith("initrd too large"):
            if found := re.search(r"\((\d+) needed", text):
                self.initrd_size = int(found[1])
        elif found := _RANGE.search(text):
            extent = _extent(found[1], found[2])
            if extent is not None and text.startswith("Move"):
                self.initrd_size = extent[1] - extent[0]
            self.initrd = self.initrd or extent

    def _on_xsave(self, text: str, _: int) -> None:
        if found := _XSAVE.search(text):
            self.xsave = (int(found[1], 16), int(found[2], 16) if found[2] else 0)

    def _on_smbios(self, text: str, _: int) -> None:
        self.no_smbios = text.startswith("DMI not")

    def _on_dmi(self, text: str, _: int) -> None:
        if not self.dmi and ", BIOS " in text:
            self.dmi = text[5:].partition(", BIOS ")[0].strip()

    def _on_hypervisor(self, text: str, _: int) -> None:
        name = text.replace("Hypervisor detected: ", "").replace("Booting paravirtualized kernel on ", "").strip()
        if name != "bare hardware" and not self.hypervisor:
            self.hypervisor = name

    def _on_first_cpu(self, text: str, _: int) -> None:
        self.intel = "Intel" in text

    def _on_ibft(self, text: str, _: int) -> None:
        if found := _HEX.search(text):
            self.ibft = int(found[0], 16)

    def _on_efi_tables(self, text: str, _: int) -> None:
        for name, address in _EFI_TABLE.findall(text):
            self.efi_tables[name.strip()] = int(address, 16)

    def _on_efi_mem(self, text: str, line: int) -> None:
        found = _EFI_MEM.match(text)
        if found is None:
            return
        words, flags, number, attribute, start, end, closing = found.groups()
        if number is not None:
            kind, attributes = int(number), int(attribute, 16)
        elif (named := efi_type(words)) is not None:
            kind, attributes = named, efi_attributes(flags)
        else:
            self.unknown_efi_types.append((line, words.strip()))
            return
        if extent := _extent(start, end, inclusive=closing == "]"):
            self.efi_ranges.append(EfiRange(*extent, kind, attributes))

    def _on_efi_mmio(self, text: str, _: int) -> None:
        if (found := _EFI_MMIO_RANGE.search(text)) and (extent := _extent(found[1], found[2])):
            self.efi_mmio.append(EfiRange(*extent, EFI_MMIO))

    def _on_esrt(self, text: str, _: int) -> None:
        numbers = _HEX.findall(text)
        if len(numbers) == 2:
            self.esrt = _extent(*numbers, inclusive=False)

    def _on_kaslr(self, text: str, _: int) -> None:
        self.kaslr = not text.startswith(("KASLR disabled", "Kernel Offset: 0x0 ", "Kernel Offset: disabled"))

    def _on_iomem(self, text: str, _: int) -> None:
        if (found := _IOMEM.search(text)) and int(found[1], 16):
            self.kernel_code = int(found[1], 16)


def _extent(start: str, end: str, *, inclusive: bool = True) -> tuple[int, int] | None:
    """The half-open range of two hexadecimal numbers; None where that is no range of 64-bit addresses."""
    first, last = int(start, 16), int(end, 16) + inclusive
    return (first, last) if first < last <= 1 << 64 else None


def _entry(text: str) -> E820Entry | None:
    """The map entry that the line names, in both of the kernel's ways to print it; None for a broken line."""
    if found := _RANGE.search(text):
        extent = _extent(found[1], found[2])
    elif found := _OLD_RANGE.search(text):
        extent = _extent(found[1], found[2], inclusive=False)
    else:
        return None
    kind = printed_e820_type(found[3])
    return E820Entry(*extent, kind) if extent is not None and kind is not None else None
