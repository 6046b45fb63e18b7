"""What memblock records while a boot runs: changes of its two arrays, requests, marks, messages and checkpoints.

Addresses and sizes are in bytes and ranges half-open ``[start, end)``.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from memplan.owner import Owner, Purpose

Op: TypeAlias = Literal["add", "reserve", "remove", "free"]


class Region(NamedTuple):
    """A region of one of the two arrays; `nid` is None where it has no node."""

    start: int
    end: int
    nid: int | None
    flags: int


class Call(Enum):
    """The memblock function that an allocation goes through, by the name that it has today (or had last)."""

    TRY_NID = "memblock_alloc_try_nid"
    TRY_NID_NOPANIC = "memblock_alloc_try_nid_nopanic"
    TRY_NID_RAW = "memblock_alloc_try_nid_raw"
    EXACT_NID_RAW = "memblock_alloc_exact_nid_raw"
    HUGETLB = "memblock_alloc_hugetlb"
    PHYS_RANGE = "memblock_phys_alloc_range"
    PHYS_TRY_NID = "memblock_phys_alloc_try_nid"
    RANGE_NID = "memblock_alloc_range_nid"
    BASE = "memblock_alloc_base"
    BOOTMEM = "alloc_bootmem"


class Request(NamedTuple):
    """What an allocation asked for: `count` blocks of `size` bytes at multiples of `align`, one after the other.

    Within ``[min_addr, max_addr)``, a `max_addr` of 0 being the limit in force; on node `nid` (None: any), on no other
    where `exact`; upwards where `bottom_up`; in memory that has the `flags` (MEMBLOCK_MIRROR where mirrored memory is
    preferred), and where `avoids_hotplug` not in hot-pluggable memory.
    """

    call: Call
    size: int
    align: int
    min_addr: int = 0
    max_addr: int = 0
    nid: int | None = None
    exact: bool = False
    bottom_up: bool = False
    flags: int = 0
    avoids_hotplug: bool = False
    count: int = 1  # type: ignore[assignment]  # in the place of tuple's method


class Change(NamedTuple):
    """A change of one of the arrays, as memblock_add, _remove, _reserve or _free (`op`) made it.

    `owner` is what the memory is for, `step` the boot step that asked, `caller` the kernel function in it.  A run of
    `count` equal requests of ``size = (end - start) / count`` bytes that were taken one beside the other (downwards
    where `descending`) is one change.  `request` is what was asked for, where it is an allocation.  `logged` is False
    before memblock=debug is parsed.  `nid` and `flags` are what memory or a reservation is added with.
    """

    op: Op
    start: int
    end: int
    step: str
    owner: Owner
    caller: str
    count: int = 1  # type: ignore[assignment]  # in the place of tuple's method
    descending: bool = True
    request: Request | None = None
    logged: bool = True
    before_srat: bool = True
    nid: int | None = None
    flags: int = 0

    def blocks(self) -> Iterator[tuple[int, int]]:
        """The ``[start, end)`` of each request of a run, in the order in which they were made."""
        if self.count == 1:
            yield self.start, self.end
            return
        size = (self.end - self.start) // self.count
        starts = range(self.start, self.end, size)
        for start in reversed(starts) if self.descending else starts:
            yield start, start + size


class Refused(NamedTuple):
    """A request for which there was no room."""

    request: Request
    step: str
    owner: Owner
    caller: str
    logged: bool = True


class Message(NamedTuple):
    """A line that the kernel prints, word for word (a `warning` where it tells of trouble), and `about` what it is."""

    text: str
    step: str
    warning: bool = False
    logged: bool = True
    about: Purpose | None = None


class Mark(NamedTuple):
    """Regions of one array within ``[start, end)`` get a node or lose it, or a flag is set or cleared; no line tells.

    `flag` is the MEMBLOCK_ bit (0: the node is set), `on` whether it is set, `nid` the node (None: none).
    """

    array: Literal["memory", "reserved"]
    start: int
    end: int
    step: str
    flag: int = 0
    on: bool = True
    nid: int | None = None
    logged: bool = False


class Checkpoint(NamedTuple):
    """Both arrays at one moment; `dumped` where the kernel prints them ("MEMBLOCK configuration:")."""

    name: str
    step: str
    memory: tuple[Region, ...]
    reserved: tuple[Region, ...]
    memory_size: int
    reserved_size: int
    memory_cnt: int
    reserved_cnt: int
    dumped: bool


Event: TypeAlias = "Change | Refused | Mark | Message | Checkpoint"
