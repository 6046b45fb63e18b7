"""The plan: what one boot did to memory, and what follows from it.  Immutable; all that is shown comes from here.

Addresses and sizes are in bytes and ranges half-open ``[start, end)``; a name that ends in ``pfn`` counts pages.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from memplan.events import Checkpoint, Message, Region
from memplan.owner import Owner, Purpose
from memplan.units import PAGE_SHIFT, PAGE_SIZE, U64_MAX, pfn_down, pfn_up

if TYPE_CHECKING:
    from memplan.events import Event
    from memplan.kaslr.places import Places
    from memplan.machine.alteration import Alteration
    from memplan.wording import Wording


class Reservation(NamedTuple):
    """A part of reserved memory and who has it at the hand-over to the page allocator."""

    start: int
    end: int
    nid: int | None
    owner: Owner
    step: str
    before_srat: bool


class TableRun(NamedTuple):
    """Page-table pages of one `level` (p4d, pud, pmd, pte) made while one range was mapped.

    `source` is "brk" or "memblock"; the pages lie in ``[start, end)`` (together with those of other levels).  `mapped`
    is that range, in bytes; an empty one where they map nothing of the direct map.
    """

    level: str
    source: str
    start: int
    end: int
    pages: int
    nid: int | None
    mapped: tuple[int, int] = (0, 0)


class MappedRange(NamedTuple):
    """A piece of the direct map: ``[start, end)`` mapped with pages of `page_size` bytes."""

    start: int
    end: int
    page_size: int


class PageTables(NamedTuple):
    """The direct map's tables: which pages, where from, and what they map.  `levels` is 4 or 5."""

    levels: int
    direct_map_base: int
    runs: tuple[TableRun, ...]
    mappings: tuple[MappedRange, ...]

    def pages(self, source: str | None = None) -> int:
        """How many table pages there are, of one source or of all."""
        return sum(r.pages for r in self.runs if source in (None, r.source))


class Zone(NamedTuple):
    """A zone of a node: spanned pages ``[start_pfn, start_pfn + spanned)``, of which `present` are RAM."""

    nid: int
    name: str
    start_pfn: int
    spanned: int
    present: int

    @property
    def span(self) -> tuple[int, int]:
        """What it spans, in bytes."""
        return self.start_pfn << PAGE_SHIFT, (self.start_pfn + self.spanned) << PAGE_SHIFT


class Node(NamedTuple):
    """A NUMA node at boot: `online` where it has NODE_DATA, its RAM in bytes, its NODE_DATA's place."""

    nid: int
    pxm: int | None
    online: bool
    ranges: tuple[tuple[int, int], ...]
    hotplug: bool
    node_data: tuple[int, int] | None
    cpus: tuple[int, ...]

    @property
    def memory(self) -> int:
        """The node's RAM in bytes."""
        return sum(end - start for start, end in self.ranges)


class Remedy(NamedTuple):
    """What would move a reservation away: a sentence, and where it can be said exactly the change to the machine."""

    text: str
    change: "Alteration | None" = None


class Blocker(NamedTuple):
    """A reservation that keeps a range from being movable, and what would move it away."""

    start: int
    end: int
    owner: Owner
    step: str
    remedy: Remedy


class Verdict(NamedTuple):
    """Whether a range of a node can be movable.

    `start_pfn` is where ZONE_MOVABLE begins in it (None: nowhere); `blocks` of the `total_blocks` memory blocks
    can go off-line.  `reason` is one sentence; `blockers` name what stands in the way.  It is `unmarked` where
    the node has lost its hot-plug marks, and nothing but that keeps it from being movable.
    """

    nid: int
    start: int
    end: int
    hotplug: bool
    movable: bool
    start_pfn: int | None
    blocks: int
    total_blocks: int
    reason: str
    blockers: tuple[Blocker, ...] = ()
    unmarked: bool = False


class SratUse(Enum):
    """What became of the SRAT: `used` for the nodes, or why not."""

    USED = "used"
    ABSENT = "there is none"
    TURNED_OFF = "a boot option turns it off"
    EMPTY = "no enabled entry names memory"
    BAD_ENTRY = "the kernel refuses one of its entries"
    OVERLAP = "two nodes claim the same memory"
    UNCOVERED = "memory is left without a node"
    NOT_REACHED = "the boot dies before it is read"


class Gap(NamedTuple):
    """Free memory ``[start, end)`` of one node at the hand-over."""

    start: int
    end: int
    nid: int | None

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.end - self.start


class Spot(NamedTuple):
    """What is at one address at the hand-over: the region of RAM (None: no RAM), who reserved it, and its zone."""

    address: int
    region: Region | None
    reservation: Reservation | None
    zone: Zone | None


class End(NamedTuple):
    """How the boot ended: `completed`, or else the step it died in, the kernel's words and the cause."""

    completed: bool
    step: str = ""
    text: str = ""
    cause: str = ""


class Plan(NamedTuple):
    """One replayed boot.

    `wording` says how this version words its memblock lines; `random_steps` are those from which on KASLR decides
    where allocations lie; `movable` holds the ranges ``(nid, start, end)`` of
    ZONE_MOVABLE that can go off-line.  `domains` are pairs of a proximity domain and its node, `possible_nodes` the
    nodes that may ever come, with or without memory at boot.  `unheeded` says which boot options about memory
    the kernel does not know.  `srat` says what became of the SRAT, `kaslr` where KASLR may put the kernel (None where
    it is not built in, or not known).

    `build` is the release of the build whose own facts it was made with, "" where they are those of other builds.

    Addresses are bytes; every end is exclusive (JSON has inclusive ones).
    `limits` tells what the boot asks for and is not replayed: with any of it the kernel may do otherwise than planned.
    """

    machine_name: str
    kernel: str
    kernel_version: str
    kernel_notes: tuple[str, ...]
    wording: "Wording"
    cmdline: str
    bottom_up: bool
    events: "tuple[Event, ...]"
    reservations: tuple[Reservation, ...]
    page_tables: PageTables
    nodes: tuple[Node, ...]
    zones: tuple[Zone, ...]
    movable_start_pfn: tuple[tuple[int, int], ...]
    block_size: int
    verdicts: tuple[Verdict, ...]
    movable: tuple[tuple[int, int, int], ...]
    end: End
    limits: tuple[str, ...] = ()
    random_steps: frozenset[str] = frozenset()
    domains: tuple[tuple[int, int], ...] = ()
    possible_nodes: tuple[int, ...] = ()
    unheeded: tuple[str, ...] = ()
    srat: SratUse = SratUse.NOT_REACHED
    kaslr: "Places | None" = None
    build: str = ""

    @property
    def reserved_pages(self) -> int:
        """The pages of RAM that are not handed over as free, with what is reserved for CMA."""
        whole = sum(max(0, pfn_down(region.end) - pfn_up(region.start)) for region in self.memory)
        return whole - self.free_size // PAGE_SIZE

    @property
    def free_size(self) -> int:
        """The bytes of the whole pages that are handed over as free."""
        return sum(gap.size for gap in self.gaps(align=PAGE_SIZE))

    @property
    def movable_size(self) -> int:
        """The bytes of the memory blocks that can go off-line."""
        return sum(end - start for _, start, end in self.movable)

    @property
    def last_step(self) -> str:
        """The step in which the boot came to its end."""
        return self.end.step or next((event.step for event in reversed(self.events)), "")

    @property
    def warnings(self) -> tuple[Message, ...]:
        """The warnings that the kernel would print, in order."""
        return tuple(e for e in self.events if isinstance(e, Message) and e.warning)

    def checkpoint(self, name: str) -> Checkpoint | None:
        """The checkpoint of that name, if the boot came so far."""
        return next((e for e in self.events if isinstance(e, Checkpoint) and e.name == name), None)

    # -- questions ----------------------------------------------------------------------------------------------

    def at(self, address: int) -> Spot:
        """What is at `address` at the end of the boot: RAM or not, reserved by whom, in which zone."""
        region = _holding(self.memory, address)
        reservation = _holding(self.reservations, address)
        pfn = address >> PAGE_SHIFT
        nid = region.nid if region is not None else None
        inside = (zone for zone in self.zones if zone.start_pfn <= pfn < zone.start_pfn + zone.spanned)
        return Spot(address, region, reservation, next((zone for zone in inside if zone.nid == nid), None))

    def node(self, nid: int) -> Node:
        """The node `nid`; KeyError where the boot has none of that number."""
        for node in self.nodes:
            if node.nid == nid:
                return node
        raise KeyError(nid)

    def by_owner(self) -> dict[Owner, tuple[Reservation, ...]]:
        """The reservations of each owner, upwards; owners in the order of their first reservation."""
        found: dict[Owner, list[Reservation]] = {}
        for own in self.reservations:
            found.setdefault(own.owner, []).append(own)
        return {owner: tuple(parts) for owner, parts in found.items()}

    def size_of(self, kinds: Collection[Purpose]) -> int:
        """The bytes that owners of these kinds have."""
        return sum(own.end - own.start for own in self.reservations if own.owner.kind in kinds)

    def gaps(self, *, limit: int = U64_MAX, align: int = 1) -> tuple[Gap, ...]:
        """Free memory at the end of the boot, the largest first (of equals the lowest).

        Only what lies below `limit` counts, in whole pieces of `align` bytes.
        """
        found = []
        first = 0
        for region in self.memory:
            at = region.start
            while first < len(self.reservations) and self.reservations[first].end <= region.start:
                first += 1
            for own in (*self.reservations[first : _after(self.reservations, region.end, first)], None):
                low, high = at, min(own.start if own is not None else region.end, limit)
                low, high = -(-low // align) * align, high // align * align
                if low < high:
                    found.append(Gap(low, high, region.nid))
                at = max(at, own.end) if own is not None else at
        return tuple(sorted(found, key=lambda gap: (-gap.size, gap.start)))

    def why(self, nid: int) -> tuple[Verdict, ...]:
        """The verdicts on the ranges of node `nid`, upwards; KeyError where the boot has none of that number."""
        self.node(nid)
        return tuple(verdict for verdict in self.verdicts if verdict.nid == nid)

    def movable_blocks(self) -> dict[int, int]:
        """How many memory blocks of each node can go off-line."""
        found: dict[int, int] = {}
        for verdict in self.verdicts:
            found[verdict.nid] = found.get(verdict.nid, 0) + verdict.blocks
        return found

    @property
    def memory(self) -> tuple[Region, ...]:
        """The regions of memblock.memory at the end of the boot, upwards."""
        last = next((event for event in reversed(self.events) if isinstance(event, Checkpoint)), None)
        return () if last is None else last.memory


def _after(reservations: tuple[Reservation, ...], end: int, first: int) -> int:
    """The index of the first reservation from `first` on that begins at or behind `end`."""
    return bisect_left(reservations, end, first, key=lambda own: own.start)


_Range = TypeVar("_Range", Region, Reservation)


def _holding(ranges: tuple[_Range, ...], address: int) -> _Range | None:
    """The one of the sorted ranges that holds `address`."""
    index = bisect_right(ranges, address, key=lambda own: own.start) - 1
    return ranges[index] if index >= 0 and address < ranges[index].end else None
