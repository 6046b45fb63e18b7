"""The decompressor's choice: arch/x86/boot/compressed/kaslr.c, aslr.c up to 4.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import NotCoveredError
from memplan.kaslr.options import memory_options
from memplan.kaslr.places import (
    LOAD_PHYSICAL_ADDR,
    MIN_KERNEL_ALIGN,
    NO_EFI_MAP,
    Area,
    Places,
    disjoint,
    knows_free_memory,
)
from memplan.machine.cmdline import CommandLine, command_line
from memplan.machine.model import E820_RAM
from memplan.ranges import RangeSet
from memplan.units import GIB, MIB, PAGE_SIZE, round_down, round_up

if TYPE_CHECKING:
    from memplan.kaslr.options import MemoryOptions
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Efi, Machine

#: The lowest minimum: where the loader put the kernel, but no more than this.
_LOW_END = 512 * MIB
#: MAX_SLOT_AREA, and the entries of boot_params' e820 table.
_MOST_AREAS = 100
_MOST_ENTRIES = 128
#: What a setup_data node has before its data.
_SETUP_HEADER = 16
#: SETUP_KEXEC_KHO.
_HANDOVER = 10
#: How far unpacking may overtake the compressed data, beside a page's 4096th of the unpacked (misc.c).
_UNSAFE_SLACK = 32768 + 18
#: EFI memory types and attributes.
_LOADER_CODE, _LOADER_DATA, _CONVENTIONAL, _UNACCEPTED = 1, 2, 7, 15
_SPECIAL_PURPOSE, _MORE_RELIABLE = 0x40000, 0x10000
#: A kernel that lies higher is out of EFI's stub's reach.
_STUB_REACH = 1 << 46


class _Given(NamedTuple):
    """Where the decompressor runs: `output` is where it would unpack the kernel without a choice."""

    output: int
    unknown: str


def decompressor_places(machine: Machine, kernel: Kernel) -> Places:
    """The places of choose_random_location (choose_kernel_location up to 4.6).

    Raises NotCoveredError for a boot after a kexec hand-over, whose scratch areas are not described.
    """
    rules = kernel.rules
    given = _given(machine, kernel)
    if rules.kaslr == "none":
        return Places("boot loader", 0, 0, fixed=given.output, reason="this version has no KASLR")
    align = kernel.config_number("PHYSICAL_ALIGN")
    size = max(kernel.fact("image.output_len"), kernel.fact("image.total_size"))
    size = round_up(size, MIN_KERNEL_ALIGN) if rules.kaslr_size_rounded else size
    stays = Places("decompressor", align, size, fixed=given.output, unknown=given.unknown)
    if reason := _no_choice(machine, kernel):
        return stays._replace(reason=reason)
    if rules.kaslr_kho and any(node.type == _HANDOVER for node in machine.setup_data):
        raise NotCoveredError("KASLR after a kexec hand-over keeps to scratch areas, and they are not described")
    options = memory_options(machine.cmdline, rules)
    minimum = given.output if rules.kaslr == "below 1G" else min(given.output, _LOW_END)
    walk = _Walk(kernel, align, size, round_up(minimum, align), options)
    walk.avoid += _avoided(machine, kernel, given.output, options)
    if options.gives_up:
        return stays._replace(reason="memmap= names more ranges than it can avoid")
    if rules.kaslr_final_check and walk.minimum + size > walk.limit:
        return stays._replace(reason="the limit on the command line leaves no room")
    filtered, notes = _immovable(machine, kernel)
    for start, end in _walked(machine, kernel):
        for low, high in filtered or ((start, end),):
            if low < end and start < high:
                walk.region(max(start, low), min(end, high))
    areas = disjoint(walk.areas, align)
    if not areas:
        return stays._replace(reason="no memory region is suitable", notes=notes)
    unknown = given.unknown
    if machine.efi is not None and rules.kaslr_efi_map:
        unknown = unknown or ("" if knows_free_memory(machine.efi) else NO_EFI_MAP)
    elif "image.input_data" not in kernel.facts and given.output > walk.minimum:
        unknown = unknown or "the build does not tell where in its buffer the compressed kernel runs"
    return Places("decompressor", align, size, areas, unknown=unknown, notes=notes)


def _no_choice(machine: Machine, kernel: Kernel) -> str:
    """Why the kernel stays where it is; "" where it is moved."""
    cmdline = command_line(machine.cmdline)
    if not kernel.config("RANDOMIZE_BASE"):
        return "the kernel is built without RANDOMIZE_BASE"
    if kernel.rules.kaslr_wants_option and kernel.config("HIBERNATION"):
        return "" if cmdline.has("kaslr") else "kaslr is not on the command line, which this version needs"
    return "nokaslr is on the command line" if cmdline.has("nokaslr") else ""


def _given(machine: Machine, kernel: Kernel) -> _Given:
    """Where the loader, or EFI's stub, has put the compressed kernel's buffer."""
    alignment = kernel.config_number("PHYSICAL_ALIGN")
    preferred = max(LOAD_PHYSICAL_ADDR, kernel.fact("image.load_address"))
    load = machine.kernel.load_address
    if load is not None and not machine.kernel.randomized:
        return _Given(max(round_up(load, alignment), LOAD_PHYSICAL_ADDR), "")
    if machine.efi is None or not knows_free_memory(machine.efi):
        return _Given(preferred, "")
    size = round_up(kernel.fact("image.init_size"), PAGE_SIZE)
    if kernel.rules.efi_stub_relocation == "always":
        return _moved(machine.efi, size, alignment, preferred)
    blocks = [own.start for own in machine.efi.descriptors if own.type == _LOADER_CODE and own.end - own.start >= size]
    if len(blocks) != 1:
        return _Given(_LOW_END, "nothing tells where firmware has loaded the compressed kernel")
    output = round_up(blocks[0], alignment)
    if output >= LOAD_PHYSICAL_ADDR and output + size <= _STUB_REACH:
        return _Given(output, "")
    return _moved(machine.efi, size, alignment, preferred)


def _moved(efi: Efi, size: int, alignment: int, preferred: int) -> _Given:
    """Where the stub moves a compressed kernel to: where it would best lie, else to the lowest place that is free.

    The block that it took is of that very size, and was free before.
    """
    free = RangeSet(
        (own.start, own.end)
        for own in efi.descriptors
        if own.type == _CONVENTIONAL or (own.type == _LOADER_DATA and own.end - own.start == size)
    )
    for start, end in ((preferred, preferred + size), *free):
        at = round_up(max(start, LOAD_PHYSICAL_ADDR), alignment)
        if at + size <= end and free.covers(at, at + size):
            return _Given(at, "")
    return _Given(preferred, "EFI has no room for the compressed kernel")


# -- memory ------------------------------------------------------------------------------------------------------------


def _walked(machine: Machine, kernel: Kernel) -> list[tuple[int, int]]:
    """The ranges that are walked, in their order (process_efi_entries, process_e820_entries)."""
    if machine.efi is not None and kernel.rules.kaslr_efi_map and knows_free_memory(machine.efi):
        return _efi_ranges(machine.efi, kernel, command_line(machine.cmdline))
    return [(entry.start, entry.end) for entry in machine.e820[:_MOST_ENTRIES] if entry.type == E820_RAM]


def _efi_ranges(efi: Efi, kernel: Kernel, cmdline: CommandLine) -> list[tuple[int, int]]:
    types = {_CONVENTIONAL}
    if kernel.rules.kaslr_unaccepted and kernel.config("UNACCEPTED_MEMORY"):
        types.add(_UNACCEPTED)
    barred = _SPECIAL_PURPOSE if kernel.rules.kaslr_soft_reserved and soft_reserves(kernel, cmdline) else 0
    mirrored = _MORE_RELIABLE if any(own.attribute & _MORE_RELIABLE for own in efi.descriptors) else 0
    return [
        (own.start, own.end)
        for own in efi.descriptors
        if own.type in types and not own.attribute & barred and own.attribute & mirrored == mirrored
    ]


def soft_reserves(kernel: Kernel, cmdline: CommandLine) -> bool:
    """Whether special-purpose memory is set aside (efi_soft_reserve_enabled)."""
    words = [word for value in cmdline.all("efi") for word in value.split(",")]
    return kernel.config("EFI_SOFT_RESERVE") and "nosoftreserve" not in words


def _immovable(machine: Machine, kernel: Kernel) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """Memory that firmware's SRAT does not mark hot-pluggable, in table order (count_immovable_mem_regions).

    An empty list lets the walk take everything.  The second is what a reader should know.
    """
    reads = kernel.rules.kaslr_srat and kernel.config("MEMORY_HOTREMOVE")
    if not reads or machine.srat is None or "off" in command_line(machine.cmdline).all("acpi"):
        return [], ()
    if any(upgrade.signature == "SRAT" for upgrade in machine.acpi.upgrades):
        return [], ("firmware's own SRAT is replaced by the initrd's and not known; it is taken to mark nothing",)
    stays = [
        (entry.base, entry.base + entry.length) for entry in machine.srat.memory if entry.length and not entry.hotplug
    ]
    return (stays, ()) if len(stays) < 2 * kernel.max_numnodes else ([], ())


def _avoided(machine: Machine, kernel: Kernel, output: int, options: MemoryOptions) -> list[tuple[int, int]]:
    """Ranges that the kernel may not overlap, in the order in which they are tried (mem_avoid_init)."""
    rules = kernel.rules
    avoid = [_run_space(kernel, output)]
    if machine.initrd is not None:
        avoid.append((machine.initrd.start, machine.initrd.start + machine.initrd.size))
    avoid += options.avoid
    if rules.kaslr_avoids_setup_data:
        for node in machine.setup_data:
            avoid.append((node.address, node.address + _SETUP_HEADER + node.length))
            if node.target is not None and rules.kaslr_avoids_indirect_data:
                avoid.append((node.target[0], sum(node.target)))
    return avoid


def _run_space(kernel: Kernel, output: int) -> tuple[int, int]:
    """The compressed kernel where it lies while it unpacks itself, up to the end of its buffer.

    It has moved to the buffer's end.  Where the build doesn't tell at which byte, the end of what is unpacked is
    taken: no place fits between the buffer's beginning and its data in either case, as an image is larger than that.
    Up to 4.6 only the end of the data, the heap and the stack count.
    """
    end = output + kernel.fact("image.init_size")
    unpacked = kernel.fact("image.output_len")
    if not kernel.rules.kaslr_avoids_run_space:
        overtaken = (unpacked >> 12) + _UNSAFE_SLACK
        return round_up(output + unpacked + overtaken, PAGE_SIZE) - overtaken, end
    moved = kernel.facts.get("image.input_data")
    return output + (moved if isinstance(moved, int) else 0), end


# -- the walk ----------------------------------------------------------------------------------------------------------


class _Walk:
    """The walk over memory, with the areas stored so far."""

    def __init__(self, kernel: Kernel, align: int, size: int, minimum: int, options: MemoryOptions) -> None:
        rules = kernel.rules
        self._rules = rules
        self._align = align
        self._size = size
        self.minimum = minimum
        self.limit = 1 << (52 if kernel.config("X86_5LEVEL") else 46)
        if options.limit is not None:
            self.limit = min(self.limit, options.limit)
        if rules.kaslr == "below 1G":
            known = kernel.facts.get("config.RANDOMIZE_BASE_MAX_OFFSET")
            self.limit = known if rules.kaslr_max_offset_config and isinstance(known, int) else GIB
        self._spared = options.spared
        self.avoid: list[tuple[int, int]] = []
        self.areas: list[Area] = []

    def region(self, start: int, end: int) -> None:
        """One range of memory: its areas are stored (process_mem_region; process_e820_entry in old versions)."""
        if self._rules.kaslr_walk == "places":
            self._one_by_one(start, min(end, self.limit))
            return
        start, end = max(start, self.minimum), min(end, self.limit)
        while len(self.areas) < _MOST_AREAS:
            start = round_up(start, self._align)
            if start > end or end - start < self._size:
                return
            met = self._overlap(start, end)
            if met is None:
                self._sparing(start, end)
                return
            room = met[0] - start
            if room > self._size or (room == self._size and self._rules.kaslr_exact_fit):
                self._sparing(start, met[0])
            start = met[1]

    def _one_by_one(self, start: int, end: int) -> None:
        """Every place that misses all that is avoided; they are stored as the runs that they form."""
        at = round_up(max(start, self.minimum), self._align)
        while at + self._size <= end:
            behind = [high for low, high in self.avoid if low < at + self._size and at < high]
            if behind:
                at = max(at + self._align, round_up(max(behind), self._align))
                continue
            stop = min((low for low, high in self.avoid if low >= at + self._size), default=end)
            count = (min(stop, end) - at - self._size) // self._align + 1
            self.areas.append(Area(at, count))
            at += count * self._align

    def _overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The avoided range that the walk goes around next (mem_avoid_overlap)."""
        met = [own for own in self.avoid if own[0] < end and start < own[1] and own[0] < own[1]]
        return min(met, key=lambda own: own[0], default=None)

    def _sparing(self, start: int, end: int) -> None:
        """Stores ``[start, end)`` without the gigantic pages that are to be left free (process_gb_huge_pages)."""
        first = round_up(start, GIB)
        if self._rules.kaslr_gb_pages == "all":
            pages = max(0, (round_down(end, GIB) - first) // GIB)
        else:
            # A page counts only where more than a whole one is left.
            pages = max(0, -(-(end - first) // GIB) - 1)
        pages = min(pages, self._spared)
        if not pages:
            self._store(start, end)
            return
        self._spared -= pages
        self._store(start, first)
        self._store(first + pages * GIB, end)

    def _store(self, start: int, end: int) -> None:
        """Stores the places of ``[start, end)``, if there are any and there is room for an area (store_slot_info)."""
        if end - start >= self._size and len(self.areas) < _MOST_AREAS:
            self.areas.append(Area(start, (end - start - self._size) // self._align + 1))
