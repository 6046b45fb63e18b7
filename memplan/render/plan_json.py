"""A plan as JSON: the whole of it, for programs, and the schema of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from memplan.events import Change, Checkpoint, Mark, Message, Op, Refused
from memplan.memblock.flags import FLAG_NAMES, flag_word
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    inside,
    listed,
    literal,
    maybe,
    number,
    one_of,
    part,
    record,
    text,
    versioned,
)
from memplan.render.json_ import (
    BLOCKERS,
    END,
    HOTPLUG,
    NODE,
    NODE_OR_NONE,
    OWNER,
    PAGE_TABLE_LEVEL,
    PAGE_TABLE_SOURCE,
    PLACE,
    REASON,
    REMARKS,
    SPAN,
    STEP,
    TEXTS,
    VERDICT,
    ZONE_PAGES,
    Extent,
    document_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.events import Event, Region
    from memplan.plan import MappedRange, Node, PageTables, Plan, Reservation, TableRun, Verdict, Zone
    from memplan.wording import Wording

#: Raised when a field changes its meaning or goes; new fields alone do not raise it.
VERSION = 1


def plan_lines(plan: Plan) -> Iterator[str]:
    """The JSON text of `plan`, line by line."""
    return document_lines(plan_document(plan))


def plan_document(plan: Plan) -> dict[str, Any]:
    """`plan` as the object that is written: dicts, lists, strings, numbers."""
    return _PLAN.written(_told(plan))


def plan_schema() -> dict[str, Any]:
    """The schema of what ``memplan simulate --format json`` writes."""
    return _PLAN.schema()


E = TypeVar("E", bound="Event")


class _Said(NamedTuple, Generic[E]):
    """An event, with how many changes came before it."""

    at: int
    event: E
    wording: Wording


class _Told(NamedTuple):
    """A plan, and what happened in it by kind."""

    plan: Plan
    changes: list[_Said[Change]]
    marks: list[_Said[Mark]]
    refused: list[_Said[Refused]]
    messages: list[_Said[Message]]
    checkpoints: list[_Said[Checkpoint]]


def _told(plan: Plan) -> _Told:
    told = _Told(plan, [], [], [], [], [])
    by_kind: dict[type, list[Any]] = {
        Change: told.changes,
        Mark: told.marks,
        Refused: told.refused,
        Message: told.messages,
        Checkpoint: told.checkpoints,
    }
    for event in plan.events:
        if not isinstance(event, Refused) or plan.wording.request(event.request, event.caller):
            by_kind[type(event)].append(_Said(len(told.changes), event, plan.wording))
    return told


def _request(said: _Said[Change] | _Said[Refused]) -> str:
    """The line of the allocation; "" for what is none."""
    event = said.event
    return said.wording.request(event.request, event.caller) if event.request is not None else ""


_AT: tuple[Member[Any], ...] = (
    Member("event", number("how many of events came before"), lambda said: said.at),
    Member("step", text("the boot step"), lambda said: said.event.step),
)
_LOGGED: Member[Any] = Member(
    "logged", flag("false before the kernel has parsed memblock=debug"), lambda said: said.event.logged
)
_BEFORE_SRAT = flag("whether it happened before the SRAT was read")
_FLAGS = ", ".join(f"{bit} {flag_word(bit)}" for bit in FLAG_NAMES)

_REGION: Form[Region] = part(
    "region",
    record(
        "A region of one of memblock's arrays.",
        *SPAN,
        Member("node", NODE_OR_NONE, lambda region: region.nid),
        Member("flags", number(f"MEMBLOCK_ flags: {_FLAGS}"), lambda region: region.flags),
    ),
)
_CHANGE: Form[_Said[Change]] = record(
    "",
    Member("op", literal(Op), lambda said: said.event.op),
    *inside(lambda said: said.event, *SPAN),
    Member("step", STEP, lambda said: said.event.step),
    Member("owner", OWNER, lambda said: said.event.owner),
    Member("caller", text("the symbol that memblock=debug prints"), lambda said: said.wording.caller(said.event)),
    Member("count", number("how many requests"), lambda said: said.event.count),
    Member("descending", flag("whether a run was taken downwards"), lambda said: said.event.descending),
    Member("request", text("the allocation line before it, or empty"), _request),
    _LOGGED,
    Member("before_srat", _BEFORE_SRAT, lambda said: said.event.before_srat),
)
_MARK: Form[_Said[Mark]] = record(
    "",
    *_AT,
    Member("array", one_of("memory", "reserved"), lambda said: said.event.array),
    *inside(lambda said: said.event, *SPAN),
    Member("flags", number("the MEMBLOCK_ flag; 0 where the node is set"), lambda said: said.event.flag),
    Member("set", flag("whether the flag is set, and not cleared"), lambda said: said.event.on),
    Member("node", maybe(number("the node that is set; null for none")), lambda said: said.event.nid),
)
_REFUSED: Form[_Said[Refused]] = record(
    "",
    *_AT,
    Member("text", text("the request's line"), _request),
    Member("owner", OWNER, lambda said: said.event.owner),
    _LOGGED,
)
_MESSAGE: Form[_Said[Message]] = record(
    "",
    *_AT,
    Member("text", text("word for word"), lambda said: said.event.text),
    Member("warning", flag("whether it tells of trouble"), lambda said: said.event.warning),
    _LOGGED,
)
_CHECKPOINT: Form[_Said[Checkpoint]] = record(
    "",
    *_AT,
    Member("name", text("the moment"), lambda said: said.event.name),
    Member("dumped", flag("whether memblock=debug prints the arrays there"), lambda said: said.event.dumped),
    Member("memory_size", number("bytes of RAM"), lambda said: said.event.memory_size),
    Member("reserved_size", number("bytes reserved"), lambda said: said.event.reserved_size),
    Member("memory", listed(_REGION, "RAM"), lambda said: said.event.memory),
    Member("reserved", listed(_REGION, "reserved memory"), lambda said: said.event.reserved),
)


_NODE: Form[Node] = record(
    "",
    Member("node", NODE, lambda node: node.nid),
    Member("pxm", maybe(number("its proximity domain in the SRAT")), lambda node: node.pxm),
    Member("online", flag("whether it has NODE_DATA"), lambda node: node.online),
    Member("hotplug", HOTPLUG, lambda node: node.hotplug),
    Member("size", number("bytes of RAM"), lambda node: node.memory),
    Member("ranges", listed(PLACE, "its RAM"), lambda node: (Extent(*own) for own in node.ranges)),
    Member("node_data", maybe(PLACE), lambda node: None if node.node_data is None else Extent(*node.node_data)),
    Member("cpus", listed(number(), "its CPUs"), lambda node: node.cpus),
)
_ZONE: Form[Zone] = record(
    "",
    Member("node", NODE, lambda zone: zone.nid),
    Member("name", text("DMA, DMA32, Normal, Movable, Device"), lambda zone: zone.name),
    *ZONE_PAGES,
)
_TABLE_RUN: Form[TableRun] = record(
    "",
    Member("level", PAGE_TABLE_LEVEL, lambda run: run.level),
    Member("source", PAGE_TABLE_SOURCE, lambda run: run.source),
    Member("pages", number("how many"), lambda run: run.pages),
    Member("node", NODE_OR_NONE, lambda run: run.nid),
    *SPAN,
)
_MAPPED: Form[MappedRange] = record(
    "", *SPAN, Member("page_size", number("4096, 2 MiB or 1 GiB"), lambda mapped: mapped.page_size)
)
_TABLE_PAGES: Form[PageTables] = record(
    "Table pages.",
    Member("brk", number("from the brk"), lambda tables: tables.pages("brk")),
    Member("memblock", number("from memblock"), lambda tables: tables.pages("memblock")),
)
_PAGE_TABLES: Form[PageTables] = record(
    "The direct map's tables.",
    Member("levels", one_of(4, 5), lambda tables: tables.levels),
    Member(
        "direct_map_base", number("the virtual address of physical address 0"), lambda tables: tables.direct_map_base
    ),
    Member("pages", _TABLE_PAGES, lambda tables: tables),
    Member(
        "tables",
        listed(_TABLE_RUN, "Pages of one level made while one range was mapped; they lie in the range given."),
        lambda tables: tables.runs,
    ),
    Member("mappings", listed(_MAPPED, "What is mapped with which pages."), lambda tables: tables.mappings),
)
_RESERVATION: Form[Reservation] = record(
    "",
    *SPAN,
    Member("node", NODE_OR_NONE, lambda own: own.nid),
    Member("owner", OWNER, lambda own: own.owner),
    Member("step", STEP, lambda own: own.step),
    Member("before_srat", _BEFORE_SRAT, lambda own: own.before_srat),
)
_MOVABLE: Form[tuple[int, int, int]] = record(
    "", Member("node", NODE, lambda own: own[0]), *inside(lambda own: Extent(*own[1:]), *SPAN)
)
_BLOCKED: Form[Verdict] = record(
    "",
    Member("node", NODE, lambda verdict: verdict.nid),
    *SPAN,
    Member("hotplug", HOTPLUG, lambda verdict: verdict.hotplug),
    Member("reason", REASON, lambda verdict: verdict.reason),
    Member("blockers", BLOCKERS, lambda verdict: verdict.blockers),
)
_MOVABLE_START: Form[tuple[int, int]] = record(
    "", Member("node", NODE, lambda own: own[0]), Member("pfn", number("page frame number"), lambda own: own[1])
)
_KERNEL: Form[Plan] = record(
    "The kernel build.",
    Member("name", text("its name"), lambda plan: plan.kernel),
    Member("version", text("the version whose rules it follows"), lambda plan: plan.kernel_version),
    Member("notes", TEXTS.told("what its facts fall back on"), lambda plan: plan.kernel_notes),
)
_PLAN: Document[_Told] = versioned(
    "memplan plan",
    VERSION,
    "One replayed boot. Addresses and sizes are bytes; every end is inclusive, as the kernel prints ranges (an empty "
    "range ends one below its start). New members may come without a new version.",
    Member("machine", text("the machine's name"), lambda told: told.plan.machine_name),
    Member("kernel", _KERNEL, lambda told: told.plan),
    Member("cmdline", text("the boot options"), lambda told: told.plan.cmdline),
    *inside(lambda told: told.plan, *REMARKS),
    Member(
        "direction",
        one_of("bottom-up", "top-down", description="of allocations before the SRAT is read"),
        lambda told: "bottom-up" if told.plan.bottom_up else "top-down",
    ),
    Member("end", END, lambda told: told.plan.end),
    Member(
        "movable",
        listed(_MOVABLE, "The ranges in ZONE_MOVABLE that hold nothing unmovable."),
        lambda told: told.plan.movable,
    ),
    Member(
        "blocked",
        listed(_BLOCKED, "The ranges that can't be movable, and what stands in the way."),
        lambda told: (verdict for verdict in told.plan.verdicts if not verdict.movable),
    ),
    Member(
        "verdicts",
        listed(VERDICT, "For every node and every hot-pluggable range, whether it can be movable."),
        lambda told: told.plan.verdicts,
    ),
    Member(
        "warnings",
        TEXTS.told("The warnings that the kernel prints, word for word."),
        lambda told: (message.text for message in told.plan.warnings),
    ),
    Member(
        "block_size",
        number("bytes in one memory block, the unit that goes off-line"),
        lambda told: told.plan.block_size,
    ),
    Member(
        "movable_start",
        listed(_MOVABLE_START, "Where ZONE_MOVABLE begins on each node that has one."),
        lambda told: told.plan.movable_start_pfn,
    ),
    Member("nodes", listed(_NODE, "The NUMA nodes."), lambda told: told.plan.nodes),
    Member("zones", listed(_ZONE, "The zones of each node."), lambda told: told.plan.zones),
    Member("page_tables", _PAGE_TABLES, lambda told: told.plan.page_tables),
    Member(
        "reservations",
        listed(_RESERVATION, "Reserved memory at the end of the boot, by who has it."),
        lambda told: told.plan.reservations,
    ),
    Member("checkpoints", listed(_CHECKPOINT, "Both arrays at certain moments."), lambda told: told.checkpoints),
    Member("messages", listed(_MESSAGE, "What the kernel prints beside memblock's lines."), lambda told: told.messages),
    Member("refused", listed(_REFUSED, "Allocations that failed."), lambda told: told.refused),
    Member(
        "marks",
        listed(_MARK, "Regions that get another node, or whose flags change; the kernel prints nothing of it."),
        lambda told: told.marks,
    ),
    Member(
        "events",
        listed(
            _CHANGE,
            "The changes of memblock's arrays, in order. A run of count equal requests of size / count bytes, taken "
            "one beside the other, is one event.",
        ),
        lambda told: told.changes,
    ),
)
