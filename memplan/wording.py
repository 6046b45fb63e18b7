"""What each kernel version prints: memblock's lines, their callers, the dumps, and what stands before other lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.events import Call, Change, Checkpoint, Message, Refused
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.events import Event, Region, Request
    from memplan.kernel.rules import Rules

_OWN_USE = frozenset({Call.TRY_NID, Call.TRY_NID_NOPANIC, Call.TRY_NID_RAW, Call.EXACT_NID_RAW})
#: Who calls memblock_phys_alloc_range already in 5.10: the crash kernel, and an initrd that moves.
_FIRST_RANGE_CALLERS = frozenset({"reserve_crashkernel", "relocate_initrd"})
#: The changes that have a line, by rule.
_PRINTED = {"reserve and free": ("reserve", "free"), "add, too": ("reserve", "free", "add")}


class Wording(NamedTuple):
    """How one version words what it prints.

    `ranges`, `changes`, `requests` and `range_requests` are the rules of that name (printed_ranges and so on).  `free`
    is what freeing is called.  `callers` and `request_callers` are the symbols that this version's builds print where
    a function is inlined, for changes that a caller makes itself and for allocations.  `calls` names the functions by
    which memory is asked for, `own_core` says whether these reserve by themselves, `marks` that reservations tell
    their node and flags.  `mapping_lines` and `zone_digits` are rules.  The rest stands before lines about the subject
    of its name.
    """

    ranges: str
    changes: str
    requests: str
    range_requests: str
    free: str
    callers: Mapping[str, str]
    request_callers: Mapping[str, str]
    calls: str
    own_core: bool
    marks: bool
    mapping_lines: bool
    zone_digits: int
    e820: str
    bios_check: str
    acpi: str
    numa: str
    srat: str
    percpu: str

    @classmethod
    def of(cls, rules: Rules) -> Wording:
        """The wording of the version that has these rules."""
        return cls(
            rules.printed_ranges,
            rules.printed_changes,
            rules.printed_requests,
            rules.printed_range_requests,
            rules.free_line,
            dict(rules.callers),
            dict(rules.request_callers),
            rules.allocation_calls,
            rules.memblock.allocations == "each its own",
            rules.memblock.marks_allocations,
            rules.mapping_lines,
            rules.zone_digits,
            rules.e820_prefix,
            rules.bios_check_prefix,
            rules.acpi_prefix,
            rules.numa_overlap_prefix,
            rules.srat_line_prefix,
            rules.percpu_prefix,
        )

    # -- events -------------------------------------------------------------------------------------------------

    def lines(self, event: Event) -> Iterator[str]:
        """The lines that `event` prints once memblock=debug is in force."""
        if isinstance(event, Message):
            yield event.text
        elif isinstance(event, Checkpoint):
            if event.dumped:
                yield from self._dump(event)
        elif isinstance(event, Change):
            if self.tells(event.op):
                yield from self._change(event)
        elif isinstance(event, Refused) and (line := self.request(event.request, event.caller)):
            yield line

    def tells(self, op: str) -> bool:
        """Whether changes of that kind have a line."""
        return self.changes == "all" or op in _PRINTED[self.changes]

    def last(self, end: int) -> int:
        """How a range's end is printed: as it is where ranges are half-open, else the last byte."""
        return end if self.ranges == "half-open" else end - 1 & U64_MAX

    def request(self, request: Request, caller: str) -> str:
        """The line of an allocation that `caller` asks for, before it is granted; "" where none is printed."""
        printed = self.request_callers.get(caller, caller)
        if request.call is Call.PHYS_RANGE and self._tells_range_request(caller):
            return (
                f"memblock_phys_alloc_range: {request.size} bytes align={request.align:#x} "
                f"from={request.min_addr:#018x} max_addr={request.max_addr:#018x} {printed}"
            )
        if request.call is Call.HUGETLB:
            nid = -1 if request.nid is None else request.nid
            return f"{request.call.value}: {request.size} bytes, nid={nid}, exact_nid={request.exact:d} {printed}"
        if request.call in _OWN_USE and self.requests != "none":
            nid = -1 if request.nid is None else request.nid
            width = 18 if self.requests == "whole addresses" else 0
            name = request.call.value.replace("memblock_alloc", self.calls)
            return (
                f"{name}: {request.size} bytes align={request.align:#x} nid={nid} "
                f"from={request.min_addr:#0{width}x} max_addr={request.max_addr:#0{width}x} {printed}"
            )
        return ""

    def _tells_range_request(self, caller: str) -> bool:
        first = self.range_requests == "crash kernel and initrd"
        return self.range_requests == "all" or (first and caller in _FIRST_RANGE_CALLERS)

    def caller(self, change: Change) -> str:
        """The symbol behind the range in a change's line: who called memblock_reserve and its like."""
        call = change.request.call if change.request is not None else None
        if call is None or (call is Call.PHYS_RANGE and not self._tells_range_request(change.caller)):
            return self.callers.get(change.caller, change.caller)
        if call is Call.BOOTMEM:
            return "__alloc_memory_core_early"
        if call is Call.BASE or (call is Call.PHYS_TRY_NID and self.own_core):
            return "memblock_alloc_base_nid"
        if call is Call.HUGETLB:
            return str(call.value)
        if call in _OWN_USE and self.own_core:
            return f"{self.calls}_internal"
        return "memblock_alloc_range_nid"

    def _change(self, change: Change) -> Iterator[str]:
        """The change's ranges; the request stands before what it was granted."""
        name = self.free if change.op == "free" else f"memblock_{change.op}"
        request = self.request(change.request, change.caller) if change.request is not None else ""
        caller = self.caller(change)
        width = 18 if self.ranges == "inclusive" else 16
        what = "flags 0x0 " if self.ranges == "inclusive with flags" and change.op != "free" else ""
        if change.op == "reserve" and self.marks:
            name, what = "__memblock_reserve", f"nid={change.nid} flags={change.flags:x} "
        for start, end in change.blocks():
            if request:
                yield request
            yield f"{name}: [{start:#0{width}x}-{self.last(end):#0{width}x}] {what}{caller}"

    def _dump(self, point: Checkpoint) -> Iterator[str]:
        long = self.ranges == "inclusive"
        width, size = (18, 18) if long else (16, 0)
        yield "MEMBLOCK configuration:"
        yield f" memory size = {point.memory_size:#0{size}x} reserved size = {point.reserved_size:#0{size}x}"
        for name, count, regions in _arrays(point):
            yield f" {name}.cnt  = {count:#x}"
            for index, region in enumerate(regions):
                node = "" if region.nid is None else f" on node {region.nid}"
                flags = "" if self.ranges == "half-open" else f" flags: {region.flags:#x}"
                yield (
                    f" {name}[{index:#x}]\t[{region.start:#0{width}x}-{region.end - 1 & U64_MAX:#0{width}x}], "
                    f"{region.end - region.start:#0{size}x} bytes{node}{flags}"
                )


def _arrays(point: Checkpoint) -> tuple[tuple[str, int, tuple[Region, ...]], ...]:
    return (("memory", point.memory_cnt, point.memory), ("reserved", point.reserved_cnt, point.reserved))
