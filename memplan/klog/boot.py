"""The lines of a boot log that tell of the machine, gathered as they come; nothing is concluded here."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

from memplan.klog.acpi_lines import AcpiLines
from memplan.klog.efi_lines import EfiLines
from memplan.klog.layout import Line
from memplan.klog.memory_types import printed_e820_type
from memplan.klog.node_lines import NodeLines
from memplan.klog.place_lines import PlaceLines
from memplan.klog.ranges import HEX, extent
from memplan.klog.size_lines import SizeLines
from memplan.klog.statements import HEADS
from memplan.machine.model import E820Entry

_RANGE = re.compile(r"(?a)\[mem (0x[0-9a-fA-F]+)-(0x[0-9a-fA-F]+)\]\s*(.*)")
_GAP = re.compile(r"(?a)BIOS-e820: \[gap 0x")
_UPDATED = re.compile(r"(?a)update \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]", re.ASCII)
_OLD_RAMDISK = re.compile(r"(?a)RAMDISK: ([0-9a-f]{8,16}) - ([0-9a-f]{8,16})")
_OLD_RANGE = re.compile(r"(?a)([0-9a-fA-F]{8,16}) - ([0-9a-fA-F]{8,16}) \((.*?)\)")
_RESERVE = re.compile(
    r"(?a)(?:__)?memblock_reserve: +\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\](?: nid=\S+)?(?: flags[ =]\S+)? (\w+)"
)
_DUMPED = re.compile(r"(?a)\s+reserved(?:\.\w+)?\[0x[0-9a-f]+\]\s+\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_XSAVE = re.compile(
    r"(?a)(?:xstate_bv|xstate features) 0x([0-9a-f]{1,16}), (?:cntxt size 0x([0-9a-f]{1,8})(?![0-9a-f]))?"
)
#: Kinds of lines with which no boot begins: other programs print such, too.
_NO_BEGINNING = frozenset(
    ("bringup_rest", "efi_tables", "late", "iomem", "dmi", "efi_mem", "zone", "node_data", "kernel_offset", "kvm_clock")
)
#: A 3.x kernel prints reservations with 14 digits and the end exclusive.
_OLD_RESERVE_WIDTH = len("0x00000000000000")


class Reserved(NamedTuple):
    """A memblock_reserve line: ``[start, end)`` and the symbol that asked."""

    start: int
    end: int
    caller: str
    line: int


class BootLines(AcpiLines, EfiLines, NodeLines, SizeLines, PlaceLines):
    """What the lines of one boot said, in their order; `lines` has the first line of each kind of statement."""

    def __init__(self, begin: int = 0) -> None:
        """`begin` is the number of the line with which the boot begins."""
        super().__init__()
        self.begin = begin
        #: The number of the line behind the boot's last, 0 where that is the file's.
        self.end = 0
        self.first = 0
        self.last = 0
        #: The kind of the last line, "other" for one that tells nothing (a time stamp alone is a line cut off).
        self.last_kind = ""
        self.version = ""
        #: The options that the boot loader gave, and those in force (CONFIG_CMDLINE's among them), as far as printed.
        self.loader_cmdline = ""
        self.full_cmdline = ""
        #: The lines with options that may go on in the next line of the file, and those to which that was joined.
        self.cut_cmdlines: list[int] = []
        self.joined_cmdlines: list[tuple[int, int]] = []
        self.lines: dict[str, int] = {}
        self.maps: dict[str, list[E820Entry]] = {"BIOS-e820": [], "user": [], "modified": [], "extended": []}
        self.setup_data_map: list[E820Entry] = []
        self.map_heads: set[str] = set()
        #: Lines of a map that can't be read, by the map's name.
        self.broken: defaultdict[str, list[int]] = defaultdict(list)
        self.max_arch_pfn = 0
        self.last_pfns: list[int] = []
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
        #: The text that names the encryption of memory that is active.
        self.encryption = ""
        #: Whether the first CPU's line names Intel.
        self.intel: bool | None = None
        self.ibft: int | None = None
        #: What mtrr_trim_uncached_memory took from RAM.
        self.trimmed: list[tuple[int, int]] = []
        self._updates: list[tuple[int, int]] = []
        #: Where a kernel that runs under Xen PV prints its map.
        self.xen_map = 0
        self._ended_maps: set[str] = set()

    @property
    def e820(self) -> bool:
        """Whether any memory map was seen."""
        return any(self.maps.values())

    @property
    def cmdline(self) -> str:
        """The options in force: those of "Kernel command line" unless that is merely the other one, cut earlier."""
        early, full = self.loader_cmdline, self.full_cmdline.removesuffix(" \\")
        same = "".join(early.split()).startswith("".join(full.split()))
        return early if same else full

    @property
    def words(self) -> list[str]:
        """The boot options, split at blanks, without what is meant for init."""
        return self.cmdline.partition(" -- ")[0].split()

    def has(self, kind: str) -> bool:
        """Whether a line of that kind was seen."""
        return kind in self.lines

    def take(self, line: Line) -> None:
        """Take a bare line in."""
        number, text = line.number, line.text
        head = HEADS.match(text)
        self.end = line.last + 1
        if head is None or head.lastgroup != "e820_update":
            self._updates = self._updates if head is not None and head.lastgroup == "mtrr" else []
        if head is None:
            if text and not text.startswith("["):
                self.last_kind = "other"
            return
        kind = head.lastgroup or ""
        if not self.first:
            if kind in _NO_BEGINNING:
                return
            self.first = number
        self._here = number, line.column + _start(text, head.start(kind))
        handler = getattr(self, f"_on_{kind}", None)
        if handler is not None:
            # The words that say which part of the kernel speaks are not part of the statement.
            handler(text[head.start(kind) :], number)
        if kind == "cmdline":
            self.cut_cmdlines += [number] if line.cut else []
            self.joined_cmdlines += [(number, line.last)] if line.last > number else []
        self.last, self.last_kind = number, kind
        self.lines.setdefault(kind, number)

    def _on_version(self, text: str, _: int) -> None:
        self.version = text.strip()

    def _on_cmdline(self, text: str, _: int) -> None:
        head, options = text.split(": ", 1)
        options = options.strip()
        if head.startswith("Kernel"):
            if self.full_cmdline.endswith(" \\"):
                # Linux 6.19 on: a long line goes on in another one.
                self.full_cmdline = f"{self.full_cmdline[:-2]} {options}"
            self.full_cmdline = self.full_cmdline or options
        else:
            self.loader_cmdline = self.loader_cmdline or options

    def _on_map_head(self, text: str, _: int) -> None:
        self.map_heads.add(text.split()[0])

    def _on_bios(self, text: str, number: int) -> None:
        if _GAP.match(text):
            # Linux 7.0 on: what no entry covers.
            return
        self._map_entry("BIOS-e820", text, number)

    def _on_derived(self, text: str, number: int) -> None:
        name = text.partition(":")[0]
        if name == "reserve setup_data":
            if (entry := _entry(text)) is not None:
                self.setup_data_map.append(entry)
        else:
            self._map_entry(name, text, number)

    def _map_entry(self, name: str, text: str, number: int) -> None:
        entry = _entry(text)
        if entry is None:
            self.broken[name].append(number)
            return
        entries = self.maps[name]
        if entries and entry.start < entries[-1].start:
            # The map is printed again, changed: the first one is nearest to firmware's.
            self._ended_maps.add(name)
        if name not in self._ended_maps:
            entries.append(entry)
            self.places[name].append(self._here)

    def _on_e820_update(self, text: str, _: int) -> None:
        if (found := _UPDATED.search(text)) and (updated := extent(found[1], found[2])):
            self._updates.append(updated)

    def _on_mtrr(self, *_: object) -> None:
        self.trimmed, self._updates = self._updates, []

    def _on_xen(self, _: str, number: int) -> None:
        self.xen_map = self.xen_map or number

    def _on_last_pfn(self, text: str, _: int) -> None:
        numbers = HEX.findall(text)
        if not numbers:
            return
        self.last_pfns.append(int(numbers[0], 16))
        if len(numbers) > 1:
            self.max_arch_pfn = int(numbers[1], 16)

    def _on_nr_cpus(self, text: str, number: int) -> None:
        self._take_nr_cpu_ids(text, number)
        self._take_nr_cpus(text)

    def _on_mp_table(self, text: str, _: int) -> None:
        if found := HEX.search(text):
            self.mp_table = int(found[0], 16)

    def _on_reserve(self, text: str, number: int) -> None:
        if found := _RESERVE.match(text):
            place = extent(found[1], found[2], inclusive=len(found[2]) > _OLD_RESERVE_WIDTH)
            if place is not None:
                self.reserves.append(Reserved(*place, found[3], number))

    def _on_dump(self, *_: object) -> None:
        self.dumps += 1

    def _on_dumped(self, text: str, _: int) -> None:
        if self.dumps == 1 and (found := _DUMPED.match(text)):
            self.first_dump.append((int(found[1], 16), int(found[2], 16) + 1))

    def _on_ramdisk(self, text: str, number: int) -> None:
        if text.startswith("initrd too large"):
            if found := re.search(r"\((\d{1,20}) needed", text):
                self.initrd_size = int(found[1])
            return
        place = None
        if found := _RANGE.search(text):
            place = extent(found[1], found[2])
            if place is not None and text.startswith("Move"):
                self.initrd_size = place[1] - place[0]
        elif found := _OLD_RAMDISK.match(text):
            place = extent(found[1], found[2], inclusive=False)
        if place is None:
            self.unreadable.append((number, "a line of the initrd is broken, so its place is missing"))
        self.initrd = self.initrd or place

    def _on_xsave(self, text: str, _: int) -> None:
        if found := _XSAVE.search(text):
            self.xsave = (int(found[1], 16), int(found[2], 16) if found[2] else 0)

    def _on_smbios(self, text: str, _: int) -> None:
        self.no_smbios = text.startswith("DMI not")

    def _on_dmi(self, text: str, _: int) -> None:
        if not self.dmi and ", BIOS " in text:
            self.dmi = text[5:].partition(", BIOS ")[0].strip()

    def _on_hypervisor(self, text: str, _: int) -> None:
        detected, name = (part.strip() for part in text.split(" on " if text.startswith("Booting") else ": ", 1))
        if name == "Xen" and detected.startswith("Booting"):
            name = "Xen PV"
        # Up to 4.11 "Xen" may be detected of either kind of guest; the kernel's interfaces tell which one it is.
        if name != "bare hardware" and self.hypervisor in ("", "Xen"):
            self.hypervisor = name

    def _on_encryption(self, text: str, _: int) -> None:
        self.encryption = f"{self.encryption} {text}"

    def _on_first_cpu(self, text: str, _: int) -> None:
        self.intel = "Intel" in text

    def _on_ibft(self, text: str, _: int) -> None:
        if found := HEX.search(text):
            self.ibft = int(found[0], 16)


def _start(text: str, start: int) -> int:
    """Where a statement that begins at `start` begins with what it is about, the SRAT or the map."""
    named = text.rfind("SRAT: ", 0, start)
    return named if named >= 0 else start + (text[start : start + 1] == " ")


def _entry(text: str) -> E820Entry | None:
    """The map entry that the line names, in both of the kernel's ways to print it; None for a broken line."""
    if found := _RANGE.search(text):
        place = extent(found[1], found[2])
    elif found := _OLD_RANGE.search(text):
        place = extent(found[1], found[2], inclusive=False)
    else:
        return None
    kind = printed_e820_type(found[3])
    return E820Entry(*place, kind) if place is not None and kind is not None else None
