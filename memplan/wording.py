"""What each kernel version prints: memblock's lines, their callers, the dumps, and what stands before other lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.plan import Call, Change, Checkpoint, Message
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.kernel.rules import Rules
    from memplan.plan import Event, Region, Request

_BOOTMEM_CALLS = frozenset({Call.TRY_NID, Call.TRY_NID_RAW, Call.EXACT_NID_RAW})
#: The first version's way: ranges half-open, 14 digits wide, and only two of the changes tell.
_OLD_STYLE = "3.13"


class Wording(NamedTuple):
    """How one version words what it prints.

    `old_style` is 3.13's way with ranges.  `free` is what freeing is called.  `callers` and `request_callers` are the
    symbols that this version's builds print where a function is inlined, for changes that a caller makes itself and
    for allocations.  `tells_range_requests` says whether memblock_phys_alloc_range has a line (else its callers search
    and reserve by themselves), `bootmem` whether allocations go through bootmem's calls, which print none.  The rest
    stands before lines about the subject of its name.  `marks` says that reservations tell their node and flags.
    """

    old_style: bool
    free: str
    callers: Mapping[str, str]
    request_callers: Mapping[str, str]
    tells_range_requests: bool
    bootmem: bool
    marks: bool
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
            rules.trace_style == _OLD_STYLE,
            rules.free_line,
            dict(rules.callers),
            dict(rules.request_callers),
            rules.phys_alloc_range,
            rules.bootmem_calls,
            rules.memblock.marks_allocations,
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
                yield from self._dump_old(event) if self.old_style else self._dump(event)
        elif isinstance(event, Change):
            yield from self._change_old(event) if self.old_style else self._change(event)
        elif line := self.request(event.request, event.caller):
            yield line

    def request(self, request: Request, caller: str) -> str:
        """The line of an allocation that `caller` asks for, before it is granted; "" where none is printed."""
        caller = self.request_callers.get(caller, caller)
        if request.call is Call.PHYS_RANGE and self.tells_range_requests:
            return (
                f"memblock_phys_alloc_range: {request.size} bytes align={request.align:#x} "
                f"from={request.min_addr:#018x} max_addr={request.max_addr:#018x} {caller}"
            )
        if request.call in _BOOTMEM_CALLS and not self.bootmem:
            nid = -1 if request.nid is None else request.nid
            return (
                f"{request.call.value}: {request.size} bytes align={request.align:#x} nid={nid} "
                f"from={request.min_addr:#018x} max_addr={request.max_addr:#018x} {caller}"
            )
        return ""

    def caller(self, change: Change) -> str:
        """The symbol behind the range in a change's line: who called memblock_reserve and its like."""
        call = change.request.call if change.request is not None else None
        if call is None or (call is Call.PHYS_RANGE and not self.tells_range_requests):
            return self.callers.get(change.caller, change.caller)
        if call in _BOOTMEM_CALLS and self.bootmem:
            return "__alloc_memory_core_early"
        if call is Call.BASE or (call is Call.PHYS_TRY_NID and self.bootmem):
            return "memblock_alloc_base_nid"
        return "memblock_alloc_range_nid"

    def _change(self, change: Change) -> Iterator[str]:
        """Inclusive, sixteen digits; the request stands before what it was granted."""
        name = self.free if change.op == "free" else f"memblock_{change.op}"
        with_what = ""
        if change.op == "reserve" and self.marks:
            name = "__memblock_reserve"
            with_what = f" nid={change.nid} flags={change.flags:x}"
        request = self.request(change.request, change.caller) if change.request is not None else ""
        caller = self.caller(change)
        for start, end in change.blocks():
            if request:
                yield request
            yield f"{name}: [{start:#018x}-{end - 1 & U64_MAX:#018x}]{with_what} {caller}"

    def _change_old(self, change: Change) -> Iterator[str]:
        """Half-open, fourteen digits; only memblock_reserve and memblock_free print a line."""
        if change.op not in ("reserve", "free"):
            return
        name = "memblock_reserve" if change.op == "reserve" else "   memblock_free"
        caller = self.caller(change)
        for start, end in change.blocks():
            yield f"{name}: [{start:#016x}-{end:#016x}] {caller}"

    def _dump(self, point: Checkpoint) -> Iterator[str]:
        yield "MEMBLOCK configuration:"
        yield f" memory size = {point.memory_size:#018x} reserved size = {point.reserved_size:#018x}"
        for name, count, regions in _arrays(point):
            yield f" {name}.cnt  = {count:#x}"
            for index, region in enumerate(regions):
                node = "" if region.nid is None else f" on node {region.nid}"
                yield (
                    f" {name}[{index:#x}]\t[{region.start:#018x}-{region.end - 1 & U64_MAX:#018x}], "
                    f"{region.end - region.start:#018x} bytes{node} flags: {region.flags:#x}"
                )

    def _dump_old(self, point: Checkpoint) -> Iterator[str]:
        yield "MEMBLOCK configuration:"
        yield f" memory size = {point.memory_size:#x} reserved size = {point.reserved_size:#x}"
        for name, count, regions in _arrays(point):
            yield f" {name}.cnt  = {count:#x}"
            for index, region in enumerate(regions):
                node = "" if region.nid is None else f" on node {region.nid}"
                yield (
                    f" {name}[{index:#x}]\t[{region.start:#016x}-{region.end - 1 & U64_MAX:#016x}], "
                    f"{region.end - region.start:#x} bytes{node}"
                )


def _arrays(point: Checkpoint) -> tuple[tuple[str, int, tuple[Region, ...]], ...]:
    return (("memory", point.memory_cnt, point.memory), ("reserved", point.reserved_cnt, point.reserved))
