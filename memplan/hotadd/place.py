"""Where added memory lies, which node it belongs to, and whether the kernel takes it at all.

The kernel's part follows acpi_memory_enable_device and add_memory_resource; the address of a DIMM is the
hypervisor's or the board's choice, and unless a scenario tells it, the lowest free place of QEMU's window is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.units import PAGE_SHIFT, SECTION_SIZE, SIZE_2M, round_up, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memplan.hotadd.rules import HotplugRules
    from memplan.hotadd.settings import Settings
    from memplan.hotadd.start import Start

#: The room that QEMU leaves for each slot, so that every DIMM can be aligned.
_SLOT_ROOM = 1 << 30
_DEFAULT_SLOTS = 8
#: MAX_PXM_DOMAINS, where the kernel has fewer nodes.
_LEAST_DOMAINS = 256


class Window(NamedTuple):
    """Where a hypervisor puts DIMMs: from `start` to `end`, and not more than `limit` bytes (None: no limit known)."""

    start: int
    end: int | None = None
    limit: int | None = None


class NodeChoice(NamedTuple):
    """A node and why; `made_up` where its number is new."""

    nid: int
    why: str
    made_up: bool = False


class Refusal(NamedTuple):
    """Why the kernel does not take a range; `lines` are what it prints, `silent` where it takes it for no error."""

    reason: str
    lines: tuple[str, ...]
    silent: bool = False


def window_of(start: Start, maxmem: int | None, slots: int | None, memory: int | None) -> Window:
    """The hypervisor's window; `maxmem`, `slots` and `memory` (its RAM) as it was started, where that is known."""
    if maxmem is None or memory is None:
        return Window(start.window)
    limit = max(0, maxmem - memory)
    return Window(start.window, start.window + limit + (slots or _DEFAULT_SLOTS) * _SLOT_ROOM, limit)


def free_address(window: Window, taken: Iterable[tuple[int, int]], size: int) -> int | None:
    """The lowest free place for `size` bytes (memory_device_get_free_addr of QEMU); None where there is none."""
    at = window.start
    for start, end in sorted(taken):
        if start < at + size and end > at:
            at = round_up(end, SIZE_2M)
    return at if window.end is None or at + size <= window.end else None


def overlap(taken: Iterable[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """The first of the `taken` ranges that has a byte of ``[start, end)``; None where none has."""
    return next(((low, high) for low, high in sorted(taken) if low < end and high > start), None)


def node_of(
    start: Start, rules: HotplugRules, settings: Settings, domains: dict[int, int], pxm: int, address: int
) -> NodeChoice:
    """The node of memory at `address` whose device says `pxm`; `domains` may get a new one (before 5.10)."""
    if settings.numa_off:
        nid, why = _by_address(start, address)
        return NodeChoice(nid, f"numa=off takes no notice of the device's domain, and {why}")
    if start.balloon:
        nid, why = _by_address(start, address)
        return NodeChoice(nid, f"Hyper-V's balloon driver tells no domain, and {why}")
    if pxm in domains:
        return NodeChoice(domains[pxm], f"domain {pxm} of its device (_PXM) is node {domains[pxm]}")
    nodes = settings.max_numnodes
    if rules.unknown_domain == "new node" and len(domains) < nodes and pxm < max(nodes, _LEAST_DOMAINS):
        nid = next(number for number in range(len(domains) + 1) if number not in domains.values())
        domains[pxm] = nid
        return NodeChoice(nid, f"the SRAT does not know domain {pxm} of its device (_PXM): node {nid} is made up", True)
    nid, why = _by_address(start, address)
    return NodeChoice(nid, f"the SRAT does not know domain {pxm} of its device (_PXM), and {why}")


def _by_address(start: Start, address: int) -> tuple[int, str]:
    """memory_add_physaddr_to_nid."""
    for low, high, nid in start.ranges:
        if low <= address < high:
            return nid, f"node {nid}'s boot memory holds its address"
    return start.fallback, f"its address lies in no node's boot memory: it falls to the SRAT's first, {start.fallback}"


def refusal(
    start: Start,
    rules: HotplugRules,
    settings: Settings,
    taken: Iterable[tuple[int, int]],
    place: tuple[int, int],
    node: NodeChoice,
    device: int,
) -> Refusal | None:
    """Why ``[place)`` is not taken; None where it is.

    `taken` is what stands in the resource tree, `device` the number of the ACPI device.
    """
    low, high = place
    if not settings.driver:
        return Refusal("nothing listens to the firmware: the driver for memory devices is not there", ())
    if settings.mem_limit is not None and high > settings.mem_limit:
        limit = size_text(settings.mem_limit)
        return Refusal(f"mem={limit} refuses all memory above it in this version (-E2BIG)", failed(device))
    found = overlap(taken, low, high)
    if found is not None:
        where = f"[{found[0]:#x}-{found[1] - 1:#x}]"
        return Refusal(
            f"it overlaps {where}, which is taken already (-EEXIST): the driver holds its memory for known, "
            "says nothing, and no block comes of it",
            (),
            silent=True,
        )
    unit = start.block_size if rules.alignment == "block" else SECTION_SIZE
    if low % unit or (high - low) % unit:
        return _misfit(rules, place, unit, device)
    if rules.possible_nodes_only and node.nid not in start.possible:
        return Refusal(
            f"node {node.nid} was not possible at boot (-EINVAL): no SRAT entry names its domain",
            (f"node {node.nid} was absent from the node_possible_map", *failed(device)),
        )
    return _beyond(start, rules, place, device)


def _misfit(rules: HotplugRules, place: tuple[int, int], unit: int, device: int) -> Refusal:
    """The refusal of a range whose start or size is no multiple of `unit`."""
    low, size = place[0], place[1] - place[0]
    block = rules.alignment == "block"
    head = f"Block size [{unit:#x}] unaligned" if block else "Section-unaligned"
    wrong = [text for text, value in ((f"start {low:#x}", low), (f"size {size_text(size)}", size)) if value % unit]
    verb = "are no multiples" if len(wrong) > 1 else "is no multiple"
    what = "memory block" if block else "section"
    return Refusal(
        f"its {' and its '.join(wrong)} {verb} of a {what} ({size_text(unit)}): all is refused, nothing rounded",
        (f"{head} hotplug range: start {low:#x}, size {size:#x}", *failed(device)),
    )


def _beyond(start: Start, rules: HotplugRules, place: tuple[int, int], device: int) -> Refusal | None:
    """The refusal of what the direct map can't hold; None where it can, or where the version does not look."""
    low, high = place
    limit = 1 << start.address_bits
    if rules.address_limit == "direct map" and start.direct_map_end is not None:
        limit = min(limit, start.direct_map_end)
    if high <= limit:
        return None
    lines: tuple[str, ...] = ()
    if rules.address_limit != "none":
        lines = (f"Hotplug memory [{low:#x}-{high:#x}] exceeds maximum addressable range [0x0-{limit - 1:#x}]",)
    return Refusal(f"it ends above {limit:#x}, where the direct map ends (-E2BIG)", (*lines, *failed(device)))


def failed(device: int) -> tuple[str, str]:
    """The driver's lines for memory that was refused."""
    head = f"acpi PNP0C80:{device:02x}:"
    return f"{head} add_memory failed", f"{head} acpi_memory_enable_device() error"


def blocks_of(start: Start, place: tuple[int, int]) -> range:
    """The numbers of the blocks in ``[place)``."""
    return range(place[0] // start.block_size, place[1] // start.block_size)


def map_pages(start: Start, rules: HotplugRules, settings: Settings, size: int, struct_page: int) -> tuple[int, str]:
    """The pages of each added block that hold its own memory map (0: none do), and why not, where it was asked for."""
    asked = settings.memmap_on_memory
    if asked == "no" or rules.memmap_on_memory == "none":
        return 0, ""
    if start.balloon:
        return 0, "memmap_on_memory is of no use here: Hyper-V's balloon driver does not ask for it"
    if rules.memmap_on_memory == "single blocks" and size != start.block_size:
        return 0, (
            "memmap_on_memory is of no use here: this version puts the map into DIMMs of exactly one block "
            f"({size_text(start.block_size)}) only, and says nothing"
        )
    bytes_ = (start.block_size >> PAGE_SHIFT) * struct_page
    if bytes_ % SIZE_2M:
        if asked != "force":
            return 0, f"memmap_on_memory is of no use here: a block's map of {size_text(bytes_)} does not fill 2M pages"
        bytes_ = round_up(bytes_, SIZE_2M)
    return bytes_ >> PAGE_SHIFT, ""
