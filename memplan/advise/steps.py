"""The single steps that may bring a machine nearer to what is wanted: by an option, the boot loader, or firmware."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from memplan.advise.placed import FIRMWARE_END, LOADER_END, Piece, Room, image, loaded, tables
from memplan.boot.steps.efi import EFI_BOOT_SERVICES_CODE, EFI_BOOT_SERVICES_DATA
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import E820_RAM
from memplan.owner import KERNEL, Purpose
from memplan.ranges import RangeSet
from memplan.sweep.settings import SWITCHES
from memplan.units import GIB, MIB, PAGE_SIZE, SECTION_SIZE, round_down, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.kernel.model import Kernel
    from memplan.machine.alteration import Alteration
    from memplan.machine.model import Machine
    from memplan.plan import Blocker, Plan
    from memplan.sweep.wants import Want

#: Options that take memory away, or from the kernel, and can be left out.
_LEFT_OUT = (
    "mem",
    "memmap",
    "crashkernel",
    "cma",
    "hugetlb_cma",
    "hugepages",
    "reserve_mem",
    "kernelcore",
    "movablecore",
    "swiotlb",
    "log_buf_len",
    "dhash_entries",
    "ihash_entries",
)
#: Options that hide nodes or make others; on is as good as none of them.
CHANGES_NODES = ("numa", "acpi")
#: What is reserved for a crash kernel of which no size is named.
_USUAL_CRASH_KERNEL = 256 * MIB
#: From here on memory blocks may be larger than the smallest.
_LARGE_MACHINE = 64 * GIB
_IMAGE_ALIGN = 2 * MIB
#: Memory that an EFI map says is free, by its number and the kernel's word; and the word for boot services' data.
_CONVENTIONAL, _FREE, _BOOT_DATA = 7, "Conventional", "Boot Data"
#: So many domains, the lowest, are tried without their marks: what lies lowest is what is scarce.
_MOST_UNMARKED = 4


class Hand(IntEnum):
    """Who has to take a step, the least invasive first."""

    OPTION = 0
    LOADER = 1
    FIRMWARE = 2


class Measure(NamedTuple):
    """One step: who takes it, what it is in words, and as settings of fields and boot options."""

    hand: Hand
    text: str
    settings: tuple[tuple[str, str], ...]


def steps(
    machine: Machine, kernel: Kernel, plan: Plan, missing: Sequence[Want], nodes: set[int], *, by_size: bool
) -> Iterator[Measure]:
    """The steps that may bring `machine`, as `plan` has it, nearer to the `missing` wishes, each once.

    `nodes` are those which should be removable and are not; `by_size` tells whether a part of each will do.
    """
    found: dict[tuple[tuple[str, str], ...], Measure] = {}
    for step in _Steps(machine, kernel, plan, nodes, by_size=by_size).all(missing):
        found.setdefault(step.settings, step)
    yield from found.values()


class _Steps:
    """The steps for one machine and its plan."""

    def __init__(self, machine: Machine, kernel: Kernel, plan: Plan, nodes: set[int], *, by_size: bool) -> None:
        self._machine = machine
        self._kernel = kernel
        self._plan = plan
        self._nodes = nodes
        self._by_size = by_size
        self._cmdline = CommandLine(machine.cmdline)
        srat = machine.srat.memory if machine.srat is not None else ()
        domains = {node.pxm for node in plan.nodes if node.nid in nodes}
        #: Memory that should be free of all that stays, and that with all other memory which may be removed.
        self._wanted = RangeSet((own.base, own.base + own.length) for own in srat if own.pxm in domains)
        marked = ((own.base, own.base + own.length) for own in srat if own.hotplug)
        self._avoided = [*self._wanted, *marked]

    def all(self, missing: Sequence[Want]) -> Iterator[Measure]:
        """Steps for nodes, for a crash kernel, and for a boot that dies."""
        sizes = [
            size_text(want.crash_kernel or _USUAL_CRASH_KERNEL) for want in missing if want.crash_kernel is not None
        ]
        asked = self._cmdline.last("crashkernel")
        for size in sizes:
            if asked not in (size, f"{size},high"):
                yield _option("crashkernel", size)
                yield _option("crashkernel", f"{size},high")
        # What makes room is no help before it is asked for.
        crash = asked is not None and any(asked in (size, f"{size},high") for size in sizes)
        if crash:
            # Memory is searched node by node, and not where it may be removed.
            if self._cmdline.has("movable_node"):
                yield _option("movable_node", "off")
            if self._cmdline.last("numa") != "off":
                yield _option("numa", "off", "all memory becomes one node")
        if self._nodes:
            yield from self._options_for_nodes()
        blockers = [own for verdict in self._plan.verdicts if verdict.nid in self._nodes for own in verdict.blockers]
        for blocker in blockers:
            yield from self._remedy(blocker)
        anywhere = crash or not self._plan.end.completed
        if anywhere or self._nodes:
            yield from self._left_out(keeps_crash_kernel=bool(sizes))
        yield from self._loaded_elsewhere(anywhere=anywhere)
        if anywhere or any(own.owner.kind in KERNEL for own in blockers):
            yield from self._image_elsewhere()
        yield from self._tables_elsewhere()
        if any(own.owner.kind is Purpose.EFI_BOOT_SERVICES for own in blockers):
            yield from self._boot_services_elsewhere()
        yield from self._marks()
        if crash:
            yield from self._unmarked()

    # -- options ------------------------------------------------------------------------------------------------

    def _options_for_nodes(self) -> Iterator[Measure]:
        if not self._cmdline.has("movable_node"):
            yield _option("movable_node", "on")
        if self._by_size:
            yield from self._shares()
        yield from self._smaller_blocks()

    def _shares(self) -> Iterator[Measure]:
        """ZONE_MOVABLE by size, where marks make none: the kernel gets half of the smallest node's memory on each."""
        own = [node.memory for node in self._plan.nodes if node.nid in self._nodes and node.memory]
        if own:
            share = round_up(min(own) // 2, SECTION_SIZE) * sum(1 for node in self._plan.nodes if node.memory)
            yield _option("kernelcore", size_text(share), "on each node only a part can go off-line")

    def _smaller_blocks(self) -> Iterator[Measure]:
        """Memory blocks are as large as RAM's end allows; a little less RAM makes them smaller."""
        begun = any(own.nid in self._nodes and own.start_pfn is not None for own in self._plan.verdicts)
        if self._plan.block_size == SECTION_SIZE or not begun:
            return
        end = max(own.end for own in self._machine.e820 if own.type == E820_RAM)
        ends = [round_down(_LARGE_MACHINE - 1, SECTION_SIZE)]
        size = self._plan.block_size >> 1
        while size >= SECTION_SIZE:
            whole = round_down(end - 1, size)
            ends.append(whole if whole % (2 * size) else whole - size)
            size >>= 1
        for limit in sorted({own for own in ends if 0 < own < end}, reverse=True):
            yield _option("mem", size_text(limit), "memory blocks become smaller")

    def _left_out(self, *, keeps_crash_kernel: bool) -> Iterator[Measure]:
        for name in _LEFT_OUT:
            if self._cmdline.has(name) and not (keeps_crash_kernel and name == "crashkernel"):
                yield _option(name, "off")
        for name in CHANGES_NODES:
            if self._cmdline.has(name) and self._cmdline.last(name) != "on":
                yield _option(name, "on")

    def _remedy(self, blocker: Blocker) -> Iterator[Measure]:
        """What the plan itself says would move a reservation; places are found by the machine as it is now."""
        change = blocker.remedy.change
        if change is not None and change.initrd_start is None:
            yield _altered(change)
        if blocker.owner.kind is Purpose.GIGANTIC_PAGES:
            yield _option("hugepages", "off", "allocate gigantic pages later, through sysfs")

    # -- the boot loader ----------------------------------------------------------------------------------------

    def _loaded_elsewhere(self, *, anywhere: bool) -> Iterator[Measure]:
        """Each thing that is loaded into memory which should be free, or anything, to the ends of what stays."""
        for piece in loaded(self._machine):
            if not anywhere and not self._is_wanted(piece):
                continue
            what = "the initrd" if piece.path == "initrd.start" else f"setup_data of {piece.length} bytes"
            for place in self._room([piece]).places(piece.length, PAGE_SIZE, LOADER_END):
                if place != piece.start:
                    text = f"let the boot loader put {what} at {place:#x}"
                    yield Measure(Hand.LOADER, text, ((piece.path, f"{place:#x}"),))

    def _image_elsewhere(self) -> Iterator[Measure]:
        own = self._machine.kernel
        usual = self._kernel.fact("image.load_address")
        if own.load_address not in (None, usual):
            text = "let the boot loader put the kernel at its usual place"
            yield Measure(Hand.LOADER, text, (("kernel.load_address", ""), ("kernel.randomized", "false")))
        piece = image(self._machine, self._kernel)
        align = max(_IMAGE_ALIGN, int(self._kernel.facts.get("image.kernel_alignment", 0)))
        for place in self._room([piece]).places(piece.length, align, FIRMWARE_END):
            if place not in (piece.start, usual) and place >= usual:
                text = f"let the boot loader put the kernel at {place:#x}"
                yield Measure(Hand.LOADER, text, ((piece.path, f"{place:#x}"), ("kernel.randomized", "false")))

    # -- firmware -----------------------------------------------------------------------------------------------

    def _tables_elsewhere(self) -> Iterator[Measure]:
        """All tables that lie in memory which should be free, one behind the other at the top of what stays."""
        inside = [piece for piece in tables(self._machine) if self._is_wanted(piece)]
        if not inside:
            return
        need = sum(_whole_pages(piece.length) for piece in inside)
        for place in self._room(inside).places(need, PAGE_SIZE, FIRMWARE_END)[:1]:
            settings = []
            for piece in inside:
                settings.append((piece.path, f"{place:#x}"))
                place += _whole_pages(piece.length)
            acpi = all(piece.path.startswith("acpi.") for piece in inside)
            what = f"let firmware put its {'ACPI ' if acpi else ''}tables into a node that stays"
            yield Measure(Hand.FIRMWARE, what, tuple(settings))

    def _boot_services_elsewhere(self) -> Iterator[Measure]:
        """What boot services have of memory that should be free: as high as can be in free memory that stays."""
        efi = self._machine.efi
        assert efi is not None
        own = list(enumerate(efi.descriptors))
        services = (EFI_BOOT_SERVICES_CODE, EFI_BOOT_SERVICES_DATA)
        inside = [(i, md) for i, md in own if md.type in services and self._wanted.within(md.start, md.end)]
        need = sum(md.end - md.start for _, md in inside)
        room = self._room([])
        free = [(i, md) for i, md in own if md.type == _CONVENTIONAL]
        found = [
            (place, i, md)
            for i, md in free
            for place in room.places(need, PAGE_SIZE, min(md.end, FIRMWARE_END), md.start)
            if place > md.start
        ]
        if not found:
            return
        place, index, md = max(found)
        settings = [(f"efi.descriptors[{i}].type", _FREE) for i, _ in inside]
        settings.append((f"efi.descriptors[{index}].size", f"{place - md.start:#x}"))
        pieces = [(place, need, _BOOT_DATA), (place + need, md.end - place - need, _FREE)]
        for number, (start, size, kind) in enumerate((own for own in pieces if own[1]), len(own)):
            values = (("start", f"{start:#x}"), ("size", f"{size:#x}"), ("type", kind))
            settings += [(f"efi.descriptors[{number}].{key}", value) for key, value in values]
        text = f"let firmware keep its boot services' memory in a node that stays, at {place:#x}"
        yield Measure(Hand.FIRMWARE, text, tuple(settings))

    def _marks(self) -> Iterator[Measure]:
        """The hot-plug marks of all nodes that should be removable and lack them."""
        if self._machine.srat is None:
            return
        domains = {node.pxm: node.nid for node in self._plan.nodes if node.nid in self._nodes}
        entries = [
            (index, domains[entry.pxm])
            for index, entry in enumerate(self._machine.srat.memory)
            if entry.enabled and entry.pxm in domains and entry.length and not entry.hotplug
        ]
        if entries:
            settings = tuple((f"srat.memory[{index}].hotplug", "true") for index, _ in entries)
            names = ", ".join(f"{nid}" for nid in sorted({nid for _, nid in entries}))
            text = f"mark the memory of node {names} hot-pluggable in firmware's SRAT"
            yield Measure(Hand.FIRMWARE, text, settings)

    def _unmarked(self) -> Iterator[Measure]:
        """Memory that the crash kernel keeps away from as long as it may be removed."""
        if self._machine.srat is None:
            return
        for domain in sorted({own.pxm for own in self._machine.srat.memory if own.hotplug})[:_MOST_UNMARKED]:
            entries = [i for i, own in enumerate(self._machine.srat.memory) if own.hotplug and own.pxm == domain]
            text = f"take the hot-plug marks off domain {domain} in firmware's SRAT"
            yield Measure(Hand.FIRMWARE, text, tuple((f"srat.memory[{index}].hotplug", "false") for index in entries))

    def _is_wanted(self, piece: Piece) -> bool:
        return bool(self._wanted.within(*piece.pages))

    def _room(self, moved: Sequence[Piece]) -> Room:
        return Room(self._machine, self._kernel, self._avoided, moved)


def _option(name: str, value: str, why: str = "") -> Measure:
    return Measure(Hand.OPTION, f"boot with {_word(name, value)}" + (f": {why}" if why else ""), ((name, value),))


def _word(name: str, value: str) -> str:
    return f"{name}={value}" if name in SWITCHES else {"on": name, "off": f"no {name}"}.get(value, f"{name}={value}")


def _altered(change: Alteration) -> Measure:
    """A remedy of the plan as a step."""
    settings: list[tuple[str, str]] = []
    words = [word.partition("=") for word in change.add]
    added = {name for name, _, _ in words}
    settings += [(name, "off") for name in change.drop if name not in added]
    settings += [(name, value if equals else "on") for name, equals, value in words]
    text = f"boot with {' and '.join(_word(name, value) for name, value in settings)}"
    usual = (("kernel.load_address", ""), ("kernel.randomized", "false")) if change.usual_place else ()
    return Measure(Hand.OPTION, text, (*settings, *usual))


def _whole_pages(length: int) -> int:
    return round_up(max(length, 1), PAGE_SIZE)
